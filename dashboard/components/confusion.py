"""The confusion matrix, or above twenty classes the pairs that are confused most; a click filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import streamlit as st

CORNER = "true ↓  predicted →"
ROW = 35


def matrix(counts: np.ndarray, names: Sequence[str], key: str, on_select: Callable[[], None]) -> None:
    """Counts, true label by predicted class; zeros stay blank."""
    columns = columns_of(names)
    cells = [["" if n == 0 else f"{n:,}" for n in line] for line in counts.tolist()]
    table = pd.DataFrame(cells, columns=columns)
    table.insert(0, CORNER, list(names))
    st.dataframe(
        table.style.apply(_shaded, axis=None, counts=counts),
        key=key,
        on_select=on_select,
        selection_mode="single-cell",
        hide_index=True,
        height=ROW * (len(names) + 1) + 3,
        column_config={CORNER: st.column_config.TextColumn(pinned=True)},
        alt="Confusion matrix: counts by true label and predicted class",
    )


def pairs(table: pd.DataFrame, key: str, on_select: Callable[[], None]) -> None:
    """Confused pairs with their counts, the most frequent first."""
    st.dataframe(
        table,
        key=key,
        on_select=on_select,
        selection_mode="single-cell",
        hide_index=True,
        height=400,
        alt="Pairs of a true and another predicted class, the most frequent first",
    )


def columns_of(names: Sequence[str]) -> list[str]:
    """Column titles; names that look the same are numbered apart."""
    return [name if list(names).count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names)]


def _shaded(table: pd.DataFrame, counts: np.ndarray) -> pd.DataFrame:
    """Mistakes stand out, the more the stronger; right predictions stay quiet."""
    off = counts * (1 - np.eye(len(counts)))
    largest = max(float(off.max()), 1.0)
    styles = pd.DataFrame("", index=table.index, columns=table.columns)
    for i, j in np.argwhere(off > 0):
        strength = 0.15 + 0.45 * off[i, j] / largest
        styles.iloc[i, j + 1] = f"background-color: rgba(213, 94, 0, {strength:.2f}); font-weight: 600"
    return styles
