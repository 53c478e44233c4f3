"""Which answer is on screen: the first one and the solve that refines it, or what that solve has changed."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard import cache, state
from dashboard.components import progress
from dashboard.views.shell import Screen

POLL = 0.8  # seconds
MOMENT = 1.0  # seconds on screen after which an answer is refined: whoever pages through the list asks for no solve
PANEL = "answer"


def draw(screen: Screen, shown: cache.Explanation) -> None:
    """One line of a height that stays, so that what follows does not move when the refined answer comes."""
    if not screen.run.has_first or shown.target != screen.run.target:
        return
    with st.container(key=PANEL, horizontal=True, vertical_alignment="center", gap="small"):
        if not shown.is_first:
            st.text(cache.refined(screen.folder, screen.run.id, shown.test_id, screen.rank), width="stretch")
        elif not cache.can_solve(screen.folder):
            said = f"{cache.first_answer(shown.method)}; refine it with `{cache.OPEN_WITH_CODE}`."
            st.markdown(said, width="stretch")
        else:
            _refine(screen, shown)


def _refine(screen: Screen, shown: cache.Explanation) -> None:
    asked = cache.asked(screen.folder, screen.run.id, shown.test_id, screen.target)
    found = cache.solve_state(asked, state.visitor())
    start = partial(cache.solve, screen.folder, asked, state.visitor(), in_background=True)
    if found is None or found.is_live:
        with st.container(width="stretch"):
            _watch(screen, asked, state.place())
        # outside of what is redrawn: a fragment that is started from inside itself never polls
        cancel = partial(cache.cancel_solve, asked, state.visitor())
        st.button("Stop", shortcut="Q", key=f"cancel-{asked.test_id}", on_click=cancel)
        return
    if found.phase == "done" and not cache.is_first(screen.folder, screen.run.id, shown.test_id, screen.target):
        st.rerun()  # it came while this page was drawn
    st.text(f"{cache.first_answer(shown.method)}; {_ended(found)}", width="stretch")
    st.button("Refine it", shortcut="S", key=f"solve-{asked.test_id}", on_click=start)


def _ended(found: cache.Solve) -> str:
    if found.fault is not None:
        return f"it was not refined. {found.fault.sentence} {found.fault.advice}".strip()
    return "the solve ended, but left no answer." if found.phase == "done" else "refining it was stopped."


@st.fragment(run_every=POLL)
def _watch(screen: Screen, asked: cache.Asked, place: state.Place) -> None:
    """The progress; once there is an outcome the whole page is drawn anew, once."""
    if not state.is_in_step(place):
        return  # the visitor has moved on; if not, the next look is in step again
    found = cache.solve_state(asked, state.visitor())
    if found is None and state.seconds_on_screen(asked) >= MOMENT:
        cache.solve(screen.folder, asked, state.visitor(), in_background=True)
        found = cache.solve_state(asked, state.visitor())
    if found is not None and not found.is_live:
        st.rerun()
    said = f"{cache.first_answer(cache.FIRST)}; being refined by {cache.spoken(screen.run.method)}"
    share = 0.0 if found is None else found.share
    progress.draw(said, share, "" if found is None else _where(found))


def _where(found: cache.Solve) -> str:
    if found.phase == "waiting":
        return "waiting for another solve"
    if found.total and found.seconds_left is not None:
        return f"{cache.percent(found.share)}, {cache.time_left(found.seconds_left)}"
    return f"{found.stage}, {found.seconds:.0f} s so far" if found.stage else ""
