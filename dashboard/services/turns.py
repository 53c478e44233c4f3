"""One computation at a time in this process, however many visitors ask."""

from __future__ import annotations

import threading
from types import TracebackType


class Turns:
    """A lock that a long computation can hold without keeping a short one waiting.

    ``with turns:`` computes. Whoever computes for long calls ``let_pass`` between two of its steps: those who wait
    have their turn, then it goes on.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_taken = False
        self._waiting = 0

    def __enter__(self) -> None:
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._is_taken)
            self._waiting -= 1
            self._is_taken = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._is_taken = False
            self._changed.notify_all()

    def let_pass(self) -> None:
        """Let everybody compute who waits; only whoever computes may call it."""
        with self._changed:
            if not self._waiting:
                return
            self._is_taken = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._is_taken and not self._waiting)
            self._is_taken = True
