"""The distribution of influence over the whole training set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.services.influence import Explanation, sizes_of
from dashboard.services.wording import class_name

BINS_A_SIDE = 18
MOST_CLASSES = 6
DECADES = 4.0  # at most this many powers of ten are told apart on each side of zero


@dataclass(frozen=True)
class SignedLog:
    """An axis that is linear around zero and logarithmic beyond ``linear``."""

    linear: float

    def to_axis(self, values: np.ndarray) -> np.ndarray:
        """Positions of scores."""
        return np.asarray(np.sign(values) * np.log10(1 + np.abs(values) / self.linear))

    def to_score(self, positions: np.ndarray) -> np.ndarray:
        """Scores of positions."""
        return np.asarray(np.sign(positions) * self.linear * (10 ** np.abs(positions) - 1))


@dataclass(frozen=True)
class Distribution:
    """Counts of scores, by class of the training example.

    Attributes:
        axis: The signed-log axis.
        edges: Bin edges on the axis; zero is one of them.
        scores: The same edges as scores.
        counts: Class name -> number of training examples in each bin.
        ticks: Positions and scores of the axis labels.
    """

    axis: SignedLog
    edges: np.ndarray
    scores: np.ndarray
    counts: dict[str, np.ndarray]
    ticks: tuple[np.ndarray, np.ndarray]


def distribution(
    explanation: Explanation, labels: np.ndarray, class_names: list[str], first: Sequence[int] = ()
) -> Distribution:
    """Bin the scores.

    Args:
        explanation: The scores.
        labels: Class of each training example; ignored in regression.
        class_names: Names of the classes; empty in regression.
        first: Classes that keep a line of their own, such as the true and the predicted one.
    """
    axis = signed_log(explanation.values)
    reach = max(float(np.abs(axis.to_axis(explanation.values)).max()), 1e-9) * (1 + 1e-9)
    edges = np.linspace(-reach, reach, 2 * BINS_A_SIDE + 1)
    positions = axis.to_axis(explanation.values)
    groups = _groups(explanation.values, labels, class_names, first)
    counts = {name: np.histogram(positions[members], bins=edges)[0] for name, members in groups.items()}
    return Distribution(axis, edges, axis.to_score(edges), counts, _ticks(axis, reach))


def signed_log(values: np.ndarray) -> SignedLog:
    """An axis on which the small half of the scores is still told apart."""
    sizes = np.abs(values[values != 0])
    if not len(sizes):
        return SignedLog(1.0)
    return SignedLog(max(float(np.quantile(sizes, 0.25)), float(sizes.max()) / 10**DECADES))


def _groups(
    values: np.ndarray, labels: np.ndarray, class_names: list[str], first: Sequence[int]
) -> dict[str, np.ndarray]:
    if not class_names:
        return {"all training examples": np.ones(len(values), dtype=bool)}
    weight = np.bincount(labels.astype(int), weights=np.abs(values), minlength=len(class_names))
    order = list(dict.fromkeys([*first, *np.argsort(-weight, kind="stable").tolist()]))
    own = order if len(order) <= MOST_CLASSES else order[: MOST_CLASSES - 1]
    groups = {class_name(c, class_names): labels == c for c in own}
    if len(own) < len(order):
        groups[f"{len(order) - len(own)} other classes"] = ~np.isin(labels, own)
    return groups


def _ticks(axis: SignedLog, reach: float) -> tuple[np.ndarray, np.ndarray]:
    largest = float(axis.to_score(np.array([reach]))[0])
    top = int(np.floor(np.log10(largest)))
    sizes = 10.0 ** np.arange(top - 2, top + 1)
    sizes = sizes[sizes > axis.linear]
    scores = np.concatenate([-sizes[::-1], [0.0], sizes])
    return axis.to_axis(scores), scores


def within(explanation: Explanation, low: float, high: float) -> np.ndarray:
    """Training ids whose score lies in a range, the largest size first."""
    values = explanation.values
    ids = np.flatnonzero((values >= low) & (values <= high))
    return ids[np.argsort(-np.abs(values[ids]), kind="stable")]


def cumulative(explanation: Explanation, side: str, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """How much of one side's influence its strongest k examples carry: k and share, thinned to some points."""
    sizes = sizes_of(explanation, side)
    if not len(sizes):
        return np.array([]), np.array([])
    shares = np.cumsum(sizes) / sizes.sum()
    kept = np.unique(np.geomspace(1, len(sizes), min(points, len(sizes))).round().astype(int)) - 1
    return kept + 1, shares[kept]
