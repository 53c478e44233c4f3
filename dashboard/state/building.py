"""The form of another run: what was chosen and typed, and what of it is being built."""

from __future__ import annotations

from typing import Any

import streamlit as st


def chosen_method() -> str:
    """Name of the method whose form is shown; empty before one was chosen."""
    name: str = st.session_state.get("build-method", "")
    return name


def choose_method(name: str) -> None:
    """Show the form of a method; what was typed into another one's is kept."""
    st.session_state["build-method"] = name


def typed(method: str) -> dict[str, str]:
    """What was typed into a method's form, by setting."""
    found: dict[str, str] = st.session_state.get("build-typed", {}).get(method, {})
    return found


def type_in(method: str, setting: str, text: str) -> None:
    """Keep what was typed, also while another page is looked at."""
    forms = st.session_state.get("build-typed", {})
    st.session_state["build-typed"] = {**forms, method: {**forms.get(method, {}), setting: text}}


def forget(method: str, setting: str) -> None:
    """Back to a setting's default."""
    forms = st.session_state.get("build-typed", {})
    kept = {name: text for name, text in forms.get(method, {}).items() if name != setting}
    st.session_state["build-typed"] = {**forms, method: kept}


def building() -> Any:
    """The run that this visit has asked for last, until it is left; None if there is none."""
    return st.session_state.get("building")


def set_building(order: Any) -> None:
    """Remember what is built, whatever page is looked at meanwhile; None to leave it."""
    st.session_state["building"] = order
    st.session_state["building-watched"] = False


def watch_building() -> None:
    """The visitor has seen it end: its run opens by itself."""
    st.session_state["building-watched"] = True


def is_building_watched() -> bool:
    """Whether the visitor was looking on as it ended."""
    return bool(st.session_state.get("building-watched"))
