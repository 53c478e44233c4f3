"""Filters on the user's own columns, of the predictions or of the training examples."""

from __future__ import annotations

import datetime
from functools import partial

import streamlit as st

from dashboard import cache, state
from dashboard.components.labels import safe
from dashboard.views.shell import Screen

FEW = 4  # so many columns are shown at once; of more, one is chosen first
MISSING = "\0missing"  # no value of a column: texts that were stored have been through a file that cannot hold it


def draw(screen: Screen, split: str) -> None:
    """One control a column; if there are many, those in use and the one that was chosen."""
    columns = cache.columns(screen.folder, split)
    if not columns:
        return
    shown = columns
    if len(columns) > FEW:
        chosen = _menu(columns, split)
        shown = [one for one in columns if one.name == chosen or _asked(split, one.name) != state.Condition(one.name)]
    for column in shown:
        _control(column, split, columns.index(column))


def _menu(columns: list[cache.Column], split: str) -> str | None:
    names = cache.column_names(columns)
    chosen: str | None = st.selectbox(
        "Metadata column",
        list(names),
        index=None,
        key=f"meta-{split}-column",
        format_func=names.__getitem__,
        placeholder=f"Choose one of {len(names)}",
    )
    return chosen


def _asked(split: str, name: str) -> state.Condition:
    return next((one for one in state.conditions(split) if one.column == name), state.Condition(name))


def _control(column: cache.Column, split: str, place: int) -> None:
    key = f"meta-{split}-{place}"
    asked = _asked(split, column.name)
    change = partial(_CHANGES[column.kind], key, split, column.name)
    if column.kind == "choice":
        _choice(column, key, asked, change)
        return
    if column.kind == "text":
        control = state.control(f"{key}-text", asked.text)
        st.text_input(f"{safe(column.name)} contains", key=control, on_change=change)
    else:
        for part, (label, side) in zip(st.columns(2), (("from", "low"), ("to", "high")), strict=True):
            with part:
                _bound(column, f"{key}-{side}", f"{safe(column.name)} {label}", getattr(asked, side), change)
    if column.missing:
        control = state.control(f"{key}-missing", asked.missing)
        other = "or " if asked != state.Condition(column.name) and not _is_only_missing(asked) else ""
        st.checkbox(f"{other}{safe(column.name)} is missing ({column.missing:,})", key=control, on_change=change)


def _is_only_missing(asked: state.Condition) -> bool:
    return asked == state.Condition(asked.column, missing=True)


def _choice(column: cache.Column, key: str, asked: state.Condition, change: partial[None]) -> None:
    labels = column.labels | {
        value: f"{cache.plain(value)} (0)" for value in asked.values if value not in column.labels
    }
    labels |= {MISSING: f"missing ({column.missing:,})"} if column.missing or asked.missing else {}
    control = state.control(f"{key}-values", [*asked.values, *([MISSING] if asked.missing else [])])
    st.multiselect(
        safe(column.name),
        list(labels),
        key=control,
        on_change=change,
        format_func=labels.__getitem__,
        placeholder="any",
    )


def _bound(column: cache.Column, key: str, label: str, value: float | str | None, change: partial[None]) -> None:
    end = column.low if key.endswith("low") else column.high
    if column.kind == "date":
        low, high = (datetime.date.fromisoformat(str(day)) for day in (column.low, column.high))
        control = state.control(key, datetime.date.fromisoformat(value) if isinstance(value, str) else None)
        st.date_input(
            label, value=None, min_value=low, max_value=high, key=control, on_change=change, format="YYYY-MM-DD"
        )
        return
    number = value if isinstance(value, int | float) else None
    kind = int if column.whole and (number is None or float(number).is_integer()) else float
    control = state.control(key, None if number is None else kind(number))
    st.number_input(
        label,
        value=None,
        step=1 if kind is int else _step(column),
        format="%d" if kind is int else "%.6g",
        key=control,
        on_change=change,
        placeholder=cache.number(float(end or 0)),
    )


def _step(column: cache.Column) -> float:
    """A hundredth of the range: what one press of an arrow should change."""
    return (float(column.high or 0) - float(column.low or 0)) / 100 or 1.0


def _choose(key: str, split: str, name: str) -> None:
    chosen = state.value_of(f"{key}-values") or []
    values = tuple(value for value in chosen if value != MISSING)
    state.set_condition(split, state.Condition(name, values=values, missing=MISSING in chosen))


def _write(key: str, split: str, name: str) -> None:
    text = str(state.value_of(f"{key}-text") or "").strip()
    state.set_condition(split, state.Condition(name, text=text, missing=bool(state.value_of(f"{key}-missing"))))


def _bind(key: str, split: str, name: str) -> None:
    low, high = (_stored(state.value_of(f"{key}-{side}")) for side in ("low", "high"))
    asked = state.Condition(name, low=low, high=high, missing=bool(state.value_of(f"{key}-missing")))
    state.set_condition(split, asked)


def _stored(bound: float | datetime.date | None) -> float | str | None:
    return bound.isoformat() if isinstance(bound, datetime.date) else bound


_CHANGES = {"choice": _choose, "text": _write, "number": _bind, "date": _bind}
