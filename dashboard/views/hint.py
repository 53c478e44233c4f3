"""One line for a first visit: what am I looking at."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard import state
from dashboard.views.shell import Screen

NAME = "what-is-this"


def draw(screen: Screen) -> None:
    """Draw it until it is dismissed."""
    if state.is_dismissed(NAME):
        return
    kind = "the model got wrong" if screen.is_classification else "the model missed by far"
    refit = "Tick some and refit to see whether they really did."
    further = refit if screen.run.is_linear_head else "Open one to see which other predictions it moves."
    with st.container(horizontal=True, vertical_alignment="center", border=True, wrap=False, key="hint"):
        st.markdown(
            f"**What am I looking at?** On the left, a prediction; the first one is what {kind} with the most "
            f"surprise. On the right, the training examples that pushed it there. {further}",
            width="stretch",
        )
        st.button("Got it", key="dismiss-hint", on_click=partial(state.dismiss, NAME))
