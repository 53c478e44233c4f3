"""The influence of every training example on one prediction, ready for the page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dashboard.services.wording import side_names
from influence_core.rankings import Rank
from influence_core.scores import InfluenceScores, Words
from influence_core.store import Run
from influence_core.target import Target

SIGNS = {"positive": 1, "negative": -1}


@dataclass(frozen=True)
class Explanation:
    """The scores of one prediction.

    Attributes:
        test_id: The prediction.
        target: What is measured.
        words: How the signs are called.
        unit: Of the scores.
        values: One score a training example, float64.
        ranked: Side (``positive`` or ``negative``) -> training ids, strongest first by ``numbers``.
        residual: Relative residual of the solve.
        is_stalled: Whether the solve did not reach an answer, so that a ranking would mislead.
        solved: How it was solved, in words; empty for a direct method.
        advice: What to change about a solve that did not reach an answer; empty if it did.
        damping: What was added to the curvature.
        method: Name of the method.
        rank: What examples are ranked by.
        numbers: What that gives, one a training example, in the sign of its score; the scores where it is the effect.
        outside: Share of the prediction's gradient that the method leaves out, 0 to 1; None where that is nothing.
        damping_rule: How the damping was chosen, or what is done in its place, in words; empty if it was given.
        is_first: Whether this is an approximate answer at once, to be replaced by one that is solved.
    """

    test_id: int
    target: Target
    words: Words
    unit: str
    values: np.ndarray
    ranked: dict[str, np.ndarray]
    residual: float
    damping: float
    method: str
    numbers: np.ndarray
    rank: Rank = "effect"
    is_stalled: bool = False
    solved: str = ""
    advice: str = ""
    outside: float | None = None
    damping_rule: str = ""
    is_first: bool = False

    @property
    def n_train(self) -> int:
        """Number of training examples."""
        return len(self.values)

    def total(self, side: str) -> float:
        """Sum of the scores of one side, as a positive number."""
        return float(np.abs(self.values[self.ranked[side]]).sum())

    def share(self, train_id: int) -> float:
        """The example's part of all influence with its sign, 0 to 1."""
        value = float(self.values[train_id])
        total = self.total("positive" if value > 0 else "negative")
        return abs(value) / total if total > 0 else 0.0


def is_computed(run: Run, target: Target) -> bool:
    """Whether the scores take a computation; else they are read, or known not to be there, at once."""
    return run.answers_any_target and target != run.target


def explain(run: Run, test_id: int, target: Target, rank: Rank = "effect") -> Explanation:
    """Ask a run for the scores of one prediction.

    Raises:
        MethodError: If the run does not know what that ranking divides by.
    """
    return explained(run, run.scores(test_id, target), rank)


def explained(run: Run, found: InfluenceScores, rank: Rank = "effect") -> Explanation:
    """One prediction's scores of a run, ready for the page.

    Raises:
        MethodError: If the run does not know what that ranking divides by.
    """
    (test_id,) = found.test_ids
    values = np.asarray(found.of(test_id).double().numpy())
    numbers = np.asarray(run.numbers(found, test_id, rank).double().numpy())
    order = np.argsort(-numbers, kind="stable")
    reverse = np.argsort(numbers, kind="stable")
    solve = found.solves[0] if found.solves else None
    return Explanation(
        test_id=test_id,
        target=found.target,
        words=run.words(test_id, found.target),
        unit=found.unit,
        values=values,
        ranked={"positive": order[values[order] > 0], "negative": reverse[values[reverse] < 0]},
        residual=found.residual,
        damping=found.damping,
        method=found.method,
        numbers=numbers,
        rank=rank,
        is_stalled=not found.converged,
        solved=solve.sentence if solve else "",
        advice=solve.advice if solve else "",
        outside=found.outside,
        damping_rule=found.damping_rule,
        is_first=found.is_first,
    )


def sizes_of(explanation: Explanation, side: str) -> np.ndarray:
    """Sizes of the scores of one side, the largest first, whatever the examples are ranked by."""
    return np.sort(np.abs(explanation.values[explanation.ranked[side]]))[::-1]


def carriers_of_half(explanation: Explanation, side: str) -> int:
    """How many of the strongest examples carry half of one side's influence."""
    sizes = sizes_of(explanation, side)
    if not len(sizes):
        return 0
    return int(np.searchsorted(np.cumsum(sizes), 0.5 * sizes.sum()) + 1)


def sentence(explanation: Explanation) -> str:
    """The headline: how concentrated the influence is; of numbers that judge nothing, how many there are of each."""
    if explanation.words.is_neutral:
        return _counted(explanation)
    helpful, harmful = side_names(explanation.words, explanation.target)
    few, rest = carriers_of_half(explanation, "negative"), carriers_of_half(explanation, "positive")
    n = explanation.n_train
    if not few and not rest:
        return f"None of the {n:,} training examples moves this prediction."
    if not few:
        return f"No training example has {harmful}; {rest:,} of {n:,} carry half of the {helpful}."
    carry = "carries" if few == 1 else "carry"
    first = f"{few:,} of {n:,} training examples {carry} half of the {harmful}"
    return f"{first}; {rest:,} {'carries' if rest == 1 else 'carry'} half of the {helpful}." if rest else f"{first}."


def _counted(explanation: Explanation) -> str:
    sides = ((explanation.words.positive, "positive"), (explanation.words.negative, "negative"))
    parts = [f"{len(explanation.ranked[side]):,} {word}" for word, side in sides]
    return f"Of {explanation.n_train:,} training examples: {', '.join(parts)}."
