"""Long work under way: its stage, how far it is, and the time left."""

from __future__ import annotations

import streamlit as st

from dashboard.components.labels import safe


def draw(stage: str, share: float, left: str) -> None:
    """One bar with what is being done over it, and the time left if it is known."""
    said = " · ".join(part for part in (stage, left) if part)
    st.progress(share, text=safe(said, 120))
