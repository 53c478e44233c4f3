"""The list of test predictions with its filters."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

import streamlit as st

from dashboard import cache, state
from dashboard.components import test_list
from dashboard.views import filters, slices
from dashboard.views.shell import Screen


def draw(screen: Screen) -> None:
    """Filters, Previous and Next, and one page of the list."""
    filters.draw(screen)
    ids = cache.listed(screen.folder, **asdict(state.filters()))
    slices.draw(screen)
    filters.order(screen)
    _steps(screen, ids)
    if not ids:
        st.text("No prediction passes these filters.")
        st.button("Show all", on_click=state.clear_filters, key="show-all")
        return
    _rows(screen, ids)


def _steps(screen: Screen, ids: list[int]) -> None:
    before, after = cache.neighbours(ids, screen.test_id)
    with st.container(horizontal=True, vertical_alignment="center", key="steps"):
        _step("Previous", "P", screen.test_id, before)
        _step("Next", "N", screen.test_id, after)
        if screen.test_id in ids:
            st.text(f"{ids.index(screen.test_id) + 1:,} of {len(ids):,}")
        else:
            st.text(f"{len(ids):,} listed")


def _step(label: str, key: str, current: int | None, to: int | None) -> None:
    st.button(
        label,
        shortcut=key,
        key=f"{label}-{current}",  # a key press that arrives late belongs to the example it was made for
        on_click=partial(state.go, test=to),
        disabled=to is None,
    )


def _rows(screen: Screen, ids: list[int]) -> None:
    n_pages = -(-len(ids) // cache.PAGE)
    page = min(state.list_page() or cache.page_of(ids, screen.test_id), n_pages)
    shown = ids[(page - 1) * cache.PAGE : page * cache.PAGE]
    marks = cache.marks(screen.folder, screen.run.id, shown)
    table = cache.list_table(cache.frame(screen.folder, "test"), shown, screen.class_names, screen.test_id, marks)
    key = f"list-{screen.folder.name}-{hash(state.filters())}-{page}-{state.list_epoch()}"
    selected = shown.index(screen.test_id) if screen.test_id in shown else None
    with st.container(key="test-list"):
        test_list.draw(table, key, selected, partial(_choose, key, tuple(shown)), len(shown))
    if n_pages > 1:
        control = state.control("list-page", page)
        st.pagination(n_pages, key=control, max_visible_pages=5, on_change=_turn)


def _choose(key: str, shown: tuple[int, ...]) -> None:
    row = state.clicked_row(key)
    if row is not None:
        state.go(from_list=True, test=shown[row])


def _turn() -> None:
    state.set_list_page(state.value_of("list-page"))
