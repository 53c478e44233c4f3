"""The filters and the order of the list of predictions."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

import streamlit as st

from dashboard import cache, state
from dashboard.views import metadata
from dashboard.views.shell import Screen

OUTCOMES = {"all": "All", "wrong": "Wrong", "right": "Right"}
ORDERS = {"loss": "Largest loss first", "confidence": "Least sure first", "id": "In the order of the data"}
ANY = -1  # stands for no class in a menu


def draw(screen: Screen) -> None:
    """What is always visible, and the rest behind one button that says how many filters are on."""
    with st.container(horizontal=True, vertical_alignment="center", key="filters"):
        if screen.has_verdicts:
            control = state.control("outcome", state.filters().outcome)
            st.segmented_control(
                "Outcome",
                list(OUTCOMES),
                format_func=OUTCOMES.__getitem__,
                key=control,
                required=True,
                on_change=partial(_set, "outcome"),
                label_visibility="collapsed",
            )
        n = _n_hidden()
        with st.popover(f"Filters ({n})" if n else "Filters", key="more-filters"):
            _more(screen)


def order(screen: Screen) -> None:
    """In which order the list is."""
    orders = [name for name in ORDERS if screen.is_classification or name != "confidence"]
    control = state.control("sort", state.filters().sort)
    st.selectbox(
        "Order",
        orders,
        format_func=ORDERS.__getitem__,
        key=control,
        on_change=partial(_set, "sort"),
        label_visibility="collapsed",
    )


def _more(screen: Screen) -> None:
    control = state.control("search", state.filters().search)
    what = {"text": "key or text", "table": "key or row"}.get(screen.workspace.manifest.modality, "key")
    st.text_input(f"Search in {what}", key=control, on_change=partial(_set, "search"))
    if screen.is_classification:
        _class_menu("true", "True label", screen.class_names)
        _class_menu("predicted", "Predicted class", screen.class_names)
        control = state.control("confidence", (state.filters().low, state.filters().high))
        st.slider("Confidence", 0.0, 1.0, step=0.01, key=control, on_change=_set_confidence)
    elif screen.is_regression:
        _error_slider(screen)
    metadata.draw(screen, "test")
    st.button("Clear filters", on_click=state.clear_filters, key="clear-filters", disabled=not _n_hidden())


def _class_menu(field: str, label: str, names: list[str]) -> None:
    chosen = asdict(state.filters())[field]
    control = state.control(f"filter-{field}", ANY if chosen is None else chosen)
    st.selectbox(
        label,
        [ANY, *range(len(names))],
        key=control,
        on_change=partial(_set_class, field),
        format_func=lambda i: "any class" if i == ANY else cache.plain(names[i]),
    )


def _set_class(field: str) -> None:
    chosen = state.value_of(f"filter-{field}")
    state.set_filters(**{field: None if chosen == ANY else chosen})


def _error_slider(screen: Screen) -> None:
    largest = float(cache.errors(cache.frame(screen.folder, "test")).max()) or 1.0
    control = state.control("least-error", min(state.filters().least_error, largest))
    st.slider(
        "Absolute error at least",
        0.0,
        largest,
        key=control,
        on_change=partial(_set, "least_error", "least-error"),
    )


def _set(field: str, key: str | None = None) -> None:
    state.set_filters(**{field: state.value_of(key or field)})


def _set_confidence() -> None:
    low, high = state.value_of("confidence")
    state.set_filters(low=low, high=high)


def _n_hidden() -> int:
    now = state.filters()
    ranges = (now.low > 0 or now.high < 1, now.least_error > 0, bool(now.search.strip()))
    return sum([now.true is not None, now.predicted is not None, *ranges]) + len(now.where)
