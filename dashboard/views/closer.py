"""A closer look: the distribution over the whole training set, all of it as a table, and another run beside it."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

import numpy as np
import streamlit as st

from dashboard import cache, state
from dashboard.components import boundary, charts, ranking
from dashboard.views import brush, compare, metadata
from dashboard.views.shell import Screen


def draw(screen: Screen) -> None:
    """Tabs; one that is closed computes nothing."""
    distribution, table, comparison = st.tabs(["Distribution", "Table", "Compare"], key="closer", on_change="rerun")
    with distribution, boundary.guard(cache.describe_fault, "distribution"):
        if distribution.open:
            brush.draw(screen)
            _concentration(screen)
    with table, boundary.guard(cache.describe_fault, "table"):
        if table.open:
            _table(screen)
    with comparison, boundary.guard(cache.describe_fault, "compare"):
        if comparison.open:
            compare.draw(screen, _shown(screen))


def _shown(screen: Screen) -> cache.Explanation:
    return cache.explanation(screen.folder, screen.run.id, screen.test_id or 0, screen.target, screen.rank)


def _concentration(screen: Screen) -> None:
    shown = _shown(screen)
    named = {"positive": shown.words.positive, "negative": shown.words.negative}
    curves = {side: (cache.plain(word), *cache.cumulative(shown, side)) for side, word in named.items()}
    st.markdown("**How concentrated it is**")
    st.plotly_chart(
        charts.concentration(curves),
        key=f"concentration-{screen.run.id}-{shown.test_id}-{screen.target}",
        config=charts.CONFIG,
        alt=f"Share of the influence carried by the strongest examples. {cache.sentence(shown)}",
    )


def _table(screen: Screen) -> None:
    shown = _shown(screen)
    kept = _restricted(screen, shown)
    make = partial(cache.ranking_table, shown, cache.frame(screen.folder, "train"), screen.class_names, kept)
    ranking.draw(make(), shown.unit, 420, "Influence of the training examples on this prediction")
    ranked = "" if screen.rank == cache.EFFECT else f"-{screen.rank}"
    name = f"{screen.folder.name}-test-{shown.test_id}-{screen.target}{ranked}{'' if kept is None else '-filtered'}.csv"
    st.download_button(
        "Download as CSV",
        data=lambda: cache.ranking_csv(make()),
        file_name=name,
        mime="text/csv",
        on_click="ignore",
        key="download",
    )


def _restricted(screen: Screen, shown: cache.Explanation) -> np.ndarray | None:
    """Which training examples pass the filters on their metadata, said with their share; None if none is set."""
    if not cache.columns(screen.folder, "train"):
        return None
    asked = state.conditions("train")
    with st.container(horizontal=True, vertical_alignment="center", key="train-filters"):
        with st.popover(f"Filter by metadata ({len(asked)})" if asked else "Filter by metadata", key="train-metadata"):
            metadata.draw(screen, "train")
            clear = partial(state.clear_conditions, "train")
            st.button("Clear filters", on_click=clear, key="clear-train-filters", disabled=not asked)
        if not asked:
            return None
        where = [asdict(one) for one in asked]
        kept = cache.trained_on(screen.folder, where)
        st.text(cache.group_sentence(shown, kept, cache.filters_said(screen.folder, where=where)), width="stretch")
    return kept
