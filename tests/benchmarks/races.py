"""Races: our work against another library's or against the machine's own limit, at equal scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

EQUAL = 0.9999  # Pearson from which two methods' scores count as equal


@dataclass(frozen=True)
class Race:
    """One row of the speed table.

    Attributes:
        work: What is done.
        against: Who else does it, or what it is measured by.
        required: The ratio that is promised.
        seconds_ours: Median, or the p95 where ``work`` says so.
        seconds_theirs: The same of the other; or the limit that is compared with.
        agreement: Pearson of both sides' scores; 1 where there is one answer, as for a limit of the machine. For works
            that agree with the truth on one side only, of our scores with the truth.
        equal: The agreement from which the ratio means something.
        memory_ours: Peak in MB, NaN if it was not measured.
        memory_theirs: The same of the other.
        sense: ``least`` if ``theirs / ours`` must reach ``required``; ``most`` if ``ours / theirs`` must not exceed it.
    """

    work: str
    against: str
    required: float
    seconds_ours: float
    seconds_theirs: float
    agreement: float = 1.0
    equal: float = EQUAL
    memory_ours: float = math.nan
    memory_theirs: float = math.nan
    sense: Literal["least", "most"] = "least"

    @property
    def ratio(self) -> float:
        """Times faster, or, of a limit, times as long; NaN without equal scores, as it would compare two things."""
        if not self.agreement >= self.equal:
            return math.nan
        faster = self.seconds_theirs / self.seconds_ours
        return faster if self.sense == "least" else 1 / faster

    @property
    def met(self) -> bool:
        """Whether the promise is kept; NaN keeps none."""
        return self.ratio >= self.required if self.sense == "least" else self.ratio <= self.required

    @property
    def bound(self) -> str:
        """The promise in words."""
        return f"{'>=' if self.sense == 'least' else '<='} {self.required:g}x"

    def row(self) -> dict[str, str | float | bool | None]:
        """For JSON, which has no NaN."""
        numbers = {**asdict(self), "ratio": self.ratio}
        for name in ("equal", "sense"):
            numbers.pop(name)
        kept = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in numbers.items()}
        return {**kept, "required": self.bound, "met": self.met}


def race_table(races: Sequence[Race]) -> str:
    """One line a race, in Markdown, as the README shows it."""
    lines = ["| work | against | measured | promised | ours | theirs | agreement |", "|---|---|---|---|---|---|---|"]
    for race in races:
        shown = "scores differ" if math.isnan(race.ratio) else f"{race.ratio:.3g}x{'' if race.met else ' (missed)'}"
        times = f"{seconds(race.seconds_ours)} | {seconds(race.seconds_theirs)}"
        agreement = f"{race.agreement:.5g}"
        lines.append(f"| {race.work} | {race.against} | {shown} | {race.bound} | {times} | {agreement} |")
    return "\n".join(lines) + "\n"


def seconds(value: float) -> str:
    """Seconds or milliseconds with three digits."""
    return f"{value:.3g} s" if value >= 1 else f"{1000 * value:.3g} ms"
