"""What is known of an example beside its data: a short table, the rest folded away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from dashboard.components.browser import register

SHOWN = 8

_MOUNT = register("rows")


def draw(lines: Sequence[Mapping[str, str]], titles: Sequence[str], key: str) -> None:
    """Draw a line a column; each has ``column``, ``value`` and, if there is another example beside it, ``other``."""
    _MOUNT(key=key, data={"titles": list(titles), "rows": list(lines[:SHOWN]), "label": "Metadata"})
    if len(lines) > SHOWN:
        with st.expander(f"All {len(lines)} metadata columns"):
            wanted = st.text_input("Find a metadata column", key=f"{key}-search").strip().casefold()
            kept = [list(line.values()) for line in lines if wanted in line["column"].casefold()]
            st.dataframe(pd.DataFrame(kept, columns=list(titles)), hide_index=True, key=f"{key}-all")
