"""Build another run of this workspace: choose a method, set it, and watch it being built."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard import cache, state
from dashboard.components import boundary, progress
from dashboard.views import build_form, explain, shell
from dashboard.views.shell import Screen

TITLE = "Build another run"
PATH = "build"
POLL = 0.8  # seconds


def page() -> None:
    """The page."""
    shell.show(_draw, leads_to_build=False)


def _draw(screen: Screen) -> None:
    st.title(TITLE, anchor=False)
    st.text(
        "A run is one method with its settings, applied to this model and data. It is added to this workspace, beside "
        "the runs that are there, and can be compared with them.",
        width="stretch",
    )
    reason = cache.obstacle_to_builds(screen.folder, st.get_option("server.address"))
    if reason:
        st.text(reason, width="stretch")
        st.code(cache.command_for_another_run(screen.folder, screen.run.id), language=None, wrap_lines=True)
        return
    order = state.building()
    if order is None or order.folder != screen.folder.path or not _under_way(screen, order):
        _form(screen)


def _form(screen: Screen) -> None:
    with boundary.guard(cache.describe_fault, "build-form"):
        order = build_form.draw(screen)
        build = partial(_build, screen, order)
        st.button("Build", type="primary", shortcut="B", key="build-run", on_click=build)


def _build(screen: Screen, order: cache.RunOrder) -> None:
    cache.build_run(screen.folder, order, state.visitor())
    state.set_building(order)


def _under_way(screen: Screen, order: cache.RunOrder) -> bool:
    """The build in place of the form; False if the form is to be shown, with what is to be said of the last one."""
    found = cache.build_state(order, state.visitor())
    if found is None:
        return False
    if found.is_live:
        with st.container(border=True, key="building"):
            st.subheader(f"Building {order.method}", anchor=False)
            _watch(order)
            # outside of what is redrawn: a fragment that is started from inside itself never polls
            cancel = partial(cache.cancel_build, order, state.visitor())
            st.button("Cancel", shortcut="Q", key="cancel-build", on_click=cancel)
            st.caption("It goes on while you look at other pages. What is done is kept, so that a build can go on.")
        return True
    if found.phase == "done":
        return _done(screen, order)
    if found.fault is not None:
        boundary.draw(found.fault, "building")
        st.button("Dismiss", key="dismiss-build", on_click=partial(_dismiss, order))
    else:
        st.text("Stopped; what is done is kept, and the same build goes on from there.", width="stretch")
    return False


@st.fragment(run_every=POLL)
def _watch(order: cache.RunOrder) -> None:
    """The progress; once there is an outcome the whole page is drawn anew, once."""
    found = cache.build_state(order, state.visitor())
    if found is None or not found.is_live:
        state.watch_building()
        st.rerun()
    stage = "Waiting for another build" if found.phase == "waiting" else found.stage
    progress.draw(stage, found.share, cache.time_left(found.seconds_left))


def _done(screen: Screen, order: cache.RunOrder) -> bool:
    """Its run opens by itself for whoever looked on, else on a click."""
    run_id = cache.built_run(order)
    if not run_id:  # somebody removed it meanwhile
        return False
    if state.is_building_watched():
        _explain(run_id)
    name = cache.run_names(screen.folder).get(run_id, order.method)
    with st.container(border=True, key="built"):
        st.subheader(f"{cache.plain(name)} is ready", anchor=False)
        with st.container(horizontal=True):
            if st.button("Explain with it", type="primary", key="explain-built"):
                _explain(run_id)
            st.button("Build another one", key="build-another", on_click=partial(state.set_building, None))
    return True


def _explain(run_id: str) -> None:
    state.set_building(None)
    state.go(run=run_id)
    st.switch_page(st.Page(explain.page, title="Explain", default=True), query_params=state.link())


def _dismiss(order: cache.RunOrder) -> None:
    cache.dismiss_build(order)
    state.set_building(None)
