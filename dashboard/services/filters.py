"""What a list of examples shows, as a record that can be kept, linked and said in words."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from dashboard.services.wording import MISSING, number, percent, plain

SAID = 3  # values of one column that are named in a sentence

Bound = float | str | None  # a number, a date as ISO 8601 text, or open


class Record(BaseModel):
    """Nothing in it changes, and what a newer program added is not taken for less than it says."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Condition(Record):
    """What is asked of one metadata column; an example passes if one of the parts is true of its cell.

    Attributes:
        column: Name of the column.
        values: The cell, as text, is one of these.
        low: The cell is at least this.
        high: The cell is at most this; a date counts to its end.
        text: The cell, as text, contains this, whatever its case.
        missing: The cell is missing.
    """

    column: str
    values: tuple[str, ...] = ()
    low: Bound = None
    high: Bound = None
    text: str = ""
    missing: bool = False

    @property
    def has_range(self) -> bool:
        """Whether it asks for a range."""
        return self.low is not None or self.high is not None

    @property
    def says_something(self) -> bool:
        """Whether it asks for anything at all."""
        return bool(self.values or self.has_range or self.text.strip() or self.missing)


class Filters(Record):
    """What the list shows.

    Attributes:
        outcome: ``all``, ``wrong`` or ``right``; classification only.
        true: Only this true label.
        predicted: Only this predicted class.
        low: Lowest confidence, 0 to 1.
        high: Highest confidence, 0 to 1.
        least_error: Smallest absolute error; regression only.
        search: Part of the key, of the text or of the row.
        sort: ``loss`` (largest first), ``confidence`` (lowest first) or ``id``.
        where: Conditions on metadata columns, all of which must hold.
    """

    outcome: str = "all"
    true: int | None = None
    predicted: int | None = None
    low: float = 0.0
    high: float = 1.0
    least_error: float = 0.0
    search: str = ""
    sort: str = "loss"
    where: tuple[Condition, ...] = ()


def in_words(filters: Filters, class_names: Sequence[str]) -> str:
    """Such as ``wrong, true label 7, age 60 to 80``; empty if nothing is asked."""
    parts = [] if filters.outcome == "all" else [filters.outcome]
    for chosen, role in ((filters.true, "true label"), (filters.predicted, "predicted")):
        if chosen is not None:
            known = 0 <= chosen < len(class_names)
            parts.append(f"{role} {plain(class_names[chosen]) if known else chosen}")
    if filters.low > 0 or filters.high < 1:
        parts.append(f"confidence {percent(filters.low)} to {percent(filters.high)}")
    if filters.least_error > 0:
        parts.append(f"absolute error at least {number(filters.least_error)}")
    if filters.search.strip():
        parts.append(f"contains “{plain(filters.search)}”")
    return ", ".join([*parts, *(_said(condition) for condition in filters.where if condition.says_something)])


def _said(condition: Condition) -> str:
    named = [_values(condition.values)] if condition.values else []
    missing = [MISSING] if condition.missing else []
    contains = [f"contains “{plain(condition.text)}”"] if condition.text.strip() else []
    asked = [_range(condition)] if condition.has_range else contains
    verb = "" if asked else "is "
    return f"{plain(condition.column)} {verb}{' or '.join([*asked, *named, *missing])}"


def _values(values: Sequence[str]) -> str:
    named = [plain(value) or "“”" for value in values[:SAID]]
    more = [f"{len(values) - SAID} more"] if len(values) > SAID else []
    return " or ".join([*named, *more])


def _range(condition: Condition) -> str:
    low, high = (_bound(bound) for bound in (condition.low, condition.high))
    if condition.low is None:
        return f"at most {high}"
    if condition.high is None:
        return f"at least {low}"
    return f"{low} to {high}" if low != high else low


def _bound(bound: Bound) -> str:
    if isinstance(bound, str):
        return plain(bound)
    return "" if bound is None else f"{bound:,.10g}".replace("-", "−")
