"""LiSSA and conjugate gradients against the exact answer, on the Hessian of a digits network of 2,410 parameters."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

import demo_models
from demo_models.heads import stacked
from influence_core.errors import CurvatureError
from influence_core.evaluation.agreement import pearson_and_slope
from influence_core.methods import ConjugateGradients, Exact, Lissa
from influence_core.project import Project
from influence_core.task import ClassificationTask
from tests.benchmarks.figures import Figure, command

DAMPING = 1e-2
TESTS = range(24)


def project(optimiser: str) -> Project:
    """64-32-10, tanh, weight decay 1e-3: 200 full-batch heavy-ball steps, or 30 of Adam."""
    digits = demo_models.load("digits")
    task = ClassificationTask(n_classes=10, weight_decay=1e-3)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10)).double()
    inputs, labels = stacked(digits.train)
    steps, steppers = (
        {"heavy-ball": 200, "adam": 30},
        {
            "heavy-ball": torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9),
            "adam": torch.optim.Adam(model.parameters(), lr=1e-2),
        },
    )
    for _ in range(steps[optimiser]):
        steppers[optimiser].zero_grad()
        loss = task.losses(model(inputs), (inputs, labels)).mean() + task.penalty(dict(model.named_parameters()))
        torch.autograd.backward(loss)
        steppers[optimiser].step()
    return replace(digits, name="digits-mlp", task=task, model=model.eval(), fit=None)


def compare(method: Any, subject: Project, exact: Tensor) -> list[Figure]:
    """Seconds, residual, and the agreement with the exact scores: correlation and slope."""
    started = time.perf_counter()
    found = method.fit(subject).scores(TESTS)
    seconds = time.perf_counter() - started
    pearson, slope = pearson_and_slope(found.values.double().flatten(), exact.flatten())
    return [
        Figure(f"{method.name}: seconds", seconds, "s", most=30, note=f"fit and {len(TESTS)} predictions together"),
        Figure(f"{method.name}: largest full-data residual", found.residual, most=1e-2),
        Figure(f"{method.name}: Pearson with exact", pearson, least=0.999),
        Figure(f"{method.name}: slope of exact on it", slope, least=0.98, most=1.02),
    ]


def refused() -> Figure:
    """The network that Adam left after 30 steps is indefinite under this damping: 1 if that is said."""
    subject = project("adam")
    lowest = float(torch.linalg.eigvalsh(Exact(10.0).fit(subject).curvature)[0])
    said = 0
    for kind in (Lissa, ConjugateGradients):
        try:
            kind(damping=DAMPING, curvature="hessian").fit(subject)
        except CurvatureError as error:
            said += f"lowest eigenvalue is {lowest:.3g}," in str(error)
    return Figure("refusals that name the lowest eigenvalue", said, least=2, note=f"it is {lowest:.4f}")


def run() -> list[Figure]:
    """Both methods, and the refusal."""
    subject = project("heavy-ball")
    exact = Exact(damping=DAMPING).fit(subject).scores(TESTS).values
    figures = []
    for method in (
        ConjugateGradients(damping=DAMPING, curvature="hessian"),
        Lissa(damping=DAMPING, curvature="hessian", passes=400),
    ):
        figures += compare(method, subject, exact)
    return [*figures, refused()]


def main() -> None:
    """Run this benchmark alone."""
    command("iterative_mlp", run)


if __name__ == "__main__":
    main()
