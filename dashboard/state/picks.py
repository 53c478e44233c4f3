"""Ticked training examples, and the refit without them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import streamlit as st

from dashboard.state.address import Place, place


def picked() -> list[int]:
    """The selection: training ids under discussion, in order."""
    return sorted(st.session_state.get("picked", ()))


def toggle_pick(train_id: int, *, on: bool) -> None:
    """Tick or untick one training example; doing it twice changes nothing."""
    chosen = set(picked())
    st.session_state["picked"] = chosen | {train_id} if on else chosen - {train_id}


def pick_all(train_ids: Iterable[int]) -> None:
    """Add training examples to the selection."""
    st.session_state["picked"] = set(picked()) | {int(i) for i in train_ids}


def clear_picks() -> None:
    """Untick everything."""
    st.session_state["picked"] = set()


def is_refit_asked() -> bool:
    """Whether the refit that was asked for last is that of what is explained and ticked now."""
    return bool(st.session_state.get("refit") == _refit())


def ask_refit() -> None:
    """Ask for a refit without the ticked examples."""
    st.session_state["refit"] = _refit()


def _refit() -> tuple[Place, tuple[int, ...]]:
    return replace(place(), slice=""), tuple(picked())  # what the list shows changes no refit
