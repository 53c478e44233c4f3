"""What every page about a workspace begins with: which one, its header, and the boundary round it all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import cache, state
from dashboard.components import boundary, empty, header, style
from dashboard.views import slice_link


@dataclass(frozen=True)
class Screen:
    """What a page shows.

    Attributes:
        folder: The workspace's folder, the key of all caches.
        workspace: The opened workspace.
        run: The chosen run.
        test_id: The chosen prediction; None if the run has solved none.
        target: What is explained, such as ``loss-true``.
        rank: What training examples are ranked by.
    """

    folder: cache.Folder
    workspace: cache.Workspace
    run: cache.Run
    test_id: int | None
    target: str
    rank: cache.Rank

    @property
    def class_names(self) -> list[str]:
        """Names of the classes; empty in a regression."""
        return self.workspace.manifest.class_names

    @property
    def is_regression(self) -> bool:
        """Whether predictions are off by some amount."""
        return self.workspace.manifest.kind == "regression"

    @property
    def has_verdicts(self) -> bool:
        """Whether predictions are right or wrong."""
        return cache.has_verdicts(self.workspace.manifest.kind)

    @property
    def is_classification(self) -> bool:
        """Whether an example has one class."""
        return self.workspace.manifest.kind == "classification"


def show(draw: Callable[[Screen], None], *, leads_to_build: bool = True) -> None:
    """Draw a page, or what keeps it from being drawn and the way out.

    Args:
        draw: The page below its header.
        leads_to_build: Whether the header has the button that leads to the form of another run.
    """
    style.draw()
    state.reconcile()
    screen = None
    with boundary.guard(cache.describe_fault, "opening") as opening:
        screen = _open()
    if opening.failed:
        _ways_out(state.place())
    elif screen is None:
        empty.draw(_upload)
    else:
        with boundary.guard(cache.describe_fault, "page"):
            beside = _header(screen)
            if leads_to_build:
                with beside:
                    to_build("header")
            draw(screen)


def _open() -> Screen | None:
    place = state.place()
    folder = cache.find_folder(place.workspace)
    if folder is None:
        return None
    workspace = cache.workspace(folder)
    run = workspace.run(place.run or None)
    slice_link.follow(folder)
    test_id = place.test if place.test is not None else _first(folder, run.id)
    state.settle(workspace=folder.name, run=run.id, test=test_id)
    return Screen(folder, workspace, run, test_id, place.target, cache.chosen_rank(folder, run.id, place.rank))


def _first(folder: cache.Folder, run_id: str) -> int | None:
    """The prediction that a link without one opens on: of its slice, if it has one."""
    ids = cache.listed(folder, **asdict(state.filters())) if state.place().slice else []
    return ids[0] if ids else cache.first_test(folder, run_id)


def _header(screen: Screen) -> DeltaGenerator:
    names = cache.workspace_names()
    runs = cache.run_names(screen.folder)
    menus = [
        _workspace_menu(screen.folder.name, names),
        header.Menu("Run", list(runs), state.control("run-menu", screen.run.id), _choose_run, runs.__getitem__, 280),
    ]
    return header.draw(screen.workspace.manifest.title, menus, len(state.picked()), state.clear_picks)


def to_build(where: str) -> None:
    """The button that leads to the form of another run; ``where`` tells two on a page apart."""
    from dashboard.views import build_run  # noqa: PLC0415  (it begins with this file)

    if st.button(build_run.TITLE, key=f"to-build-{where}"):
        page = st.Page(build_run.page, title=build_run.TITLE, url_path=build_run.PATH)
        st.switch_page(page, query_params=state.link())


def _workspace_menu(current: str, names: list[str]) -> header.Menu:
    options = names if current in names else [current, *names]
    return header.Menu("Workspace", options, state.control("workspace-menu", current), _choose_workspace)


def _upload() -> None:
    from dashboard.views import bring  # noqa: PLC0415  (it leads to Explain, which begins with this file)

    st.switch_page(st.Page(bring.page, title=bring.TITLE, url_path=bring.PATH))


def _ways_out(place: state.Place) -> None:
    """What to do about a link that leads nowhere."""
    known = cache.workspace_names()
    if place.workspace in known:  # there is no header to say it, and the commands above need the folder
        folder = cache.find_folder(place.workspace)
        st.text(f"Workspace: {place.workspace}. Folder: {folder.path if folder else 'unknown'}", width="stretch")
    if place.run and (not place.workspace or place.workspace in known):
        st.button("Open the newest run", key="newest-run", on_click=partial(state.go, run=""))
    others = [name for name in known if name != place.workspace]
    if others:
        st.selectbox(
            "Open another workspace", others, index=None, key="workspace-menu", on_change=_choose_workspace, width=320
        )


def _choose_workspace() -> None:
    chosen = state.value_of("workspace-menu")
    if chosen:
        state.go(workspace=chosen)


def _choose_run() -> None:
    state.go(run=state.value_of("run-menu"))
