"""The few rules of style that Streamlit has no setting for; no data is in them."""

from __future__ import annotations

import streamlit as st

from dashboard.components.browser import ASSETS


def draw() -> None:
    """Apply the style sheet."""
    st.html(ASSETS / "page.css")
