"""The slice that the list shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from dashboard.state.address import place, unslice
from dashboard.state.filtering import Condition, Filters, filters


def slice_to_apply() -> str | None:
    """The slice that the address asks for and the list does not show yet; "" to leave one, None if all is well."""
    asked = place().slice
    return None if asked == st.session_state.get("sliced", "") else asked


def apply_slice(name: str, kept: dict[str, Any]) -> None:
    """Show a slice: its filters, in the order that the list is in."""
    where = tuple(Condition(**one) for one in kept["where"])
    st.session_state["filters"] = Filters(**{**kept, "where": where, "sort": filters().sort})
    st.session_state.pop("list_page", None)
    show_slice(name)


def show_slice(name: str) -> None:
    """The filters are those of a slice now: after one was applied, saved or renamed."""
    st.session_state["place"] = replace(place(), slice=name)
    st.session_state["sliced"] = st.session_state["slice-base"] = name
    say_of_slices("")


def slice_base() -> str:
    """The slice that the filters began from; empty if there is none."""
    name: str = st.session_state.get("slice-base", "")
    return name


def leave_slice() -> None:
    """The filters stay and are no slice any more."""
    unslice()
    st.session_state.pop("slice-base", None)


def say_of_slices(sentence: str) -> None:
    """What is said beside the menu of slices until something else is done."""
    st.session_state["slice-said"] = sentence


def said_of_slices() -> str:
    """What is said beside the menu of slices."""
    sentence: str = st.session_state.get("slice-said", "")
    return sentence


def keep_deleted(kept: tuple[str, str] | None) -> None:
    """Remember the name and definition of the slice that was deleted last, so that it can be put back."""
    st.session_state["slice-deleted"] = kept


def deleted_slice() -> tuple[str, str] | None:
    """The slice that was deleted last, until it was put back."""
    kept: tuple[str, str] | None = st.session_state.get("slice-deleted")
    return kept
