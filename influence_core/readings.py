"""What the number of a baseline says: as it is no prediction of a refit, it has a unit and words of its own."""

from __future__ import annotations

from dataclasses import dataclass

from influence_core.scores import Words
from influence_core.target import Target


@dataclass(frozen=True)
class Reading:
    """How to read a baseline's scores.

    Attributes:
        unit: In words; ``{}`` stands for the unit of what is measured.
        sentence: What the number is, and that it is no prediction of a refit.
        positive: What a positive score is called; empty where it is called as the measurement's own score is, such as
            ``helpful``, because the number judges the same thing in another way.
        negative: What a negative score is called.
        meaning: One sentence that says what positive means; empty where ``positive`` is.
        for_any_target: Whether the scores are the same whatever is measured of a prediction.
    """

    unit: str
    sentence: str
    positive: str = ""
    negative: str = ""
    meaning: str = ""
    for_any_target: bool = False

    def unit_of(self, measured: str) -> str:
        """The unit, of a measurement in the unit ``measured``."""
        return self.unit.format(measured)

    def words(self, effect: Words, target: Target) -> Words:
        """The words, from those of a predicted effect on the same measurement."""
        if self.positive:
            return Words(self.positive, self.negative, self.meaning, effect.measured, is_neutral=True)
        moved = "raise" if target.larger_is_better else "lower"
        step = f"a gradient step on this training example would {moved} the {effect.measured}"
        return Words(effect.positive, effect.negative, f"Positive = {effect.positive}: {step}.", effect.measured)
