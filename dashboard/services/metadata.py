"""The user's own columns: what each holds, and which examples pass a condition on it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from dashboard.services.filters import Bound, Condition
from dashboard.services.wording import MISSING, distinct, plain

MOST_CHOICES = 50  # more distinct texts are searched in, not listed
MOST_NUMBERS = 5  # so few distinct numbers are codes, such as 0 and 1, and are chosen one by one
LONGEST = 200  # characters of a cell beside an example
DAY = pd.Timedelta(days=1)

Kind = Literal["choice", "number", "date", "text"]


@dataclass(frozen=True)
class Column:
    """One metadata column.

    Attributes:
        name: As the user calls it.
        kind: How it is filtered: by choosing values, by a range of numbers or dates, or by a part of the text.
        values: Of a choice: each value as text and how many examples have it.
        low: Of a range: the least value; a date as ISO 8601 text.
        high: Of a range: the greatest.
        whole: Of a range of numbers: whether all are integers.
        missing: How many cells are missing.
        is_number: Whether it can be asked for a range of numbers, however it is filtered here.
        is_date: Whether it can be asked for a range of dates.
    """

    name: str
    kind: Kind
    values: tuple[tuple[str, int], ...]
    low: Bound
    high: Bound
    whole: bool
    missing: int
    is_number: bool = False
    is_date: bool = False

    @property
    def labels(self) -> dict[str, str]:
        """Of a choice: value -> what a menu calls it; no two alike."""
        shown = [plain(value) or "“”" for value, _ in self.values]
        quoted = [f"“{name}”" if name == MISSING else name for name in shown]  # the word, not a cell without one
        counted = [f"{name} ({n:,})" for name, (_, n) in zip(quoted, self.values, strict=True)]
        return dict(zip((value for value, _ in self.values), distinct(counted), strict=True))


def names(columns: Sequence[Column]) -> dict[str, str]:
    """Column -> what a menu calls it; no two alike."""
    return dict(zip((c.name for c in columns), distinct(plain(c.name) or "“”" for c in columns), strict=True))


def facts(example: Mapping[str, Any], other: Mapping[str, Any] | None = None) -> list[dict[str, str]]:
    """What is known of an example, and of another one beside it, in words."""
    lines = []
    for name in [*example, *(name for name in other or () if name not in example)]:
        line = {"column": plain(name), "value": _said(example.get(name))}
        lines.append(line if other is None else {**line, "other": _said(other.get(name))})
    return lines


def _said(cell: Any) -> str:
    if pd.isna(cell):
        return MISSING
    return f"{cell:,.6g}".replace("-", "−") if isinstance(cell, float) else plain(word(cell), longest=LONGEST)


def describe(frame: pd.DataFrame) -> list[Column]:
    """What each column holds."""
    return [_column(str(name), frame.iloc[:, i]) for i, name in enumerate(frame.columns)]


def _column(name: str, cells: pd.Series[Any]) -> Column:
    codes, distinct_cells = _coded(cells)
    missing, many = int((codes < 0).sum()), len(distinct_cells)
    bare = Column(name, "text", (), None, None, False, missing, _is_number(cells), _is_date(cells))  # noqa: FBT003
    if bare.is_date and many:
        days = cells.dropna()
        low, high = (day.date().isoformat() for day in (days.min(), days.max()))
        return replace(bare, kind="date", low=low, high=high)
    if bare.is_number and many > MOST_NUMBERS:
        known = cells.dropna().to_numpy(dtype=float)
        finite = known[np.isfinite(known)]
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
        return replace(bare, kind="number", low=low, high=high, whole=bool((known == np.floor(known)).all()))
    if many > MOST_CHOICES:
        return bare
    counts = zip(map(word, distinct_cells), np.bincount(codes[codes >= 0], minlength=many).tolist(), strict=True)
    order = _by_number if bare.is_number else _by_count
    return replace(bare, kind="choice", values=tuple(sorted(counts, key=order)))


def _coded(cells: pd.Series[Any]) -> tuple[np.ndarray, list[Any]]:
    """For each cell which of the distinct ones it is, -1 if missing, so that each of them is looked at once."""
    codes, found = pd.factorize(cells)
    return np.asarray(codes), pd.Series(found).tolist()


def _by_number(value: tuple[str, int]) -> Any:
    return float(value[0])


def _by_count(value: tuple[str, int]) -> Any:
    return -value[1], value[0]


def word(cell: object) -> str:
    """One cell as text: ``true``, ``3`` also of 3.0, a date without the time of midnight."""
    if isinstance(cell, bool | np.bool_):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)  # noqa: PLR2004
    if isinstance(cell, datetime.datetime | np.datetime64):
        stamp = pd.Timestamp(cell)
        return stamp.date().isoformat() if stamp == stamp.normalize() else str(stamp)
    return str(cell)


def passing(frame: pd.DataFrame, condition: Condition) -> np.ndarray:
    """Which rows pass; none if there is no such column or it holds nothing that could be in a range."""
    names = [str(name) for name in frame.columns]
    passed = np.zeros(len(frame), dtype=bool)
    if condition.column not in names:
        return passed
    cells = frame.iloc[:, names.index(condition.column)]
    if condition.missing:
        passed |= cells.isna().to_numpy(dtype=bool)
    if condition.values or condition.text.strip():
        codes, found = _coded(cells)
        wanted, needle = set(condition.values), condition.text.strip().casefold()
        said = [one in wanted or bool(needle and needle in one.casefold()) for one in map(word, found)]
        passed |= np.array([*said, False], dtype=bool)[codes]  # -1, a missing cell, is the last
    if condition.has_range and fits(cells, condition):
        passed |= _in_range(cells, condition)
    return passed


def _in_range(cells: pd.Series[Any], condition: Condition) -> np.ndarray:
    inside = cells.notna().to_numpy(dtype=bool, copy=True)
    low, high = condition.low, condition.high
    if _is_date(cells):
        days = cells.dt.tz_localize(None) if cells.dt.tz is not None else cells
        if low is not None:
            inside &= (days >= pd.Timestamp(low)).to_numpy()
        if high is not None:
            inside &= (days < pd.Timestamp(high) + DAY).to_numpy()
        return inside
    numbers = cells.to_numpy(dtype=float, na_value=np.nan)
    with np.errstate(invalid="ignore"):
        inside &= numbers >= (-np.inf if low is None else float(low))
        inside &= numbers <= (np.inf if high is None else float(high))
    return inside


def fits(cells: pd.Series[Any], condition: Condition) -> bool:
    """Whether a column can be asked for a condition's range: numbers for numbers, dates for dates."""
    bounds = [bound for bound in (condition.low, condition.high) if bound is not None]
    if _is_date(cells):
        return all(isinstance(bound, str) for bound in bounds)
    return not bounds or (_is_number(cells) and not any(isinstance(bound, str) for bound in bounds))


def _is_number(cells: pd.Series[Any]) -> bool:
    return pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells)


def _is_date(cells: pd.Series[Any]) -> bool:
    return pd.api.types.is_datetime64_any_dtype(cells)
