"""Two runs side by side for one prediction: do they put the training examples in the same order?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from dashboard.services.influence import Explanation
from dashboard.services.wording import plain

SIDES = ("positive", "negative")
LARGEST = (10, 20, 50)  # how many of the strongest examples are looked for in the other run's strongest
HEADLINE = LARGEST[0]
DRAWN = 2_000  # points; a browser draws and finds that many under the pointer at once


@dataclass(frozen=True)
class Overlap:
    """How many of the strongest examples of one run are among the strongest of the other.

    Attributes:
        k: How many of the strongest were asked for.
        common: How many are in both.
        of: How many there are: less than ``k`` if neither run has ``k`` examples on that side.
    """

    k: int
    common: int
    of: int

    @property
    def said(self) -> str:
        """In words, such as ``9 of 10``."""
        return f"{self.common} of {self.of}" if self.of else "none"


@dataclass(frozen=True)
class Comparison:
    """What two runs say about one prediction.

    Attributes:
        obstacle: Why they cannot be compared; empty if they can, and only then the rest is filled in.
        sentence: The headline.
        here: Rank of every training example in the first run, 1 = largest score; ties share their mean rank.
        there: The same in the second run.
        spearman: Correlation of both rankings, -1 to 1.
        overlaps: Side -> overlaps, one for each of ``LARGEST``.
    """

    obstacle: str
    sentence: str
    here: np.ndarray
    there: np.ndarray
    spearman: float
    overlaps: dict[str, list[Overlap]]


def compare(here: Explanation, there: Explanation) -> Comparison:
    """Compare the scores of two runs for the same prediction and target."""
    obstacle = _obstacle(here, there)
    if obstacle:
        nothing = np.array([])
        return Comparison(obstacle, "", nothing, nothing, float("nan"), {})
    overlaps = {side: [overlap(here, there, side, k) for k in LARGEST] for side in SIDES}
    ranks = (ranked(here.values), ranked(there.values))
    return Comparison("", _sentence(here, overlaps), *ranks, spearman(here.values, there.values), overlaps)


def _obstacle(here: Explanation, there: Explanation) -> str:
    """Why there is nothing to compare; a run without an answer has no ranking."""
    for one, name in ((here, "This run"), (there, "The other run")):
        if one.is_stalled or not np.isfinite(one.values).all():
            return f"{name} did not reach an answer for this prediction, so the two cannot be compared."
        if np.ptp(one.values) == 0:
            return f"{name} gives every training example the same score, so the two cannot be compared."
    return ""


def ranked(values: np.ndarray) -> np.ndarray:
    """Ranks, 1 = most positive; ties share their mean rank."""
    return np.asarray(stats.rankdata(-values, method="average"))


def spearman(here: np.ndarray, there: np.ndarray) -> float:
    """Spearman's rank correlation over all training examples; ties share their mean rank."""
    return float(stats.spearmanr(here, there).statistic)


def overlap(here: Explanation, there: Explanation, side: str, k: int) -> Overlap:
    """Of the ``k`` strongest examples of one side; ties go by id in both runs, as they do on the cards."""
    ours, others = (set(one.ranked[side][:k].tolist()) for one in (here, there))
    return Overlap(k, len(ours & others), max(len(ours), len(others)))


def _sentence(shown: Explanation, overlaps: dict[str, list[Overlap]]) -> str:
    harm, help_ = (next(o for o in overlaps[side] if o.k == HEADLINE) for side in ("negative", "positive"))
    harmful, helpful = strongest(shown)
    parts = [f"{_agreed(o)} {name}" for o, name in ((harm, harmful), (help_, helpful)) if o.of]
    return f"The two runs agree on {' and on '.join(parts)}."


def _agreed(found: Overlap) -> str:
    """Such as ``9 of the 10``."""
    if found.common == found.of > 1:
        return f"all {found.of}"
    return f"{found.common or 'none'} of the {found.of}"


def strongest(shown: Explanation) -> tuple[str, str]:
    """What the most negative and the most positive examples are called."""
    positive, negative = plain(shown.words.positive), plain(shown.words.negative)
    if shown.target.is_true_loss:
        return f"most {negative} examples", f"most {positive} examples"
    return f"strongest for “{negative}”", f"strongest for “{positive}”"


def first_rank(shown: Explanation) -> str:
    """What rank 1 means."""
    positive = plain(shown.words.positive)
    is_quality = shown.target.is_true_loss or shown.words.is_neutral
    return f"1 = most {positive}" if is_quality else f"1 = {positive} most"


def drawn(found: Comparison, marked: Sequence[int]) -> np.ndarray:
    """Training ids to draw: all, or those at both ends of either ranking and an even share of the rest."""
    n = len(found.here)
    if n <= DRAWN:
        return np.arange(n)
    ends = DRAWN // 8
    orders = [np.argsort(ranks, kind="stable") for ranks in (found.here, found.there)]
    strongest = [part for order in orders for part in (order[:ends], order[-ends:])]
    even = orders[0][:: -(-n // (DRAWN // 2))]
    return np.unique(np.concatenate([*strongest, even, np.asarray(marked, dtype=int)]))
