"""How much of one prediction's ranking hangs on the damping: the same scores under less and under more of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor

from influence_core.errors import CurvatureError, MethodError
from influence_core.solvers.damping import MeanEigenvalue
from influence_core.store.run import Run
from influence_core.target import Target

LARGEST = 20  # training examples whose place is looked at
FACTOR = 10.0


@dataclass(frozen=True)
class Point:
    """The scores under one damping, compared with the run's own.

    Attributes:
        damping: Added to the curvature.
        common: How many of the largest scores of the run, whatever their sign, are among the largest here.
        of: How many are looked at.
        spearman: Rank correlation with the run's scores over all training examples, -1 to 1.
        refused: Why there are no such scores; empty if there are.
    """

    damping: float
    common: int
    of: int
    spearman: float
    refused: str = ""


@dataclass(frozen=True)
class Sweep:
    """One prediction under several dampings.

    Attributes:
        own: The run's own damping, or what is done in its place, in words.
        points: One a damping, in ascending order.
    """

    own: str
    points: tuple[Point, ...]

    @property
    def sentence(self) -> str:
        """How many of the largest scores stay."""
        told = [f"{p.common} stay at {p.damping:.2g}" for p in self.points if not p.refused]
        refused = [f"damping {p.damping:.2g} is refused" for p in self.points if p.refused]
        return f"Of the {self.points[0].of} largest scores ({self.own}), {', '.join(told + refused)}."


def sweep(run: Run, test_id: int, target: Target | None = None) -> Sweep:
    """Score one prediction under a tenth of the run's damping and under ten times it.

    A run without damping has none to vary: it is compared with 0.1 x the curvature's mean eigenvalue, a tenth of that
    and ten times that.

    Raises:
        MethodError: If another damping takes another run.
        InfluenceError: As ``Run.scores`` does.
    """
    if not run.is_direct:
        msg = f"A run of {run.method} answers under its own damping alone; a sweep takes a run of exact or arnoldi."
        raise MethodError(msg)
    own = run.scores(test_id, target).of(test_id)
    said = run.damping_rule or f"damping {run.damping:.3g}"
    return Sweep(said, tuple(_point(run, test_id, target, damping, own) for damping in _dampings(run)))


def _dampings(run: Run) -> Iterator[float]:
    middle = run.damping or MeanEigenvalue().damping(run.mean_eigenvalue)
    yield middle / FACTOR
    if not run.damping:
        yield middle
    yield middle * FACTOR


def _point(run: Run, test_id: int, target: Target | None, damping: float, own: Tensor) -> Point:
    of = min(LARGEST, len(own))
    try:
        found = run.scores(test_id, target, damping).of(test_id)
    except CurvatureError as error:
        return Point(damping, 0, of, float("nan"), str(error))
    common = len(_largest(own, of) & _largest(found, of))
    return Point(damping, common, of, float(stats.spearmanr(own, found).statistic))


def _largest(scores: Tensor, k: int) -> set[int]:
    """Ids of the largest scores whatever their sign; ties go by id."""
    return set(torch.argsort(scores.abs(), descending=True, stable=True)[:k].tolist())
