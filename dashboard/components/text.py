"""A text as it is, with the words it shares with another one marked."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.components.browser import register

_MOUNT = register("text")


def draw(segments: Sequence[tuple[str, bool]], label: str, key: str, note: str = "") -> None:
    """Draw pieces of text, each with whether it is a shared word."""
    _MOUNT(key=key, data={"segments": list(segments), "label": label, "note": note})
