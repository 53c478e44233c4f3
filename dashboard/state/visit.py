"""Who visits, and what this visit has under way."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Any
from uuid import uuid4

import streamlit as st


def visitor() -> str:
    """An id of this visit, by which others' jobs are told from its own."""
    if "visitor" not in st.session_state:
        st.session_state["visitor"] = uuid4().hex
    name: str = st.session_state["visitor"]
    return name


def seconds_on_screen(what: Hashable) -> float:
    """How long something has been looked at; whatever is asked for next begins anew."""
    kept = st.session_state.get("on-screen")
    if kept is None or kept[0] != what:
        kept = st.session_state["on-screen"] = (what, time.monotonic())
    return time.monotonic() - float(kept[1])


def training() -> Any:
    """The upload that this visit has trained last, until it is left; None if there is none."""
    return st.session_state.get("training")


def set_training(order: Any) -> None:
    """Remember what is trained, whatever page is looked at meanwhile; None to leave it."""
    st.session_state["training"] = order
    st.session_state["training-watched"] = False


def watch_training() -> None:
    """The visitor has seen it end: its workspace opens by itself."""
    st.session_state["training-watched"] = True


def is_training_watched() -> bool:
    """Whether the visitor was looking on as it ended."""
    return bool(st.session_state.get("training-watched"))
