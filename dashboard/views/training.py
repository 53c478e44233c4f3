"""One training example, opened from its card: larger, beside the prediction, and what else it moves."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard import cache, state
from dashboard.components import boundary, cards, facts, table_row, text
from dashboard.components.labels import safe
from dashboard.views.shell import Screen

PICTURE = 192


def show(screen: Screen) -> None:
    """Open the dialog; closing it is a state of its own."""
    st.dialog("Training example", width="large", on_dismiss=state.close_training)(_draw)(screen)


def _draw(screen: Screen) -> None:
    train_id = state.opened()
    if train_id is None:
        st.rerun()  # a prediction was chosen in here: the page goes on without the dialog
    with boundary.guard(cache.describe_fault, "training"):
        example = screen.workspace.train[train_id]
        _beside(screen, example)
        _reach(screen, train_id)


def _beside(screen: Screen, example: cache.Example) -> None:
    test = screen.workspace.test[screen.test_id] if screen.test_id is not None else None
    st.markdown(f"**{safe(example.key)}**")
    label, guess = cache.said(example, screen.class_names), cache.said(example, screen.class_names, "prediction")
    st.text(
        f"train {example.id}; label {label}; the model predicts {guess}; loss {cache.number(example.loss)}",
        width="stretch",
    )
    if example.image:
        _pictures(screen, example, test)
    if example.text is not None:
        shared = cache.words(example.text) & cache.words(test.text or "") if test else frozenset()
        note = f"Marked: {cache.count(len(shared), 'word', 'words')} that it shares with the prediction's text."
        text.draw(cache.segments(example.text, shared), "Text of the training example", "training-text", note)
    if example.row is not None:
        lines = cache.differences(example.row, test.row if test else None, screen.workspace.manifest.columns)
        table_row.draw(
            lines, ("Training example", "This prediction"), cache.COLUMNS_SHOWN, f"training-row-{example.id}"
        )
    _facts(example, test)
    _tick(example.id)


def _facts(example: cache.Example, test: cache.Example | None) -> None:
    if example.metadata:
        titles = ("Metadata", "Training example", "This prediction")[: 3 if test else 2]
        lines = cache.facts(example.metadata, test.metadata if test else None)
        facts.draw(lines, titles, key=f"training-facts-{example.id}")


def _pictures(screen: Screen, example: cache.Example, test: cache.Example | None) -> None:
    shown = [("Training example", "train", example)] + ([("This prediction", "test", test)] if test else [])
    for column, (title, split, one) in zip(st.columns(len(shown)), shown, strict=True):
        with column:
            st.text(title)
            picture = cache.picture(screen.folder, split, one.id, PICTURE)
            if picture:
                st.image(picture, width=PICTURE, alt=f"{split} example {cache.plain(one.key)}")


def _tick(train_id: int) -> None:
    key = state.control(f"tick-{train_id}", train_id in state.picked())
    st.checkbox("Tick, to refit without it", key=key, on_change=partial(_ticked, key, train_id))


def _ticked(key: str, train_id: int) -> None:
    state.toggle_pick(train_id, on=bool(state.value_of(key)))


def _reach(screen: Screen, train_id: int) -> None:
    found = cache.reach(screen.folder, screen.run.id, train_id)
    for said in (found.self_influence, found.first_order, found.note):
        if said:
            st.text(said, width="stretch")
    sides = zip(
        ("positive", "negative"),
        found.verbs,
        (found.helps, found.harms),
        (found.n_helped, found.n_harmed),
        strict=True,
    )
    for column, (side, verb, moved, n) in zip(st.columns(2), sides, strict=True):
        with column:
            kind = "refined" if screen.run.has_first else "solved"
            title = f"{verb.capitalize()} {cache.count(n, f'{kind} prediction', f'{kind} predictions')}"
            deck = cards.Deck(title, "", moved, "None.", noun="test example", side=side)
            key = f"deck-moved-{side}"
            cards.draw(deck, key, partial(_explain, key))


def _explain(key: str) -> None:
    test_id = state.component(key, "open")
    if test_id is not None:
        state.close_training()
        state.explain_next(int(test_id))
