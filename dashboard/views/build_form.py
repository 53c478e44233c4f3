"""The form of a method, made from its settings: each with its default and what it does."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import streamlit as st

from dashboard import cache, state
from dashboard.components.labels import safe
from dashboard.views.shell import Screen

NUMBER = "a number"  # the choice beside words such as auto
LIMIT = "test-limit"
LONGEST = 600


def draw(screen: Screen) -> cache.RunOrder:
    """The menu of methods and the chosen one's form; returns what is ordered by it.

    Raises:
        MethodError: If what was typed is no value of a setting.
    """
    entry = _method(screen)
    st.text(f"Cost: {entry.cost}.\nLimits: {entry.limits}.", width="stretch")
    if not entry.settings:
        st.text("This method has nothing to set.")
    for at, (column, setting) in enumerate(zip(_columns(len(entry.settings)), entry.settings, strict=True)):
        with column, st.container(key=f"build-setting-{at}", gap=None):
            _setting(entry.name, setting)
    typed = dict(state.typed(entry.name))
    limit = _limit(screen, entry)
    typed.pop(LIMIT, None)
    return cache.run_order(screen.folder.path, entry, typed, limit)


def _columns(n: int) -> list[Any]:
    """Two beside each other, row by row."""
    return [column for _ in range(-(-n // 2)) for column in st.columns(2, gap="medium")][:n]


def _method(screen: Screen) -> cache.Entry:
    entries = {entry.name: entry for entry in cache.method_menu()}
    suggested = next((name for name in entries if name != screen.run.method), screen.run.method)
    chosen = state.chosen_method() if state.chosen_method() in entries else suggested
    key = state.control("build-method-menu", chosen)
    st.selectbox("Method", list(entries), key=key, format_func=lambda name: entries[name].title, on_change=_choose)
    return entries[chosen]


def _choose() -> None:
    state.choose_method(state.value_of("build-method-menu"))


def _setting(method: str, setting: Any) -> None:
    written = state.typed(method).get(setting.name, setting.written)
    key, label = f"build-{method}-{setting.name}", setting.name.replace("_", " ").capitalize()
    save = partial(_save, method, setting.name)
    words = cache.words_of(setting)
    if setting.kind == "yes or no":
        st.toggle(label, key=state.control(key, written == "yes"), on_change=partial(save, key))
    elif setting.kind == "choice":
        st.selectbox(label, words, key=state.control(key, written), on_change=partial(save, key))
    elif setting.kind == "text":
        st.text_input(label, key=state.control(key, written), on_change=partial(save, key))
    elif words:
        shown = state.control(key, written if written in words else NUMBER)
        st.selectbox(label, [*words, NUMBER], key=shown, on_change=partial(_word, method, setting, key))
        if written not in words:
            _number(setting, f"{label}, {NUMBER}", f"{key}-number", written, save)
    else:
        _number(setting, label, key, written, save)
    st.caption(safe(f"{setting.explanation} Default: {setting.written}.", LONGEST))


def _number(setting: Any, label: str, key: str, written: str, save: Any) -> None:
    if setting.kind == "whole number":
        kept = state.control(key, int(written))
        st.number_input(label, key=kept, min_value=0, step=1, on_change=partial(save, key))
        return
    value = float(written)
    step = 10.0 ** math.floor(math.log10(value)) if value > 0 else 0.01
    kept = state.control(key, value)
    st.number_input(label, key=kept, min_value=0.0, step=step, format="%g", on_change=partial(save, key))


def _save(method: str, name: str, key: str) -> None:
    value = state.value_of(key)
    if value is None:  # a number that was cleared: back to the default
        state.forget(method, name)
    else:
        state.type_in(method, name, _written(value))


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, "g") if isinstance(value, float) else str(value)


def _word(method: str, setting: Any, key: str) -> None:
    """A word was chosen, or that it is to be a number: the default, where that is one."""
    chosen = state.value_of(key)
    if chosen == NUMBER:
        default = setting.written
        chosen = default if default not in cache.words_of(setting) else "0.01"
    state.type_in(method, setting.name, chosen)


def _limit(screen: Screen, entry: cache.Entry) -> int | None:
    """How many predictions are solved by the build, of a method that solves one after the other."""
    if entry.default_limit is None:
        return None
    most = screen.workspace.manifest.n_test
    limit = min(int(state.typed(entry.name).get(LIMIT, entry.default_limit)), most)
    key = state.control(f"build-{entry.name}-{LIMIT}", limit)
    save = partial(_save, entry.name, LIMIT, key)
    st.number_input("Predictions to solve now", key=key, min_value=1, max_value=most, step=1, on_change=save)
    st.caption("The most surprising ones. Any other is solved when you pick it.")
    return limit
