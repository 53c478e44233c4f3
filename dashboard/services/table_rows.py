"""Table rows side by side: the columns in which they differ most, in training standard deviations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.services.wording import MISSING, number, plain
from influence_core.store.manifest import Column

SHOWN = 8


@dataclass(frozen=True)
class Difference:
    """One column of a row beside the same column of another.

    Attributes:
        column: Its name.
        value: The row's own cell, in words.
        other: The cell it is compared with, in words.
        symbol: ``▲`` larger, ``▼`` smaller, ``=`` the same, ``≠`` another category, ``?`` a cell is missing.
        size: In training standard deviations; 1 for another category, 0 where nothing can be compared.
    """

    column: str
    value: str
    other: str
    symbol: str
    size: float

    @property
    def said(self) -> str:
        """The difference in words, such as ``▲ 1.3 sd``."""
        if self.symbol in {"▲", "▼"}:
            return f"{self.symbol} {self.size:.1f} sd"
        return {"=": "= same", "≠": "≠ other", "?": "? missing"}[self.symbol]


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def cell(value: Any) -> str:
    """A cell in words."""
    if is_missing(value):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(float(value)) if isinstance(value, (int, float)) else plain(value)


def differences(row: Mapping[str, Any], other: Mapping[str, Any] | None, columns: Sequence[Column]) -> list[Difference]:
    """All columns, the most different first; without another row the comparison is with the training mean."""
    found = [_difference(column, row.get(column.name), _other(column, other)) for column in columns]
    return sorted(found, key=lambda difference: -difference.size)


def _other(column: Column, other: Mapping[str, Any] | None) -> Any:
    if other is not None:
        return other.get(column.name)
    return column.mean if column.numeric else None


def _difference(column: Column, value: Any, other: Any) -> Difference:
    symbol, size = _compare(column, value, other)
    return Difference(plain(column.name), cell(value), cell(other), symbol, size)


def _compare(column: Column, value: Any, other: Any) -> tuple[str, float]:
    if is_missing(value) or is_missing(other):
        return "?", 0.0
    if not column.numeric:
        return ("=", 0.0) if value == other else ("≠", 1.0)
    gap = float(value) - float(other)
    if gap == 0:
        return "=", 0.0
    return ("▲" if gap > 0 else "▼"), abs(gap) / column.std if column.std else 0.0
