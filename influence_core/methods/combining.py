"""Scores of a combination of measurements: one solve for all of them where the method solves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from influence_core import scores
from influence_core.combination import Combination, CombinedScores, weighted
from influence_core.methods.base import Attributor, Tick
from influence_core.target import Target
from influence_core.task import Task


@runtime_checkable
class SolvesColumns(Protocol):
    """An attributor whose scores are products with solved gradients."""

    @property
    def task(self) -> Task:
        """The project's task."""
        ...

    def gradients(self, test_ids: Sequence[int], target: Target) -> Tensor:
        """Gradient of each measurement as a column, shape ``(p, m)``."""
        ...

    def outside(self, test_ids: Sequence[int], target: Target) -> float | None:
        """Largest share of a measurement gradient's squared length that the method leaves out; None if nothing."""
        ...

    def scored(
        self, columns: Tensor, test_ids: Sequence[int], target: Target, tick: Tick = ...
    ) -> scores.InfluenceScores:
        """Each gradient of a measurement solved, times every training gradient."""
        ...


def combined(attributor: Attributor, combination: Combination, tick: Tick = lambda done, total: None) -> CombinedScores:
    """Scores of a combination against every training example, shape ``(n_train,)``.

    A method that solves gradients is given the weighted sum of them, once; of any other the rows are added up.

    Raises:
        TargetError: If the task cannot measure a target.
        UnknownNameError: If there is no such test example.
        CurvatureError: If the curvature is indefinite under the damping.
    """
    groups = combination.groups
    if not isinstance(attributor, SolvesColumns):
        return weighted(combination, [(w, attributor.scores(ids, target)) for target, (ids, w) in groups.items()])
    columns = []
    for target, (ids, weights) in groups.items():
        found = attributor.gradients(ids, target)
        columns.append(scores.signed(found @ weights.to(found), target))
    whole = torch.stack(columns).sum(dim=0)[:, None]
    # the sign of each term is in the column by now, and a loss's changes nothing more
    one = attributor.scored(whole, [combination.terms[0].test_id], Target(), tick)
    shares = [attributor.outside(ids, target) for target, (ids, _) in groups.items()]
    return replace(
        weighted(combination, [(torch.ones(1, dtype=torch.float64, device="cpu"), one)]),
        unit=" and ".join(dict.fromkeys(scores.unit_of(target, attributor.task) for target in groups)),
        outside=max((share for share in shares if share is not None), default=None),
    )
