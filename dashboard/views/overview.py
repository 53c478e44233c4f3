"""Overview: how good the model is, where it errs, and where to start."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard import cache, state
from dashboard.components import boundary, cards
from dashboard.views import explain, mistakes, shell, training


def page() -> None:
    """The page."""
    shell.show(_draw)


def _draw(screen: shell.Screen) -> None:
    _follow()
    _about(screen)
    with boundary.guard(cache.describe_fault, "figures"):
        _figures(screen)
    with boundary.guard(cache.describe_fault, "start"):
        _start_here(screen)
    if screen.is_classification:
        left, right = st.columns([3, 2], gap="large")
        with right, boundary.guard(cache.describe_fault, "classes"):
            _classes(screen)
    else:
        left = st.container()
    with left, boundary.guard(cache.describe_fault, "mistakes"):
        mistakes.draw(screen)
    if state.opened() is not None:
        training.show(screen)


def _follow() -> None:
    """Go to Explain if a click on this page asked for a prediction."""
    test_id = state.next_to_explain()
    if test_id is not None:
        state.go(test=test_id)
        st.switch_page(st.Page(explain.page, title="Explain", default=True), query_params=state.link())


def _about(screen: shell.Screen) -> None:
    manifest = screen.workspace.manifest
    if manifest.description:
        st.text(manifest.description, width="stretch")
    n = len(screen.run.solved)
    solved = f"{n:,} refined, the others with a first answer" if screen.run.has_first else f"{n:,} solved"
    st.text(
        f"{manifest.n_train:,} training examples, {manifest.n_test:,} test predictions "
        f"({solved}), {manifest.parameters_total:,} parameters",
        width="stretch",
    )


def _figures(screen: shell.Screen) -> None:
    figures = cache.figures(screen.folder)
    for column, figure in zip(st.columns(len(figures)), figures, strict=True):
        column.metric(figure.name, figure.value, help=figure.meaning, border=True)


def _start_here(screen: shell.Screen) -> None:
    st.subheader("Start here", anchor=False)
    if not len(screen.run.solved):
        st.text("This run has reached no answer yet; a prediction on Explain says why.", width="stretch")
        return
    left, right = st.columns(2, gap="large")
    with left:
        found = cache.surprising(screen.folder, screen.run.id)
        title = "Most surprising wrong predictions" if screen.has_verdicts else "Largest errors"
        deck = cards.Deck(title, "", found, "No solved prediction is wrong.", noun="test example")
        cards.draw(deck, "deck-surprising", partial(_explain, "deck-surprising"))
    with right:
        harm = cache.harmful(screen.folder, screen.run.id)
        what = "wrong prediction" if screen.has_verdicts else "large error"
        note = f"added up over {cache.count(harm.n_wrong, what, f'{what}s')}"
        deck = cards.Deck("Training examples that harm them most", note, harm.cards, "None does.")
        cards.draw(deck, "deck-harmful", partial(_open, "deck-harmful"))


def _explain(key: str) -> None:
    test_id = state.component(key, "open")
    if test_id is not None:
        state.explain_next(int(test_id))


def _open(key: str) -> None:
    train_id = state.component(key, "open")
    if train_id is not None:
        state.open_training(int(train_id))


def _classes(screen: shell.Screen) -> None:
    st.subheader("Classes", anchor=False)
    table = cache.classes(screen.folder)
    st.dataframe(
        table,
        hide_index=True,
        height=min(35 * (len(table) + 1) + 3, 738),
        column_config={"Recall": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)},
        alt="Recall and counts of every class",
    )
