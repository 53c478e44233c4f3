"""What a project's rows, names and pictures look like, before the model is run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
from torch import Tensor

from dashboard.services.findings import Finding, attempt
from dashboard.services.wording import count, plain
from influence_core import checks
from influence_core.checks import SPLITS, spread
from influence_core.errors import InfluenceError
from influence_core.project import Project, Split, read_row
from influence_core.store.describe import view_of
from influence_core.store.examples import picture, png
from influence_core.task import inputs_and_labels
from influence_core.views import View

EMPTY = {"train": "train set", "test": "test set"}
BLOCKING = {"no rows", "weights", "inputs"}  # problems after which the model need not be run
PICTURES = 16  # of each split that are drawn
SHOWN = 1000  # texts of each split that are looked at
ABOUT = (
    ("train set", checks.check_train),
    ("test set", checks.check_test),
    ("mode", checks.check_mode),
    ("weights", checks.check_finite),
    ("classes", checks.check_names),
    ("inputs", checks.check_shapes),
    ("same rows", checks.check_same_rows),
)
FINE = {
    "mode": "The model is in eval mode.",
    "weights": "Every weight is a finite number.",
    "inputs": "Train and test inputs have the same shape.",
    "same rows": f"Up to {checks.READ_TWICE} rows of each split were read twice and stayed the same.",
}


def findings(project: Project) -> Iterator[Finding]:
    """Problems first told by the engine's own checks, then how examples are called and shown."""
    empty = [split for split in SPLITS if not len(project.split(split))]
    if empty:
        for split in empty:
            yield Finding("problem", "no rows", f"The {split} set is empty; give at least one example.")
        return
    for about, check in ABOUT:
        found = attempt(about, lambda check=check: check(project))  # type: ignore[misc]
        if isinstance(found, Finding):
            yield found
        elif about in FINE:
            yield Finding("ok", about, FINE[about])
    for split in SPLITS:
        yield _keys(project, split)
    yield from _view(project)
    for note in project.notes:
        yield Finding("ok", "note", note)


def _keys(project: Project, split: Split) -> Finding:
    about, given = f"{split} set", project.train_keys if split == "train" else project.test_keys
    rows = count(len(project.split(split)), f"{split} row", f"{split} rows")
    if not len(given):
        return Finding("ok", about, f"{rows}, called '{split} 0' and so on, as no {split}_keys are given.")
    twice = pd.Series([str(key) for key in given])
    twice = twice[twice.duplicated()]
    if len(twice):
        named = f"{count(len(twice), 'key is', 'keys are')} there more than once, such as '{plain(twice.iloc[0])}'"
        return Finding("warning", about, f"{rows}; {named}, so that a key does not tell which row is meant.")
    return Finding("ok", about, f"{rows}, such as '{plain(given[0])}'.")


def _view(project: Project) -> Iterator[Finding]:
    try:
        train, test = (read_row(project.split(split), 0) for split in SPLITS)
        view = view_of(replace(project, train=[train], test=[test]))
        inputs = inputs_and_labels(train)[0]
    except InfluenceError:
        return  # said as a problem of the rows
    if project.view is None and view.modality == "table":
        yield Finding("warning", "view", _better_view(inputs))
        return
    bad = attempt("view", lambda: _draw(view))
    if isinstance(bad, Finding):
        yield bad
        return
    given = "as your view says" if project.view else "guessed from the shape of the inputs"
    yield Finding("ok", "view", f"Examples are shown as {view.modality}s, {given}.".replace("tables", "table rows"))
    if view.modality == "text":
        yield from _empty_texts(view)


def _better_view(inputs: object) -> str:
    numbers = isinstance(inputs, Tensor) and not inputs.is_floating_point()
    how = "if these are words, give view=TextView(train_texts, test_texts)" if numbers else ""
    how = how or "give view=TableView(train_frame, test_frame), data frames with your columns in human units"
    return f"No view is given, so examples are shown as rows of 'feature 0', 'feature 1' and so on; {how}."


def _draw(view: View) -> None:
    for shown in (view.train, view.test):
        if isinstance(shown, pd.DataFrame) or view.modality != "image":
            continue
        for index in spread(len(shown), PICTURES):
            png(picture(shown, index))


def _empty_texts(view: View) -> Iterator[Finding]:
    for split, shown in (("train", view.train), ("test", view.test)):
        rows = spread(len(shown), SHOWN)
        empty = [row for row in rows if not str(shown[row]).strip()]
        if empty:
            said = f"{len(empty)} of {len(rows):,} {split} texts are empty, the first of them row {empty[0]}"
            yield Finding("warning", "texts", f"{said}; leave them out, unless the model is meant to see them.")
