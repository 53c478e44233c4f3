"""The scores of training examples as a table."""

from __future__ import annotations

import pandas as pd
import streamlit as st

LAZY_FROM = 20_000  # rows; above it the browser loads what is looked at


def draw(table: pd.DataFrame, unit: str, height: int, alt: str) -> None:
    """Draw it; ``unit`` is the unit of the column ``score``."""
    st.dataframe(
        table,
        hide_index=True,
        lazy=len(table) > LAZY_FROM,
        height=height,
        column_config={
            "score": st.column_config.NumberColumn(f"score ({unit})", format="%.3g"),
            "share of its side": st.column_config.NumberColumn(format="percent"),
        },
        alt=alt,
    )
