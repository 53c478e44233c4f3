"""A closer look: the distribution over the whole training set, all of it as a table, and another run beside it."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard import cache
from dashboard.components import boundary, charts, ranking
from dashboard.views import brush, compare
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
    return cache.explanation(screen.folder, screen.run.id, screen.test_id or 0, screen.target)


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
    make = partial(cache.ranking_table, shown, cache.frame(screen.folder, "train"), screen.class_names)
    ranking.draw(make(), shown.unit, 420, "Influence of every training example on this prediction")
    name = f"{screen.folder.name}-test-{shown.test_id}-{screen.target}.csv"
    st.download_button(
        "Download as CSV",
        data=lambda: cache.ranking_csv(make()),
        file_name=name,
        mime="text/csv",
        on_click="ignore",
        key="download",
    )
