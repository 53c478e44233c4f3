"""The header of every page: workspace and run, what is ticked, what the sign means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.components.browser import register
from dashboard.components.labels import safe

_COPY = register("copy")


@dataclass(frozen=True)
class Menu:
    """A choice of the header; it is drawn as a menu only if there is more than one option.

    Attributes:
        label: What is chosen.
        options: Names or ids.
        key: Of the widget.
        on_change: Called after a choice.
        said: Option -> words.
        width: In pixels.
    """

    label: str
    options: Sequence[str]
    key: str
    on_change: Callable[[], None]
    said: Callable[[str], str] = str
    width: int = 220


def draw(title: str, menus: Sequence[Menu], n_picked: int, on_clear: Callable[[], None]) -> DeltaGenerator:
    """Title on the left, menus and the selection on the right; returns the place beside the menus."""
    with st.container(horizontal=True, vertical_alignment="center", key="header"):
        st.subheader(safe(title, 80), anchor=False, width="stretch")
        for menu in menus:
            if len(menu.options) > 1:
                st.selectbox(
                    menu.label,
                    menu.options,
                    key=menu.key,
                    on_change=menu.on_change,
                    format_func=menu.said,
                    width=menu.width,
                    label_visibility="collapsed",
                )
        beside = st.container(width="content")
        _COPY(key="copy-link", width="content")
        if n_picked:
            st.text(f"{n_picked} ticked")
            st.button("Clear ticks", shortcut="X", on_click=on_clear, key="clear-ticks")
    return beside
