"""Where the model errs: the confusion matrix or the scatter of errors, and the predictions behind a click."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard import cache, state
from dashboard.components import charts, confusion, test_list
from dashboard.views import shell


def draw(screen: shell.Screen) -> None:
    """Classification: matrix or pairs. Regression: predicted against actual. Another task: nothing."""
    if not (screen.is_classification or screen.is_regression):
        return
    st.subheader("Where it errs", anchor=False)
    if screen.is_regression:
        _scatter(screen)
    elif len(screen.class_names) <= cache.MOST_CLASSES:
        _matrix(screen)
    else:
        _pairs(screen)


def _matrix(screen: shell.Screen) -> None:
    names = [cache.plain(name) for name in screen.class_names]
    key = f"confusion-{screen.folder.name}"
    st.text("Click a cell to list its predictions.")
    confusion.matrix(cache.confusion(screen.folder), names, key, _nothing)
    cell = state.clicked_cell(key)
    columns = confusion.columns_of(names)
    if cell is not None and cell[1] in columns:
        _behind(screen, cell[0], columns.index(cell[1]))


def _pairs(screen: shell.Screen) -> None:
    table = cache.confused_pairs(cache.confusion(screen.folder), screen.class_names)
    key = f"pairs-{screen.folder.name}"
    st.text("The pairs that are confused most. Click one to list its predictions.")
    confusion.pairs(table[["True", "Predicted", "Count"]], key, _nothing)
    row = state.clicked_row(key)
    if row is not None and row < len(table):
        _behind(screen, int(table["true"].iloc[row]), int(table["predicted"].iloc[row]))


def _nothing() -> None:
    """The selection is read when the page is drawn."""


def _behind(screen: shell.Screen, true: int, predicted: int) -> None:
    ids = cache.listed(screen.folder, true=true, predicted=predicted)
    truth, guess = (cache.plain(screen.class_names[i]) for i in (true, predicted))
    st.text(
        f"{cache.count(len(ids), 'prediction', 'predictions')}: true {truth}, predicted {guess}",
        width="stretch",
    )
    if not ids:
        return
    shown = ids[: cache.PAGE]
    table = cache.list_table(cache.frame(screen.folder, "test"), shown, screen.class_names, None)
    key = f"behind-{screen.folder.name}-{true}-{predicted}"
    test_list.draw(table, key, None, partial(_choose, key, tuple(shown), true, predicted), len(shown))


def _choose(key: str, shown: tuple[int, ...], true: int, predicted: int) -> None:
    row = state.clicked_row(key)
    if row is not None:
        state.clear_filters()
        state.set_filters(true=true, predicted=predicted)
        state.explain_next(shown[row])


def _scatter(screen: shell.Screen) -> None:
    frame = cache.frame(screen.folder, "test")
    st.text("Each point is a test prediction. Click one to explain it.")
    key = f"scatter-{screen.folder.name}"
    figure = charts.predicted_against_actual(
        frame["label"].to_numpy(),
        frame["prediction"].to_numpy(),
        [cache.plain(name) for name in frame["key"]],
        cache.plain(screen.workspace.manifest.label_unit),
    )
    st.plotly_chart(
        figure,
        key=key,
        config=charts.CONFIG,
        selection_mode="points",
        on_select=partial(_choose_point, key, tuple(int(i) for i in frame["id"])),
        alt="Predicted against actual values of the test set",
    )


def _choose_point(key: str, ids: tuple[int, ...]) -> None:
    point = state.clicked_point(key)
    if point is not None:
        state.explain_next(ids[point])
