"""How predicted changes compare with refitted ones: in correlation and in slope, as correlation hides a wrong scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from influence_core.placement import seeded

State = Literal["checked", "doubtful", "do not rely"]

GOOD_CORRELATION, FAIR_CORRELATION = 0.95, 0.8
GOOD_SLOPES = (2 / 3, 3 / 2)


@dataclass(frozen=True)
class Check:
    """Scores against refits.

    Attributes:
        state: ``checked`` (Pearson at least 0.95 and slope between 2/3 and 3/2), ``doubtful`` (Pearson at least
            0.8) or ``do not rely``.
        pearson: Correlation over all pairs.
        slope: Ordinary least squares of the refitted change on the predicted change, with intercept: above 1 means
            that scores are too small.
        median_relative_error: Median of ``|predicted - refitted| / |refitted|``.
        n_removed: Training examples that were left out, one refit each.
        n_test: Test predictions that were measured after each refit.
    """

    state: State
    pearson: float
    slope: float
    median_relative_error: float
    n_removed: int
    n_test: int

    @property
    def sentence(self) -> str:
        """What was checked, in words."""
        return (
            f"{self.n_removed} refits, each without one random training example, measured on {self.n_test} "
            f"predictions: correlation {self.pearson:.3f}, real changes are {self.slope:.2f} times the predicted ones "
            f"(median error {100 * self.median_relative_error:.0f} %)."
        )


def agreement(predicted: Tensor, refitted: Tensor) -> Check:
    """Compare changes of shape ``(removed, test)``; fewer than three pairs cannot be compared.

    Raises:
        ValueError: If there are fewer than three pairs.
    """
    x, y = predicted.double().flatten(), refitted.double().flatten()
    if len(x) < 3:  # noqa: PLR2004  (a line through two points always fits)
        msg = f"{len(x)} pairs of changes cannot be compared; refit without at least three examples."
        raise ValueError(msg)
    pearson, slope = pearson_and_slope(x, y)
    error = ((x - y).abs() / y.abs().clamp_min(1e-300)).median()
    return Check(_state(pearson, slope), pearson, slope, float(error), len(predicted), predicted[0].numel())


def pearson_and_slope(predicted: Tensor, refitted: Tensor) -> tuple[float, float]:
    """Pearson correlation, and the slope of refitted on predicted with intercept."""
    x, y = predicted - predicted.mean(), refitted - refitted.mean()
    spread = x.square().sum()
    if not spread > 0 or not y.square().sum() > 0:
        return 0.0, 0.0
    return float((x @ y) / (spread * y.square().sum()).sqrt()), float((x @ y) / spread)


def _state(pearson: float, slope: float) -> State:
    if pearson >= GOOD_CORRELATION and GOOD_SLOPES[0] <= slope <= GOOD_SLOPES[1]:
        return "checked"
    return "doubtful" if pearson >= FAIR_CORRELATION and slope > 0 else "do not rely"


def sample_rows(n: int, size: int) -> list[int]:
    """A fixed random sample of row ids, in ascending order."""
    order = torch.randperm(n, generator=seeded(0), device="cpu")
    return sorted(order[:size].tolist())
