"""What each column of a table looks like it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

Kind = Literal["number", "words", "text", "date", "empty"]
MEAN_CHARACTERS = 25  # of a column of texts
MEAN_SPACES = 3
MOSTLY = 0.5  # of the cells that are there
MANY_ONCE = 15  # words that each occur once: so many are names as well
MANY_WORDS = 50  # different ones, from which a column of mostly different words is one of names


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: Its name.
        kind: What it holds.
        distinct: How many different cells, missing ones aside.
        missing: How many cells are missing.
        n: How many rows there are.
        length: Mean characters of a cell of words.
        is_whole: Whether all its numbers are whole.
    """

    name: str
    kind: Kind
    distinct: int
    missing: int
    n: int
    length: float = 0.0
    is_whole: bool = False

    @property
    def is_unique(self) -> bool:
        """Whether every row has a cell of its own."""
        return self.distinct == self.n and not self.missing

    @property
    def is_of_names(self) -> bool:
        """Whether nearly every cell is another word, from which nothing can be learnt."""
        known = self.n - self.missing
        many = self.distinct > MANY_WORDS and self.distinct > MOSTLY * known
        return self.kind == "words" and (many or self.distinct == known > MANY_ONCE)


def describe(frame: pd.DataFrame) -> list[Column]:
    """Every column."""
    return [column_of(str(name), frame[name]) for name in frame.columns]


def column_of(name: str, values: pd.Series) -> Column:
    """One column."""
    missing, distinct, n = int(values.isna().sum()), int(values.nunique()), len(values)
    if missing == n:
        return Column(name, "empty", 0, missing, n)
    if pd.api.types.is_numeric_dtype(values):
        known = values.dropna()
        return Column(name, "number", distinct, missing, n, is_whole=bool((known % 1 == 0).all()))
    if pd.api.types.is_datetime64_any_dtype(values):
        return Column(name, "date", distinct, missing, n)
    known = values.dropna().astype(str)
    length, spaces = float(known.str.len().mean()), float(known.str.count(" ").mean())
    is_text = length >= MEAN_CHARACTERS and spaces >= MEAN_SPACES and distinct > MOSTLY * len(known)
    return Column(name, "text" if is_text else "words", distinct, missing, n, length)
