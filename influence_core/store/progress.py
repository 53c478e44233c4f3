"""How long work tells where it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from influence_core.methods.base import Tick


@dataclass(frozen=True)
class Progress:
    """Where a build or a solve is.

    Attributes:
        stage: In words.
        done: Units done of this stage.
        total: Units of this stage.
        seconds_left: Of this stage, from its speed so far; None while that is unknown.
    """

    stage: str
    done: int
    total: int
    seconds_left: float | None


Report = Callable[[Progress], None]


@dataclass
class Ticker:
    """Turns counts into progress with a time left; ``with Ticker(...) as tick`` reports start and end.

    Attributes:
        title: The stage in words.
        report: Told; an exception that it raises stops the work.
    """

    title: str
    report: Report
    started: float = 0.0

    def __enter__(self) -> Tick:
        """Report the start."""
        self.started = time.perf_counter()
        self.report(Progress(self.title, 0, 1, None))
        return self._tick

    def __exit__(self, kind: object, *_: object) -> None:
        """Report the end, unless the work failed."""
        if kind is None:
            self.report(Progress(self.title, 1, 1, 0.0))

    def _tick(self, done: int, total: int) -> None:
        spent = time.perf_counter() - self.started
        self.report(Progress(self.title, done, total, spent / done * (total - done) if done else None))


def within(tick: Tick, done: int, size: int, total: int) -> Tick:
    """The tick of one part of ``size`` units within ``total``, after ``done`` of them; it counts in thousandths."""

    def inner(part: int, whole: int) -> None:
        tick(int(1000 * (done + size * part / max(whole, 1))), 1000 * total)

    return inner
