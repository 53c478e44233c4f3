"""The chosen prediction, large, and the target to explain."""

from __future__ import annotations

from dataclasses import asdict

import streamlit as st

from dashboard import cache, state
from dashboard.components import bars, facts, table_row, text
from dashboard.components.labels import safe
from dashboard.views.shell import Screen

PICTURE = 192
MOST_PROBABILITIES = 5


def draw(screen: Screen) -> None:
    """What it is, what the model said, and what is explained of it."""
    if screen.test_id is None:
        st.text("There is no prediction to explain.")
        return
    example = screen.workspace.test[screen.test_id]
    with st.container(border=True, key="chosen"):
        _name(screen, example)
        _verdict(screen, example)
        _content(screen, example)
        _probabilities(screen, example)
        if example.metadata:
            facts.draw(cache.facts(example.metadata), ("Metadata", "Value"), key=f"chosen-facts-{example.id}")
    _target(screen, example)


def _name(screen: Screen, example: cache.Example) -> None:
    own = "" if example.key == f"test {example.id}" else f" · test {example.id}"
    st.markdown(f"**{safe(example.key)}**{own}")
    if example.id not in cache.listed(screen.folder, **asdict(state.filters())):
        st.text("not in this filter")


def _verdict(screen: Screen, example: cache.Example) -> None:
    truth, guess = cache.said(example, screen.class_names), cache.said(example, screen.class_names, "prediction")
    loss = f"loss {cache.number(example.loss)}"
    if screen.has_verdicts:
        right = cache.is_right(example)
        label = "true label" if screen.is_classification else "true labels"
        st.text(f"{'✓ right' if right else '✗ wrong'}: {label} {truth}, predicted {guess}; {loss}", width="stretch")
        return
    unit = screen.workspace.manifest.label_unit
    st.text(f"actual {truth}, predicted {guess}{f' {cache.plain(unit)}' if unit else ''}; {loss}", width="stretch")


def _content(screen: Screen, example: cache.Example) -> None:
    picture = cache.picture(screen.folder, "test", example.id, PICTURE)
    if picture:
        st.image(picture, width=PICTURE, alt=f"test example {cache.plain(example.key)}")
    if example.text is not None:
        text.draw(cache.segments(example.text, frozenset()), "Text of the test example", key="chosen-text")
    if example.row is not None:
        lines = cache.differences(example.row, None, screen.workspace.manifest.columns)
        table_row.draw(lines, ("Value", "Training mean"), cache.COLUMNS_SHOWN, key=f"chosen-row-{example.id}")


def _probabilities(screen: Screen, example: cache.Example) -> None:
    shares = example.probabilities or []
    if not shares:
        return
    names = screen.workspace.manifest.names
    kept = sorted(range(len(shares)), key=lambda i: -shares[i])[:MOST_PROBABILITIES]
    truth = [int(example.label)] if screen.is_classification else []
    kept += [i for i in truth if i not in kept]
    rows = [
        bars.Bar(
            name=cache.plain(names[i]) + (" (true)" if i in truth else ""),
            value=cache.percent(shares[i]),
            width=shares[i],
            strong=i in truth,
            side="",
        )
        for i in kept
    ]
    bars.draw(rows, "Predicted probabilities", key="probabilities")


def _target(screen: Screen, example: cache.Example) -> None:
    manifest = screen.workspace.manifest
    names = [cache.plain(name) for name in manifest.names]
    truth, guess = cache.said(example, screen.class_names), cache.said(example, screen.class_names, "prediction")
    options = cache.choices(manifest.kind, names, truth, guess)
    if len(options.measures) == 1 and not options.classes:
        return
    measure, _, of = screen.target.partition("-")
    left, right = st.columns([2, 3])  # names of classes are longer than those of measures
    with left:
        control = state.control("measure", measure if measure in options.measures else "loss")
        st.selectbox(
            "Target to explain",
            list(options.measures),
            key=control,
            format_func=options.measures.__getitem__,
            on_change=_choose,
        )
    if options.classes:
        with right:
            control = state.control("of", of if of in options.classes else "true")
            st.selectbox(
                {"multilabel": "of label", "multioutput": "of value"}.get(manifest.kind, "of class"),
                list(options.classes),
                key=control,
                format_func=options.classes.__getitem__,
                on_change=_choose,
            )


def _choose() -> None:
    of = state.value_of("of") or "true"
    # A browser that is a prediction behind sends the old one's words, such as "6 (true label)": nobody chose that
    if of in ("true", "predicted") or of.isdecimal():
        state.go(target=f"{state.value_of('measure')}-{of}")
