"""Texts side by side: the words they share, and the part worth showing."""

from __future__ import annotations

import re
from bisect import bisect_left

EMPTY = "(empty text)"
WORD = re.compile(r"\w+")
SHORTEST = 3
_COMMON = """
a about after all also an and any are as at be been but by can could did do does for from get had has have he her here
him his how i if in into is it its just like may me more most my no not now of on one only or other our out over she so
some such than that the their them then there these they this to too up us was we were what when which who why will
with would you your com http https www
"""
COMMON = frozenset(_COMMON.split())

Segments = list[tuple[str, bool]]


def words(text: str) -> frozenset[str]:
    """The words of a text that say something, in lower case."""
    found = (word.casefold() for word in WORD.findall(text))
    return frozenset(word for word in found if len(word) >= SHORTEST and word not in COMMON)


def segments(text: str, shared: frozenset[str]) -> Segments:
    """The text in pieces, each with whether it is a shared word; of a text without characters, that there are none."""
    if not text.strip():
        return [(EMPTY, False)]
    pieces: Segments = []
    plain_from = 0
    for match in WORD.finditer(text):
        if match.group().casefold() in shared:
            pieces += [(text[plain_from : match.start()], False), (match.group(), True)]
            plain_from = match.end()
    pieces.append((text[plain_from:], False))
    return [piece for piece in pieces if piece[0]]


def excerpt(text: str, shared: frozenset[str], length: int) -> str:
    """About ``length`` characters around the place with the most shared words."""
    tidy = " ".join(text.split())
    if len(tidy) <= length:
        return tidy
    places = [m.start() for m in WORD.finditer(tidy) if m.group().casefold() in shared]
    counts = [bisect_left(places, at + length) - i for i, at in enumerate(places)]
    start = places[counts.index(max(counts))] if places else 0
    start = max(0, min(start - length // 6, len(tidy) - length))
    return f"{'… ' if start else ''}{tidy[start : start + length].strip()}{' …' if start + length < len(tidy) else ''}"
