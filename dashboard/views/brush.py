"""The distribution with its brush: a range of scores, drawn on the chart or set on the slider, and what lies in it."""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st

from dashboard import cache, state
from dashboard.components import boundary, charts, ranking
from dashboard.views.influences import on_screen
from dashboard.views.shell import Screen

LISTED = 50


@st.fragment
def draw(screen: Screen) -> None:
    """Chart, slider and the examples between; redrawn without the rest of the page."""
    with boundary.guard(cache.describe_fault, "brush"):
        asked = (screen.folder, screen.run.id, screen.test_id or 0, screen.target)
        shown, binned = cache.explanation(*asked, screen.rank), cache.distribution(*asked)
        scope = f"{screen.folder.name}-{screen.run.id}-{screen.test_id}-{screen.target}"
        low, high = state.brush(scope) or (0, len(binned.edges) - 1)
        is_whole = (low, high) == (0, len(binned.edges) - 1)
        _chart(screen, scope, (shown, binned), None if is_whole else (low, high))
        low, high = _slider(scope, binned, (low, high), shown.unit)
        _between(screen, shown, (float(binned.scores[low]), float(binned.scores[high])), is_whole=is_whole)


def _chart(
    screen: Screen, scope: str, answer: tuple[cache.Explanation, cache.Distribution], range_: tuple[int, int] | None
) -> None:
    shown, binned = answer
    ticks = (binned.ticks[0].tolist(), [cache.number(score) for score in binned.ticks[1]])
    brushed = (float(binned.edges[range_[0]]), float(binned.edges[range_[1]])) if range_ else None
    figure = charts.distribution(binned.edges, binned.counts, ticks, _marks(screen, shown, binned), brushed)
    key = f"distribution-{scope}"
    st.plotly_chart(
        figure,
        key=key,
        config=charts.CONFIG,
        selection_mode="box",
        on_select=partial(_brush, key, scope, binned.edges),
        alt="Number of training examples by score, one line a class, with the shown cards marked",
    )


def _marks(screen: Screen, shown: cache.Explanation, binned: cache.Distribution) -> list[charts.Mark]:
    marks, keys = [], cache.frame(screen.folder, "train")["key"]
    for side, kept in on_screen(shown).items():
        places = binned.axis.to_axis(shown.values[kept])
        marks += [
            charts.Mark(
                float(x), side, f"{cache.plain(keys.iloc[i])}: {cache.signed(float(shown.values[i]), shown.unit)}"
            )
            for x, i in zip(places, kept, strict=True)
        ]
    return marks


def _brush(key: str, scope: str, edges: np.ndarray) -> None:
    boxes = state.boxes(key)
    if boxes:
        low, high = (int(np.abs(edges - x).argmin()) for x in sorted(boxes[-1]["x"]))
        state.draw_brush(scope, (low, max(high, low + 1)))


def _slider(scope: str, binned: cache.Distribution, range_: tuple[int, int], unit: str) -> tuple[int, int]:
    key = f"range-{scope}-{state.brush_epoch()}"
    low, high = st.select_slider(
        f"Scores between, in {cache.plain(unit)} (or draw a box on the chart)",
        options=range(len(binned.edges)),
        value=range_,  # a pair, without which Streamlit reads one end only
        key=key,
        format_func=lambda i: cache.signed(float(binned.scores[i]), "").strip(),  # a unit of some words has no room
        on_change=partial(_slide, key, scope),
    )
    return low, high


def _slide(key: str, scope: str) -> None:
    state.set_brush(scope, state.value_of(key))


def _between(screen: Screen, shown: cache.Explanation, scores: tuple[float, float], *, is_whole: bool) -> None:
    ids = cache.within(shown, *scores)
    st.text(f"{cache.count(len(ids), 'training example', 'training examples')} in this range", width="stretch")
    if is_whole or not len(ids):
        return
    table = cache.ranking_table(shown, cache.frame(screen.folder, "train"), screen.class_names)
    kept = table[table["id"].isin(ids)]
    ranking.draw(kept.head(LISTED), shown.unit, 250, "Training examples in this range")
    few = kept["id"].head(cache.MOST_REMOVED).tolist()  # ticking more than can be refitted leads nowhere
    if st.button(f"Tick the first {len(few)}" if len(few) < len(ids) else f"Tick all {len(ids)}", key="tick-range"):
        state.pick_all(few)
        st.rerun()
