"""From what was uploaded and chosen to rows that a model is trained on; what is left out is said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dashboard.services.uploads.columns import Column, column_of
from dashboard.services.uploads.labels import classes_of, few_rows, values_of
from dashboard.services.uploads.limits import UploadError, listed
from dashboard.services.uploads.proposal import Choices, split_of
from dashboard.services.uploads.reading import Upload
from dashboard.services.uploads.splitting import draw

SPLITS = ("train", "test")
Parts = tuple[pd.DataFrame, tuple[str, ...], pd.DataFrame]  # inputs, which of them are numbers, known columns


@dataclass(frozen=True)
class Rows:
    """What a model is trained and tested on.

    Attributes:
        inputs: Columns as they were uploaded (table), one column ``text``, or the paths of pictures.
        numbers: Which of the columns are numbers; the others are words.
        labels: Class names or values.
        keys: What an example is called; empty for its number.
        is_test: Which rows are only predicted.
        known: Columns that the model does not read and the pages may filter by.
        said: What was done, in sentences.
    """

    inputs: pd.DataFrame
    numbers: tuple[str, ...]
    labels: np.ndarray
    keys: list[str]
    is_test: np.ndarray
    known: pd.DataFrame
    said: tuple[str, ...]


def prepare(upload: Upload, choices: Choices) -> Rows:
    """Rows, labels and split.

    Raises:
        UploadError: If nothing can be learnt from it; says why and what to choose instead.
    """
    said = list(upload.said)
    if upload.table is None:
        return _of_pictures(upload, said)
    for name in (choices.label, choices.key, choices.text, choices.split):
        if name and name not in upload.table.columns:
            msg = f"The table has no column '{name[:60]}'; choose another one."
            raise UploadError(msg)
    read = classes_of if choices.kind == "classification" else values_of
    labels, kept = read(choices.label, upload.table[choices.label], said)
    given = upload.table[choices.split].map(split_of).to_numpy(dtype=object) if choices.split else None
    is_test, kept = _split(labels, kept, given, choices, said)
    frame = upload.table[kept].reset_index(drop=True)
    inputs, numbers, known = (_text if choices.modality == "text" else _table)(frame, choices, said)
    keys = [_key(cell) for cell in frame[choices.key]] if choices.key else []
    return Rows(inputs, numbers, labels[kept], keys, is_test[kept], known, tuple(said))


def _of_pictures(upload: Upload, said: list[str]) -> Rows:
    files = upload.pictures
    labels, kept = classes_of("folder", pd.Series([file.label for file in files], dtype=object), said)
    given = np.array([file.split for file in files], dtype=object)
    has_split = bool((given == "train").any() and (given == "test").any())
    choices = Choices(modality="image", label="folder")
    is_test, kept = _split(labels, kept, given if has_split else None, choices, said)
    paths = [file.path for file, keep in zip(files, kept, strict=True) if keep]
    inputs = pd.DataFrame({"path": paths})
    return Rows(inputs, (), labels[kept], paths, is_test[kept], pd.DataFrame(index=inputs.index), tuple(said))


def _split(
    labels: np.ndarray, kept: np.ndarray, given: np.ndarray | None, choices: Choices, said: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Which rows are the test set, and which are still there: a class needs rows to train on."""
    if given is not None:
        unsplit = kept & ~np.isin(given, SPLITS)
        if unsplit.any():
            said.append(f"{int(unsplit.sum()):,} rows say neither train nor test and are left out.")
        kept = kept & ~unsplit
    if choices.kind == "classification":
        kept = few_rows(labels, kept, None if given is None else given == "train", said)
    if given is None:
        return draw(labels, kept, by_class=choices.kind == "classification"), kept
    if not (kept & (given == "test")).any() or not (kept & (given == "train")).any():
        msg = "No row that can be used is left to train or to test by the given split; draw the test rows by lot."
        raise UploadError(msg)
    return given == "test", kept


def _text(frame: pd.DataFrame, choices: Choices, said: list[str]) -> Parts:
    texts = frame[choices.text].map(lambda cell: "" if pd.isna(cell) else str(cell))
    empty = int((texts.str.strip() == "").sum())
    if empty == len(texts):
        msg = f"All {empty:,} texts of '{choices.text[:60]}' are empty; choose another column."
        raise UploadError(msg)
    if empty:
        said.append(f"{empty:,} texts are empty; the model knows nothing of them but how frequent each class is.")
    others = [c for c in _others(frame, choices) if c.name != choices.text]
    return pd.DataFrame({"text": texts}), (), frame[[c.name for c in others if _is_filter(c)]]


def _table(frame: pd.DataFrame, choices: Choices, said: list[str]) -> Parts:
    others = _others(frame, choices)
    useful = [c for c in others if c.distinct > 1 and c.name not in choices.left_out]
    numbers = [c.name for c in useful if c.kind == "number"]
    words = [c for c in useful if c.kind == "words" and not c.is_of_names]
    same = [c.name for c in others if c.distinct <= 1]
    if same:
        said.append(f"Left out, as all rows hold the same: {listed(same)}.")
    unread = [c.name for c in useful if c.name not in numbers and c not in words]
    if unread:
        said.append(f"Not read by the model, as they are dates, long texts or nearly all different: {listed(unread)}.")
    if not numbers and not words:
        msg = "No column is left that the model could learn from; choose another label, or leave out fewer columns."
        raise UploadError(msg)
    _say_missing([c for c in useful if c.name in numbers or c in words], said)
    names = [c.name for c in useful if c.name in numbers or c in words]
    known = [c.name for c in others if c.name not in names and _is_filter(c)]
    return frame[names], tuple(numbers), frame[known]


def _say_missing(read: list[Column], said: list[str]) -> None:
    for kind, how in (("number", "read as the mean of the column"), ("words", "read as a word of their own")):
        holes = [c for c in read if c.kind == kind and c.missing]
        if holes:
            count = sum(c.missing for c in holes)
            cells = "1 missing cell is" if count == 1 else f"{count:,} missing cells are"
            said.append(f"{cells} {how}, in {listed([c.name for c in holes])}.")


def _others(frame: pd.DataFrame, choices: Choices) -> list[Column]:
    roles = {choices.label, choices.key, choices.split}
    return [column_of(str(name), frame[name]) for name in frame.columns if name not in roles]


def _is_filter(column: Column) -> bool:
    return column.distinct > 1 and column.kind != "text" and not column.is_of_names


def _key(cell: object) -> str:
    return "" if cell is None or pd.isna(cell) else str(cell)  # type: ignore[call-overload]
