"""A prediction that is not solved yet: solve it while its visitor looks on, or say what it takes."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard import cache, state
from dashboard.components import boundary, progress
from dashboard.views.shell import Screen

POLL = 0.8  # seconds
TITLE = "Solving this prediction"
WAITING = "Waiting for another solve"


def draw(screen: Screen, unsolved: Exception) -> None:
    """Instead of the cards; ``unsolved`` says in words what is missing."""
    if not cache.can_solve(screen.folder):
        _without_code(unsolved)
        return
    asked = cache.asked(screen.folder, screen.run.id, screen.test_id or 0, screen.target)
    if cache.solve_state(asked, state.visitor()) is None:
        cache.solve(screen.folder, asked, state.visitor())  # it starts by itself when the prediction is picked
    found = cache.solve_state(asked, state.visitor())
    if found is None or found.is_live:
        _under_way(asked)
    elif found.phase == "done":
        _answered(screen, asked)
    elif found.fault is not None:
        boundary.draw(found.fault, "solving")
        _start(screen, asked, "Try again")
    else:
        with st.container(border=True, key="stopped"):
            st.text("Stopped.")
            _start(screen, asked, "Solve this prediction")


def _without_code(unsolved: Exception) -> None:
    with st.container(border=True, key="unsolved"):
        st.markdown("**No scores yet**")
        st.text(str(unsolved), width="stretch")
        st.text("Or open it with `influence open DIR --project FILE`; it is then solved here.", width="stretch")


def _under_way(asked: cache.Asked) -> None:
    with st.container(border=True, key="solving"):
        st.markdown(f"#### {TITLE}")
        _watch(asked, state.place())
        # outside of what is redrawn: a fragment that is started from inside itself never polls
        cancel = partial(cache.cancel_solve, asked, state.visitor())
        st.button("Cancel", shortcut="Q", key=f"cancel-{asked.test_id}", on_click=cancel)
        st.caption("The answer is kept, so that this is done once. Other predictions can be looked at meanwhile.")


@st.fragment(run_every=POLL)
def _watch(asked: cache.Asked, place: state.Place) -> None:
    """The progress; once there is an outcome the whole page is drawn anew, once."""
    if not state.is_in_step(place):
        return  # the visitor has moved on; if not, the next look is in step again
    found = cache.solve_state(asked, state.visitor())
    if found is None or not found.is_live:
        st.rerun()
    stage = WAITING if found.phase == "waiting" else found.stage
    said = f"{cache.percent(found.share)} done" if stage == TITLE else stage  # the title has said it
    # nothing counts the steps of an import, so that its seconds tell that it goes on
    left = cache.time_left(found.seconds_left) if found.total or not found.stage else f"{found.seconds:.0f} s so far"
    progress.draw(said, found.share, left)


def _answered(screen: Screen, asked: cache.Asked) -> None:
    """It was solved a moment ago; an answer that is still not there is said, or the page would solve forever."""
    try:
        cache.explanation(screen.folder, screen.run.id, asked.test_id, screen.target)
    except cache.NotSolvedError as unsolved:
        st.text(f"The solve ended, but left no answer. {unsolved}", width="stretch")
        _start(screen, asked, "Try again")
    else:
        st.rerun()


def _start(screen: Screen, asked: cache.Asked, label: str) -> None:
    start = partial(cache.solve, screen.folder, asked, state.visitor())
    st.button(label, shortcut="S", type="primary", key=f"solve-{asked.test_id}", on_click=start)
