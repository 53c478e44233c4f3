"""What the sign means: word, marker shape and colour together, everywhere the same."""

from __future__ import annotations

import streamlit as st

from dashboard.components.browser import register

_MOUNT = register("legend")


def draw(positive: str, negative: str, meaning: str) -> None:
    """One line: both words with their markers, what positive means, and a button that copies the link."""
    with st.container(key="legend"):
        _MOUNT(key="legend-line", data={"positive": positive, "negative": negative, "meaning": meaning})
