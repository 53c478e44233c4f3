"""A table row beside another one: the columns that differ most, the rest folded away with a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import pandas as pd
import streamlit as st

from dashboard.components.browser import register

_MOUNT = register("rows")


class Line(Protocol):
    """One column of both rows, in words."""

    @property
    def column(self) -> str: ...  # noqa: D102
    @property
    def value(self) -> str: ...  # noqa: D102
    @property
    def other(self) -> str: ...  # noqa: D102
    @property
    def symbol(self) -> str: ...  # noqa: D102
    @property
    def said(self) -> str: ...  # noqa: D102


def draw(lines: Sequence[Line], titles: tuple[str, str], shown: int, key: str) -> None:
    """Draw the first ``shown`` lines; ``titles`` are the names of the row and of what it is compared with."""
    heads = ["Column", *titles, "Difference"]
    rows = [{name: getattr(x, name) for name in ("column", "value", "other", "symbol", "said")} for x in lines[:shown]]
    _MOUNT(key=key, data={"titles": heads, "rows": rows, "label": "Columns that differ most"})
    if len(lines) > shown:
        with st.expander(f"All {len(lines)} columns"):
            wanted = st.text_input("Find a column", key=f"{key}-search").strip().casefold()
            kept = [x for x in lines if wanted in x.column.casefold()]
            table = pd.DataFrame([(x.column, x.value, x.other, x.said) for x in kept], columns=heads)
            st.dataframe(table, hide_index=True, key=f"{key}-all")
