"""Compare: another run's answer to the same question beside this one."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard import cache, state
from dashboard.components import agreement, charts, scatter
from dashboard.components.labels import safe
from dashboard.views import influences, shell
from dashboard.views.shell import Screen

FACTS = ("Method", "Damping", "Residual")
MARKERS = {"positive": "▲", "negative": "▼"}


def draw(screen: Screen, shown: cache.Explanation) -> None:
    """The other run, how far it agrees in words and numbers, and rank against rank."""
    others = {run_id: name for run_id, name in cache.run_names(screen.folder).items() if run_id != screen.run.id}
    if not others:
        _how_to_have_two(screen)
        return
    other = _menu(others)
    there = _answer(screen, other)
    if there is None:
        return
    found = cache.comparison(screen.folder, (screen.run.id, other), shown.test_id, screen.target)
    _runs(shown, there)
    if there.is_first:
        said = f"{cache.first_answer(there.method)} of the other run; open that run to have it refined."
        st.text(said, width="stretch")
    if found.obstacle:
        st.text(found.obstacle, width="stretch")
        return
    st.markdown(f"**{safe(found.sentence, 300)}**")
    left, right = st.columns([5, 3], gap="medium")
    with left:
        _chart(screen, shown, found, other)
    with right:
        _numbers(shown, found)


def _how_to_have_two(screen: Screen) -> None:
    st.text("This workspace has one run, and a comparison needs two. Build another one here or by a command:")
    shell.to_build("compare")
    st.code(cache.command_for_another_run(screen.folder, screen.run.id), language=None, wrap_lines=True)


def _menu(others: dict[str, str]) -> str:
    chosen = state.compared_with()
    current = chosen if chosen in others else next(iter(others))
    key = state.control("compare-menu", current)
    st.selectbox("Compare with", list(others), key=key, on_change=_choose, format_func=others.__getitem__, width=360)
    return current


def _choose() -> None:
    state.compare_with(state.value_of("compare-menu"))


def _answer(screen: Screen, other: str) -> cache.Explanation | None:
    """The other run's scores; None, and said so, if it has not solved this prediction."""
    try:
        return cache.explanation(screen.folder, other, screen.test_id or 0, screen.target)
    except cache.NotSolvedError as unsolved:
        st.text(f"The other run has no answer here. {unsolved}", width="stretch")
        st.button("Open that run", key="open-other-run", on_click=partial(state.go, run=other))
        return None


def _runs(shown: cache.Explanation, there: cache.Explanation) -> None:
    facts = {
        role: (
            f"{one.method} (first answer)" if one.is_first else one.method,
            one.damping_rule or cache.setting(one.damping),
            "none: not solved yet" if one.is_first else cache.number(one.residual),
        )
        for role, one in (("This run", shown), ("Other run", there))
    }
    agreement.runs(facts, FACTS)


def _numbers(shown: cache.Explanation, found: cache.Comparison) -> None:
    agreement.correlation(f"{found.spearman:.3f}".replace("-", "−"))
    said = {"positive": shown.words.positive, "negative": shown.words.negative}
    columns = {
        f"{MARKERS[side]} {cache.plain(said[side])}": [o.said for o in overlaps]
        for side, overlaps in found.overlaps.items()
    }
    agreement.overlap(columns, cache.LARGEST)


def _chart(screen: Screen, shown: cache.Explanation, found: cache.Comparison, other: str) -> None:
    sides = {i: side for side, ids in influences.on_screen(shown).items() for i in ids}
    ids = cache.drawn(found, list(sides)).tolist()
    keys = cache.frame(screen.folder, "train")["key"]
    points = [
        scatter.Point(float(found.here[i]), float(found.there[i]), cache.plain(keys.iloc[i]), sides.get(i, ""))
        for i in ids
    ]
    words = (cache.plain(shown.words.positive), cache.plain(shown.words.negative))
    st.plotly_chart(
        scatter.ranks(points, shown.n_train, words, cache.first_rank(shown)),
        key=f"ranks-{screen.run.id}-{other}-{shown.test_id}-{screen.target}",
        config=charts.CONFIG,
        alt=f"Rank of each training example in this run against its rank in the other. {found.sentence}",
    )
    if len(ids) < shown.n_train:
        st.caption(f"{len(ids):,} of {shown.n_train:,} examples are drawn: both ends, and an even share between.")
