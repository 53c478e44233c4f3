"""Explain: one prediction and the training examples that made it. The home of the product."""

from __future__ import annotations

import streamlit as st

from dashboard import cache, state
from dashboard.components import boundary
from dashboard.views import chosen, closer, hint, influences, predictions, refitting, shell, solving, training


def page() -> None:
    """The page."""
    test_id = state.next_to_explain()
    if test_id is not None:
        state.go(test=test_id)
    shell.show(_draw)


def _draw(screen: shell.Screen) -> None:
    hint.draw(screen)
    left, right = st.columns([1, 2], gap="medium")
    with left, boundary.guard(cache.describe_fault, "left") as chosen_part:
        predictions.draw(screen)
        chosen.draw(screen)
    with right, boundary.guard(cache.describe_fault, "right"):
        if not chosen_part.failed:
            _answer(screen)
    if state.opened() is not None:
        training.show(screen)


def _answer(screen: shell.Screen) -> None:
    """The influence on the prediction, or the way to it."""
    try:
        shown = influences.draw(screen)
    except cache.NotSolvedError as unsolved:
        solving.draw(screen, unsolved)
        return
    if shown is not None:
        refitting.draw(screen, shown)
        closer.draw(screen)
