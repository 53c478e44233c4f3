"""LoGra at several ranks on a network of 101,770 parameters, against a converged solve; EK-FAC beside it."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from typing import Any

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

import demo_models
from demo_models.heads import stacked
from influence_core.evaluation.agreement import pearson_and_slope
from influence_core.methods import ConjugateGradients, Ekfac, Logra
from influence_core.project import Project
from influence_core.target import Target
from influence_core.task import ClassificationTask
from tests.benchmarks.figures import Figure, command
from tests.benchmarks.mnist_cnn import order_of

ROWS = 1_000
DAMPING = 1e-2
COMPARED = 8
RANKS = (8, 16, 32)
STEPS = 200
LEAST = {"pca 8": 0.6, "pca 16": 0.75, "pca 32": 0.85}  # Pearson


def project() -> Project:
    """784-128-10, tanh, on 1,000 of the real digits."""
    digits = demo_models.load("mnist-cnn")
    task = ClassificationTask(n_classes=10, weight_decay=1e-3)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.Tanh(), nn.Linear(128, 10))
    train = [digits.train[row] for row in range(0, len(digits.train), len(digits.train) // ROWS)]
    inputs, labels = stacked(train)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = task.losses(model(inputs), (inputs, labels)).mean() + task.penalty(dict(model.named_parameters()))
        torch.autograd.backward(loss)
        optimiser.step()
    return replace(
        digits, name="mnist-mlp", task=task, model=model.eval(), train=train, train_keys=(), view=None, fit=None
    )


def agreement(values: Tensor, exact: Tensor) -> tuple[float, float, float]:
    """Mean Pearson, Spearman and slope over the predictions."""
    pairs = list(zip(values.double(), exact.double(), strict=True))
    correlated = [pearson_and_slope(mine, true) for mine, true in pairs]
    return (
        statistics.fmean(pearson for pearson, _ in correlated),
        statistics.fmean(float(spearmanr(mine, true).statistic) for mine, true in pairs),
        statistics.fmean(slope for _, slope in correlated),
    )


def measured(name: str, method: Any, subject: Project, ids: list[int], exact: Tensor) -> list[Figure]:
    """Seconds of the fit, milliseconds of a query, and how its scores agree."""
    started = time.perf_counter()
    attributor = method.fit(subject)
    fitted = time.perf_counter()
    values = torch.cat([attributor.scores([i]).values for i in ids])
    seconds = (time.perf_counter() - fitted) / len(ids)
    pearson, ranks, slope = agreement(values, exact)
    return [
        Figure(f"{name}: fit", fitted - started, "s"),
        Figure(f"{name}: one query", 1_000 * seconds, "ms"),
        Figure(f"{name}: Pearson", pearson, least=LEAST.get(name)),
        Figure(f"{name}: Spearman", ranks),
        Figure(f"{name}: slope", slope),
        *lost(name, attributor, ids),
    ]


def lost(name: str, attributor: Any, ids: list[int]) -> list[Figure]:
    """The mean share of a test gradient outside the subspace."""
    if not hasattr(attributor, "tests"):
        return []
    return [Figure(f"{name}: share lost", float(attributor.tests.outside(ids, Target()).mean()))]


def run() -> list[Figure]:
    """Both projections at each rank, the Kronecker form, and EK-FAC."""
    subject = project()
    ids = order_of(subject)[:COMPARED]
    exact = ConjugateGradients(damping=DAMPING, tolerance=1e-4, steps=2_000).fit(subject).scores(ids)
    figures = [Figure("converged solve: largest residual", exact.residual, most=1e-4)]
    methods: dict[str, Any] = {
        f"{projection} {rank}": Logra(damping=DAMPING, rank=rank, projection=projection)
        for projection in ("pca", "random")
        for rank in RANKS
    }
    methods["pca 16, kronecker"] = Logra(damping=DAMPING, curvature="kronecker")
    methods["EK-FAC"] = Ekfac(damping=DAMPING)
    for name, method in methods.items():
        figures += measured(name, method, subject, ids, exact.values)
    return figures


def main() -> None:
    """Run this benchmark alone."""
    command("logra_mlp", run)


if __name__ == "__main__":
    main()
