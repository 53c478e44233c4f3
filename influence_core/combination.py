"""Several measurements as one: the mean loss of a group, one prediction against another, any weighted sum.

A score is linear in what is measured, so that a weighted sum of measurements has the weighted sum of their scores. Each
term keeps the sign of ``scores.py``, where logits, margins and values are negated. So positive means: without the
training example, the sum of ``weight x loss`` and of ``-weight x logit`` (or margin, or value) would rise. Of a mean of
losses positive helps the group; of a difference of two losses it helps the first more than the second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from influence_core.errors import TargetError
from influence_core.report import SolveReport
from influence_core.scores import InfluenceScores, Ranked, ranked
from influence_core.target import Target


@dataclass(frozen=True)
class Term:
    """One measurement and its weight.

    Attributes:
        test_id: The prediction.
        target: What is measured of it.
        weight: Any finite number; a negative one turns the sign.
    """

    test_id: int
    target: Target = Target()  # noqa: RUF009  (frozen)
    weight: float = 1.0


@dataclass(frozen=True)
class Combination:
    """A weighted sum of measurements.

    Attributes:
        terms: At least one.

    Raises:
        TargetError: If there is none, or a weight is NaN or infinite.
    """

    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        if not self.terms:
            msg = "A combination of no measurements measures nothing; name at least one prediction."
            raise TargetError(msg)
        for term in self.terms:
            if not math.isfinite(term.weight):
                msg = f"The weight of test example {term.test_id} is {term.weight}; it must be a finite number."
                raise TargetError(msg)

    @classmethod
    def mean_of(cls, test_ids: Sequence[int], target: Target = Target()) -> Combination:  # noqa: B008  (frozen)
        """The mean over some predictions, such as all of a slice."""
        return cls(tuple(Term(test_id, target, 1 / len(test_ids)) for test_id in test_ids))

    @classmethod
    def difference(cls, first: Term, second: Term) -> Combination:
        """The first measurement less the second, each times its weight."""
        return cls((first, Term(second.test_id, second.target, -second.weight)))

    @property
    def groups(self) -> dict[Target, tuple[tuple[int, ...], Tensor]]:
        """Test ids and their weights, shape ``(m,)``, float64, for each target."""
        found: dict[Target, list[Term]] = {}
        for term in self.terms:
            found.setdefault(term.target, []).append(term)
        return {target: (tuple(t.test_id for t in terms), _weights(terms)) for target, terms in found.items()}


@dataclass(frozen=True)
class CombinedScores:
    """Scores of one combination against every training example.

    Attributes:
        values: Shape ``(n_train,)``; the unit is ``unit``.
        combination: What was measured.
        unit: In words; of mixed measurements all of theirs.
        method: Name of the method.
        damping: The damping that was added to the curvature.
        residual: Largest relative residual of the solves on the full data.
        converged: Whether every solve is as exact as was asked for; what is not must not be ranked.
        solves: How it was solved, by an iterative method.
        is_first: Whether a part of it is an approximate answer at once.
        outside: Largest share of a measured gradient's squared length that the method left out; None if nothing.
    """

    values: Tensor
    combination: Combination
    unit: str
    method: str
    damping: float
    residual: float
    converged: bool
    solves: tuple[SolveReport, ...] = ()
    is_first: bool = False
    outside: float | None = None

    def top(self, k: int) -> list[Ranked]:
        """At most k examples with a positive score, largest first; ties by id."""
        return ranked(self.values, k, sign=1)

    def bottom(self, k: int) -> list[Ranked]:
        """At most k examples with a negative score, most negative first; ties by id."""
        return ranked(self.values, k, sign=-1)


def weighted(combination: Combination, parts: Iterable[tuple[Tensor, InfluenceScores]]) -> CombinedScores:
    """The sum of score rows, each times its weight.

    Args:
        combination: What they are of.
        parts: Weights, shape ``(m,)``, and the scores that they belong to.
    """
    weights, found = zip(*parts, strict=True)
    rows = [w.to(one.values.device) @ one.values.double() for w, one in zip(weights, found, strict=True)]
    residuals = torch.tensor([one.residual for one in found], dtype=torch.float64, device="cpu")
    return CombinedScores(
        values=torch.stack(rows).sum(dim=0),
        combination=combination,
        unit=" and ".join(dict.fromkeys(one.unit for one in found)),
        method=" and ".join(dict.fromkeys(one.method for one in found)),
        damping=found[0].damping,
        residual=float(residuals.max()),  # NaN if one is
        converged=all(one.converged for one in found),
        solves=tuple(solve for one in found for solve in one.solves),
        is_first=any(one.is_first for one in found),
        outside=max((one.outside for one in found if one.outside is not None), default=None),
    )


def _weights(terms: Sequence[Term]) -> Tensor:
    return torch.tensor([term.weight for term in terms], dtype=torch.float64, device="cpu")
