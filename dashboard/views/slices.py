"""Slices: filters that were saved under a name, for everybody who opens the workspace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import streamlit as st

from dashboard import cache, state
from dashboard.components.labels import safe
from dashboard.views.shell import Screen

NONE = ""  # stands for no slice in the menu


def draw(screen: Screen) -> None:
    """The menu of slices, what can be done with the present filters, and these in words."""
    kept, problem = _kept(screen)
    current = next((one for one in kept if one.name == state.place().slice), None)
    if state.place().slice and (current is None or not cache.shows(current, asdict(state.filters()))):
        what = "renamed or deleted" if current is None else "changed"
        state.leave_slice()
        state.go()  # the address, which was written before this was known, names it no more
        state.say_of_slices(f"This slice was {what} in another window; the filters that it had are still on.")
        current = None
    words = cache.filters_said(screen.folder, **asdict(state.filters()))
    with st.container(horizontal=True, vertical_alignment="center", key="slices"):
        if kept:
            _menu(screen, kept, current)
        if current is not None:
            with st.popover("Change slice", key="change-slice"):
                _change(screen, current)
        elif words and not problem:
            with st.popover("Save as slice", key="save-slice"):
                _save(screen, kept, words)
    if words:
        st.text(f"Filtered: {words}", width="stretch")
    _say(screen, problem)


def _kept(screen: Screen) -> tuple[list[cache.Slice], str]:
    """The slices, or why there are none to be had: the predictions can be explained all the same."""
    try:
        return cache.slices(screen.folder), ""
    except Exception as error:  # whatever is wrong with the database
        return [], cache.describe_fault(error).sentence


def _say(screen: Screen, problem: str) -> None:
    deleted = state.deleted_slice()
    if deleted is not None:
        with st.container(horizontal=True, vertical_alignment="center", key="slice-deleted"):
            st.text(f"Deleted the slice “{deleted[0]}”.", width="content")
            st.button("Undo", key="undo-slice", on_click=partial(_put_back, screen, deleted))
    for sentence in dict.fromkeys((state.said_of_slices(), problem)):
        if sentence:
            st.text(sentence, width="stretch")


def _menu(screen: Screen, kept: list[cache.Slice], current: cache.Slice | None) -> None:
    sizes = {one.name: cache.slice_size(screen.folder, one) for one in kept}
    labels = {name: f"{name} ({'does not fit' if n is None else f'{n:,}'})" for name, n in sizes.items()}
    control = state.control("slice-menu", current.name if current else NONE)
    st.selectbox(
        "Slice",
        [NONE, *labels],
        key=control,
        format_func=lambda name: labels.get(name, "No slice"),
        on_change=_choose,
        label_visibility="collapsed",
    )


def _choose() -> None:
    name = state.value_of("slice-menu")
    state.keep_deleted(None)
    if name == NONE:
        state.clear_filters()
    else:
        state.go(slice=name)


def _save(screen: Screen, kept: list[cache.Slice], words: str) -> None:
    st.text(f"Keeps these filters under a name, for everybody who opens this workspace: {words}.", width="stretch")
    obstacle = cache.obstacle_to_slices(screen.folder)
    if obstacle:
        st.text(obstacle, width="stretch")
        return
    with st.form("save-slice-form", border=False):
        st.text_input("Name", key="slice-name", max_chars=60)
        st.form_submit_button("Save", on_click=partial(_add, screen))
    base = next((one for one in kept if one.name == state.slice_base()), None)
    if base is not None:
        label = f"Change “{safe(base.name)}” to these filters"
        st.button(label, key="redefine-slice", on_click=partial(_redefine, screen, base))


def _change(screen: Screen, current: cache.Slice) -> None:
    obstacle = cache.obstacle_to_slices(screen.folder)
    if obstacle:
        st.text(obstacle, width="stretch")
        return
    with st.form(f"rename-slice-form-{current.name}", border=False):
        key = f"slice-new-name-{current.name}"
        st.text_input("Name", value=current.name, key=key, max_chars=60)
        st.form_submit_button("Rename", on_click=partial(_rename, screen, current, key))
    st.button("Delete slice", key="delete-slice", on_click=partial(_delete, screen, current))


def _do(act: Callable[[], Any]) -> bool:
    """Do what changes the slices; what goes wrong is said beside their menu."""
    state.keep_deleted(None)
    state.say_of_slices("")
    try:
        act()
    except Exception as error:  # whatever is wrong with the database; the page goes on
        state.say_of_slices(cache.describe_fault(error).sentence)
        return False
    return True


def _add(screen: Screen) -> None:
    def act() -> None:
        name = cache.checked_name(str(state.value_of("slice-name") or ""))
        cache.save_slice(screen.folder, name, asdict(state.filters()))
        state.show_slice(name)

    if _do(act):
        state.control("slice-name", "")


def _redefine(screen: Screen, base: cache.Slice) -> None:
    if _do(partial(cache.redefine_slice, screen.folder, base, asdict(state.filters()))):
        state.show_slice(base.name)


def _rename(screen: Screen, current: cache.Slice, key: str) -> None:
    def act() -> None:
        name = cache.checked_name(str(state.value_of(key) or ""))
        if name != current.name:
            cache.rename_slice(screen.folder, current, name)
            state.show_slice(name)

    _do(act)


def _delete(screen: Screen, current: cache.Slice) -> None:
    if _do(partial(cache.delete_slice, screen.folder, current)):
        state.leave_slice()
        state.keep_deleted((current.name, current.saved.definition))


def _put_back(screen: Screen, deleted: tuple[str, str]) -> None:
    if _do(partial(cache.restore_slice, screen.folder, *deleted)):
        state.go(slice=deleted[0])
