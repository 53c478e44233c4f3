"""The list of test predictions: one page of rows, each cell of which selects its row."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from dashboard.components.browser import register

PAGE = 50
ROW = 35
HEIGHT = 353
ABOVE = 3  # rows that stay in sight above the selected one

_REVEAL = register("reveal")


def draw(table: pd.DataFrame, key: str, selected: int | None, on_select: Callable[[], None], rows: int = PAGE) -> None:
    """Draw the rows; a click on any cell, or the arrow keys, select a row."""
    cursor = [(selected, table.columns[0])] if selected is not None else []
    st.dataframe(
        table,
        key=key,
        on_select=on_select,
        selection_mode=["single-cell", "single-column"],  # with columns selectable, a header does not sort
        selection_default={"selection": {"rows": [], "columns": [], "cells": cursor}},
        hide_index=True,
        height=min(HEIGHT, ROW * (rows + 1) + 3),
        alt="Test predictions; select a row to explain it",
    )
    if selected is not None:
        _REVEAL(key="reveal", data={"name": key, "top": max(0, selected - ABOVE) * ROW})
