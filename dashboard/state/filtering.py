"""The list of predictions: its filters, its page and its clicks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from dashboard.state.address import unslice


@dataclass(frozen=True)
class Condition:
    """What is asked of one metadata column; see the filters' service for the meaning."""

    column: str
    values: tuple[str, ...] = ()
    low: float | str | None = None
    high: float | str | None = None
    text: str = ""
    missing: bool = False


@dataclass(frozen=True)
class Filters:
    """What the list of predictions shows; see the filters' service for the meaning."""

    outcome: str = "all"
    true: int | None = None
    predicted: int | None = None
    low: float = 0.0
    high: float = 1.0
    least_error: float = 0.0
    search: str = ""
    sort: str = "loss"
    where: tuple[Condition, ...] = ()


def filters() -> Filters:
    """The filters of the list."""
    stored: Filters = st.session_state.get("filters", Filters())
    return stored


def set_filters(**changes: Any) -> None:
    """Change filters; the list opens again on the page with the example, and shows no slice as it was saved."""
    before = filters()
    st.session_state["filters"] = replace(before, **changes)
    st.session_state.pop("list_page", None)
    if replace(filters(), sort=before.sort) != before:
        unslice()


def clear_filters() -> None:
    """All predictions again, in the order they were in."""
    set_filters(**{**vars(Filters()), "sort": filters().sort})
    unslice()
    st.session_state.pop("slice-base", None)


def conditions(split: str) -> tuple[Condition, ...]:
    """What is asked of the metadata: of the listed predictions, or of the training examples in the table."""
    asked: tuple[Condition, ...] = filters().where if split == "test" else st.session_state.get("train-where", ())
    return asked


def set_condition(split: str, condition: Condition) -> None:
    """Ask something of one metadata column, in place of what was asked of it; a bare condition asks nothing."""
    asked = {one.column: one for one in conditions(split)} | {condition.column: condition}
    where = tuple(one for one in asked.values() if one != Condition(one.column))
    if split == "test":
        set_filters(where=where)
    else:
        st.session_state["train-where"] = where


def clear_conditions(split: str) -> None:
    """Ask nothing of the metadata any more."""
    for one in conditions(split):
        set_condition(split, Condition(one.column))


def list_page() -> int | None:
    """The page of the list that was asked for; None means the page with the example."""
    page: int | None = st.session_state.get("list_page")
    return page


def set_list_page(page: int) -> None:
    """Turn the list to a page."""
    st.session_state["list_page"] = page


def list_epoch() -> int:
    """Grows whenever the example was changed by something else than the list."""
    epoch: int = st.session_state.get("list_epoch", 0)
    return epoch


def clicked_row(table_key: str) -> int | None:
    """Position of the row whose cell was selected last in a table; None if nothing is."""
    selection = st.session_state.get(table_key, {}).get("selection", {})
    cells = selection.get("cells", [])
    return int(cells[0][0]) if cells else None


def clicked_cell(table_key: str) -> tuple[int, str] | None:
    """Row position and column of the cell that was selected last in a table."""
    cells = st.session_state.get(table_key, {}).get("selection", {}).get("cells", [])
    return (int(cells[0][0]), str(cells[0][1])) if cells else None
