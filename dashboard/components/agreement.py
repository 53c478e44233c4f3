"""How far two runs agree, in numbers: which runs, one correlation, and how much of the tops they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from dashboard.components.labels import safe

CORRELATION = "How alike both orders of all training examples are: 1 is the same, 0 unrelated, −1 reversed."
OVERLAP = "How many of one run’s strongest examples are among the strongest of the other."


def runs(facts: Mapping[str, Sequence[str]], columns: Sequence[str]) -> None:
    """One line a run; ``facts`` is its role -> what each column says."""
    table = pd.DataFrame.from_dict(
        {role: [safe(fact) for fact in said] for role, said in facts.items()}, orient="index", columns=list(columns)
    )
    st.table(table, border="horizontal")


def correlation(value: str) -> None:
    """Spearman's, with what it means."""
    st.metric("Spearman correlation", value)
    st.caption(CORRELATION)


def overlap(columns: Mapping[str, Sequence[str]], largest: Sequence[int]) -> None:
    """What both runs have in common; ``columns`` is a side's name -> words for each of ``largest``."""
    table = pd.DataFrame(
        {safe(name): list(said) for name, said in columns.items()}, index=[f"Top {k}" for k in largest]
    )
    st.table(table, border="horizontal")
    st.caption(OVERLAP)
