"""Example cards: a picture, an excerpt or a row with its key, label, rank, share and score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.components.browser import register

_MOUNT = register("cards")


@dataclass(frozen=True)
class Deck:
    """One list of cards.

    Attributes:
        title: Its headline.
        note: Beside the headline, such as how many there are.
        cards: What each card shows.
        empty: Said if there is none.
        noun: What a card is, for screen readers.
        side: ``positive``, ``negative`` or nothing.
    """

    title: str
    note: str
    cards: Sequence[Mapping[str, Any]]
    empty: str
    noun: str = "training example"
    side: str = ""


def draw(
    deck: Deck,
    key: str,
    on_open: Callable[[], None],
    on_tick: Callable[[], None] | None = None,
    picked: Sequence[int] = (),
) -> None:
    """Draw a deck. The component's state under ``key`` has ``open`` (an id) and ``ticks`` (shown and picked ids)."""
    data = {
        "title": deck.title,
        "note": deck.note,
        "cards": list(deck.cards),
        "empty": deck.empty,
        "noun": deck.noun,
        "side": deck.side,
        "picked": list(picked),
        "tickable": on_tick is not None,
    }
    _MOUNT(key=key, data=data, on_open_change=on_open, on_ticks_change=on_tick or _ignore)


def _ignore() -> None:
    """A deck without boxes has nothing to tick."""
