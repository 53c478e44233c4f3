"""Widgets follow the state on every run."""

from __future__ import annotations

from typing import Any

import streamlit as st


def control(key: str, value: Any) -> str:
    """Set what a widget shows before it is drawn, so that it never disagrees with the state; returns its key."""
    st.session_state[key] = value
    return key


def component(key: str, name: str) -> Any:
    """A value that one of our own components sent; None if it sent none."""
    return st.session_state.get(key, {}).get(name)


def boxes(chart_key: str) -> list[dict[str, Any]]:
    """The boxes drawn on a chart."""
    found: list[dict[str, Any]] = st.session_state.get(chart_key, {}).get("selection", {}).get("box", [])
    return found


def clicked_point(chart_key: str) -> int | None:
    """Index of the point of a chart that was clicked last."""
    points = st.session_state.get(chart_key, {}).get("selection", {}).get("points", [])
    return int(points[0]["point_index"]) if points else None


def value_of(key: str) -> Any:
    """What a widget holds; None before it was drawn."""
    return st.session_state.get(key)
