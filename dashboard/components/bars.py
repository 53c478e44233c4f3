"""Short lists of names, bars and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from dashboard.components.browser import register

_MOUNT = register("bars")


class Bar(TypedDict):
    """One line; ``width`` is 0 to 1, ``side`` is ``positive``, ``negative`` or nothing."""

    name: str
    value: str
    width: float
    strong: bool
    side: str


def draw(bars: Sequence[Bar], label: str, key: str) -> None:
    """Draw the lines in the order given."""
    _MOUNT(key=key, data={"rows": list(bars), "label": label})
