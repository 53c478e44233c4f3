"""Parts of a page that keep their height while what they show is replaced, so that nothing below them moves."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.components.browser import register

_MOUNT = register("steady")


def hold(name: str, parts: Sequence[str]) -> None:
    """Keep containers, by their keys, from getting lower for as long as ``name`` is what they show."""
    _MOUNT(key="steady", data={"name": name, "parts": list(parts)})
