"""One query on a network of 101,770 parameters: conjugate gradients against captum's ArnoldiInfluenceFunction.

Captum projects on the ``KEPT`` leading eigenvectors of the Hessian of the summed loss plus ``hessian_reg``; with
``hessian_reg = n (weight decay + damping)`` that is ``n`` times our Hessian plus damping, so that its scores mean the
same as ours. It gets what suits it: the data as tensors in batches, all rows in one
batch for the products, its batched per-example gradients, no eigenvalue dropped. Every score is compared with a solve
of its own curvature that is converged to ``CONVERGED``: the Hessian for captum, Gauss-Newton for ours.
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from captum.influence._core.arnoldi_influence_function import ArnoldiInfluenceFunction  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.utils.data import DataLoader

from demo_models.heads import stacked
from influence_core.evaluation.agreement import pearson_and_slope
from influence_core.methods import Arnoldi, ConjugateGradients
from influence_core.methods.iterative import CurvatureName
from influence_core.project import Project
from tests.benchmarks import mnist_mlp
from tests.benchmarks.figures import Figure, command, say
from tests.benchmarks.races import Race

DAMPING = 1e-2
TOLERANCE = 1e-3
CONVERGED = 1e-4
KRYLOV, KEPT = 200, 50
ROWS = 250  # captum's per-example gradients at once
CURVATURES: tuple[CurvatureName, CurvatureName] = ("gauss-newton", "hessian")
TESTS = (0, 1)  # one a query; the first warms up
REQUIRED = 20
PLAIN = ConjugateGradients(DAMPING, tolerance=TOLERANCE, preconditioner="none")


@dataclass(frozen=True)
class Timed:
    """One method's seconds and scores.

    Attributes:
        fit: Seconds before the first query.
        query: Fastest seconds of a query of one prediction, the first one not counted.
        values: Shape ``(len(TESTS), n)``.
    """

    fit: float
    query: float
    values: Tensor

    def agreement(self, exact: Tensor) -> float:
        """Lowest Pearson correlation with a converged solve over the predictions."""
        pairs = zip(self.values.double(), exact.double(), strict=True)
        return min(pearson_and_slope(one, other)[0] for one, other in pairs)


def timed(make: Callable[[], Callable[[int], Tensor]]) -> Timed:
    """Fit, then ask for one prediction after the other."""
    started = time.perf_counter()
    ask = make()
    fit = time.perf_counter() - started
    seconds, values = [], []
    for test_id in TESTS:
        started = time.perf_counter()
        values.append(ask(test_id))
        seconds.append(time.perf_counter() - started)
    return Timed(fit, min(seconds[1:]), torch.stack(values))


def ours(method: ConjugateGradients | Arnoldi, project: Project) -> Callable[[int], Tensor]:
    """A fitted method of ours."""
    fitted = method.fit(project)
    return lambda test_id: fitted.scores([test_id]).of(test_id)


def captums(project: Project) -> Callable[[int], Tensor]:
    """Captum's, fitted; data and model are ready before."""
    (inputs, labels), (tests, truths) = map(stacked, (project.train, project.test))
    rows = inputs.float(), labels
    batches = [(x, y) for x, y in zip(rows[0].split(ROWS), rows[1].split(ROWS), strict=True)]
    train: DataLoader[Any] = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # batches as they are
    whole: DataLoader[Any] = DataLoader([rows], batch_size=None)  # type: ignore[arg-type]  # one batch
    method = ArnoldiInfluenceFunction(
        copy.deepcopy(project.model),
        train,
        checkpoint="",
        checkpoints_load_func=lambda *_: 1.0,  # the model is in memory
        loss_fn=nn.CrossEntropyLoss(reduction="sum"),
        hessian_dataset=whole,
        sample_wise_grads_per_batch=True,
        projection_dim=KEPT,
        arnoldi_dim=KRYLOV,
        arnoldi_tol=0.0,
        hessian_reg=len(labels) * (mnist_mlp.DECAY + DAMPING),
        hessian_inverse_tol=0.0,
    )

    def ask(test_id: int) -> Tensor:
        values: Tensor = method.influence((tests[test_id : test_id + 1].float(), truths[test_id : test_id + 1]))
        return values[0]

    return ask


def run() -> list[Figure | Race]:
    """Seconds, ratios and agreement."""
    project = mnist_mlp.project()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum's own
        theirs = timed(lambda: captums(project))
    cg = timed(lambda: ours(PLAIN, project))
    arnoldi = timed(lambda: ours(Arnoldi(DAMPING, krylov=KRYLOV, kept=KEPT), project))
    gauss_newton, hessian = (
        replace(PLAIN, tolerance=CONVERGED, curvature=curvature).fit(project).scores(TESTS).values
        for curvature in CURVATURES
    )
    figures: list[Figure | Race] = []
    for name, one, exact in (
        (f"captum Arnoldi {KRYLOV}/{KEPT}", theirs, hessian),
        (f"our CG at {TOLERANCE:g}", cg, gauss_newton),
        (f"our Arnoldi {KRYLOV}/{KEPT}", arnoldi, gauss_newton),
    ):
        figures += [
            Figure(f"{name}: fit", one.fit, "s"),
            Figure(f"{name}: one query", one.query, "s"),
            Figure(f"{name}: Pearson with exact", one.agreement(exact), note="lowest, with its own curvature's solve"),
        ]
    say(f"Gauss-Newton and Hessian agree to Pearson {Timed(0, 0, hessian).agreement(gauss_newton):.4f} when converged.")
    return [
        *figures,
        Race(
            f"the same MLP, one query by CG, residual {TOLERANCE:g}, fit included",
            f"captum Arnoldi {KRYLOV}/{KEPT}, of Pearson {theirs.agreement(hessian):.2f} with the exact answer",
            required=REQUIRED,
            seconds_ours=cg.fit + cg.query,
            seconds_theirs=theirs.fit + theirs.query,
            agreement=cg.agreement(gauss_newton),
        ),
        Figure("captum / our CG: one query more", theirs.query / cg.query, "times"),
        Figure("captum / our Arnoldi: fit", theirs.fit / arnoldi.fit, "times"),
        Figure("captum / our Arnoldi: one query", theirs.query / arnoldi.query, "times", least=REQUIRED),
    ]


def main() -> None:
    """Run this benchmark alone."""
    command("captum_arnoldi", run)


if __name__ == "__main__":
    main()
