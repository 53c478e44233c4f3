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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from captum.influence._core.arnoldi_influence_function import ArnoldiInfluenceFunction  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.utils.data import DataLoader

from demo_models.heads import stacked
from influence_core.evaluation.agreement import pearson_and_slope
from influence_core.methods import Arnoldi, ConjugateGradients
from influence_core.methods.iterative import CurvatureName
from influence_core.project import Project
from tests.benchmarks import mnist_mlp
from tests.benchmarks.figures import Figure, command
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


@dataclass
class Rival:
    """One method's seconds and scores.

    Attributes:
        make: Fits it and returns what answers a test id.
        fit: Seconds before the first query.
        seconds: Of each query.
        values: Scores of each query, shape ``(n,)``.
    """

    make: Callable[[], Callable[[int], Tensor]]
    fit: float = 0.0
    seconds: list[float] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    @property
    def query(self) -> float:
        """Fastest seconds of a query; the first one warms up."""
        return min(self.seconds[1:])

    def agreement(self, others: Sequence[Tensor]) -> float:
        """Lowest Pearson correlation with other scores over the predictions."""
        pairs = zip(self.values, others, strict=True)
        return min(pearson_and_slope(one.double(), other.double())[0] for one, other in pairs)


def race(rivals: Sequence[Rival]) -> None:
    """Fit all, then ask each in turn, so that a busy machine slows all of them."""
    asked = []
    for rival in rivals:
        started = time.perf_counter()
        asked.append(rival.make())
        rival.fit = time.perf_counter() - started
    for test_id in TESTS:
        for rival, ask in zip(rivals, asked, strict=True):
            started = time.perf_counter()
            rival.values.append(ask(test_id))
            rival.seconds.append(time.perf_counter() - started)


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
    theirs, cg = Rival(lambda: captums(project)), Rival(lambda: ours(PLAIN, project))
    arnoldi = Rival(lambda: ours(Arnoldi(DAMPING, "hessian", KRYLOV, KEPT), project))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum's own
        race([theirs, cg, arnoldi])
    gauss_newton, hessian = (
        list(replace(PLAIN, tolerance=CONVERGED, curvature=curvature).fit(project).scores(TESTS).values)
        for curvature in CURVATURES
    )
    figures: list[Figure | Race] = []
    for name, one, exact in (
        (f"captum Arnoldi {KRYLOV}/{KEPT}", theirs, hessian),
        (f"our CG at {TOLERANCE:g}", cg, gauss_newton),
        (f"our Arnoldi {KRYLOV}/{KEPT}", arnoldi, hessian),
    ):
        figures += [
            Figure(f"{name}: fit", one.fit, "s"),
            Figure(f"{name}: one query", one.query, "s"),
            Figure(f"{name}: Pearson with exact", one.agreement(exact), note="lowest, with its own curvature's solve"),
        ]
    converged = Rival(lambda: ours(PLAIN, project), values=gauss_newton)
    both = Figure("Gauss-Newton and Hessian, both converged: Pearson", converged.agreement(hessian))
    return [*figures, both, *races((theirs, cg, arnoldi), cg.agreement(gauss_newton), theirs.agreement(hessian))]


def races(rivals: tuple[Rival, Rival, Rival], truth: float, theirs_truth: float) -> list[Race]:
    """One query with and without the fit before it: by a true solve, and by the same approximation.

    Args:
        rivals: Captum's, our CG, our Arnoldi.
        truth: Pearson of our CG with the exact answer.
        theirs_truth: The same of captum's.
    """
    theirs, cg, arnoldi = rivals
    who = f"captum Arnoldi {KRYLOV}/{KEPT}, of Pearson {theirs_truth:.2f} with the exact answer"
    solve = f"MLP 784-128-10, 4,000 digits: one query by CG at {TOLERANCE:g}"
    both = (theirs.fit + theirs.query, cg.fit + cg.query)
    return [
        Race(f"{solve}, fit included", who, REQUIRED, both[1], both[0], truth),
        Race(solve, who, REQUIRED, cg.query, theirs.query, truth),
        Race(
            f"the same by our Arnoldi {KRYLOV}/{KEPT} on the Hessian, fit not included",
            who,
            REQUIRED,
            arnoldi.query,
            theirs.query,
            arnoldi.agreement(theirs.values),
        ),
    ]


def main() -> None:
    """Run this benchmark alone."""
    command("captum_arnoldi", run)


if __name__ == "__main__":
    main()
