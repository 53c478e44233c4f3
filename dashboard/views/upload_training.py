"""Training on an upload while its owner looks on, or looks at another page."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard import cache, state
from dashboard.components import boundary, progress
from dashboard.views import explain

POLL = 0.8  # seconds


def draw() -> bool:
    """The training of this visit in place of the upload; False if there is none to speak of."""
    order = state.training()
    if order is None:
        return False
    found = cache.training_state(order, state.visitor())
    if found is not None and found.is_live:
        _under_way(order)
        return True
    if found is not None and found.phase == "done":
        return _ended(order)
    if found is not None and found.fault is not None:
        boundary.draw(found.fault, "training")
        st.button("Dismiss", key="dismiss-training", on_click=partial(_dismiss, order))
        return True
    if found is not None and found.phase == "cancelled":
        st.text("Stopped; nothing of it was kept.")
    return False


def _under_way(order: cache.Order) -> None:
    with st.container(border=True, key="training"):
        st.subheader(f"Training on {cache.plain(order.name)}", anchor=False)
        _watch(order)
        # outside of what is redrawn: a fragment that is started from inside itself never polls
        st.button("Cancel", shortcut="Q", key="cancel-training", on_click=partial(_cancel, order))
        st.caption("It goes on while you look at other pages; come back here to see how far it is.")


@st.fragment(run_every=POLL)
def _watch(order: cache.Order) -> None:
    """The progress; once there is an outcome the whole page is drawn anew, once."""
    found = cache.training_state(order, state.visitor())
    if found is None or not found.is_live:
        state.watch_training()
        st.rerun()
    stage = "Waiting for its turn" if found.phase == "waiting" else found.stage
    progress.draw(stage, found.share, cache.time_left(found.seconds_left))


def _ended(order: cache.Order) -> bool:
    """Explain opens by itself for whoever looked on, else on a click."""
    made = cache.trained(order)
    if made is None:  # its folder was removed meanwhile
        return False
    name, quality = made
    if state.is_training_watched():
        _explain(name)
    with st.container(border=True, key="trained"):
        st.subheader(f"{cache.plain(name)} is ready", anchor=False)
        st.text(quality, width="stretch")
        with st.container(horizontal=True):
            if st.button("Explain it", type="primary", key="explain-trained"):
                _explain(name)
            st.button("Upload another file", key="upload-another", on_click=partial(state.set_training, None))
    return True


def _explain(name: str) -> None:
    state.set_training(None)
    state.go(workspace=name)
    st.switch_page(st.Page(explain.page, title="Explain", default=True), query_params=state.link())


def _cancel(order: cache.Order) -> None:
    cache.cancel_training(order, state.visitor())


def _dismiss(order: cache.Order) -> None:
    cache.dismiss_training(order)
    state.set_training(None)
