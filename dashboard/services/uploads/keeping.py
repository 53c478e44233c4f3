"""What a workspace keeps of an upload: the rows and the recipe, from which our trainer makes the same model again.

``upload/recipe.json`` says what is trained, ``upload/rows.parquet`` on what, and ``upload/features.safetensors`` holds
the features of pictures. There is no pickle and no code in it; whoever wrote it, only our trainer runs, on rows within
the limits of an upload.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import BaseModel, ConfigDict, Field

from dashboard.services.uploads.limits import CLASSES, UNPACKED_MEGABYTES, UploadError
from dashboard.services.uploads.models import width_of
from dashboard.services.uploads.parquet_files import read_within_limits
from dashboard.services.uploads.preparing import Rows
from dashboard.services.uploads.proposal import Choices
from influence_core.errors import WorkspaceError
from influence_core.store.files import check_sum, write, write_sums, write_text
from influence_core.store.tensors import read_tensors, write_tensors

FOLDER, RECIPE, ROWS, FEATURES = "upload", "recipe.json", "rows.parquet", "features.safetensors"
INPUT, KNOWN = "input: ", "known: "  # begin the names of the upload's columns, so that none is called as one of ours
LABEL, KEY, TEST, PICTURE = "label", "key", "test", "picture"
LARGEST_RECIPE = 1_000_000  # bytes; 500 names of columns and a few sentences
BYTES = (pa.types.is_binary, pa.types.is_large_binary)


class Recipe(BaseModel):
    """What is trained on the kept rows.

    Attributes:
        name: Of the project.
        file: What was uploaded.
        digest: SHA-256 of it.
        choices: What its owner chose.
        numbers: Which of the inputs are numbers.
        strength: What cross-validation chose.
        said: What was left out or read otherwise.
        read_by: What pictures are read by, in words; empty for tables and texts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    name: str = Field(max_length=200)
    file: str = Field(max_length=1000)
    digest: str
    choices: Choices
    numbers: tuple[str, ...] = ()
    strength: float = Field(gt=0, le=1e6)
    said: tuple[str, ...] = ()
    read_by: str = ""


@dataclass(frozen=True)
class Kept:
    """An upload as a workspace keeps it.

    Attributes:
        recipe: What is trained.
        rows: On what.
        pngs: Thumbnails, one a row; empty unless they are pictures.
        features: What the head reads of the pictures, shape ``(n, d)``.
    """

    recipe: Recipe
    rows: Rows
    pngs: tuple[bytes, ...] = ()
    features: np.ndarray | None = None


def keep(folder: Path, kept: Kept) -> None:
    """Write it into a workspace's folder.

    Raises:
        UnwritableWorkspaceError: If the disk is full or the folder is read-only.
    """
    place = folder / FOLDER
    table = _table(kept)
    write(place / ROWS, lambda temporary: pq.write_table(table, temporary))
    if kept.features is not None:
        write_tensors(place / FEATURES, {"features": torch.from_numpy(kept.features)})
    write_text(place / RECIPE, kept.recipe.model_dump_json(indent=2) + "\n")
    write_sums(place)


def recipe_of(folder: Path) -> Recipe | None:
    """The recipe of a workspace; None if it has none that can be read."""
    path = folder / FOLDER / RECIPE
    try:
        return Recipe.model_validate_json(path.read_bytes()) if path.stat().st_size <= LARGEST_RECIPE else None
    except (OSError, ValueError):
        return None


def kept_in(folder: Path) -> Kept:
    """What a workspace keeps; nothing in it is run.

    Raises:
        UploadError: If it is missing, damaged, or beyond the limits of an upload.
    """
    place = folder / FOLDER
    recipe = recipe_of(folder)
    if recipe is None:
        msg = f"The recipe of the upload in {place} is missing or damaged; upload the file again."
        raise UploadError(msg)
    try:
        for name in (RECIPE, ROWS):
            check_sum(place / name)
        table, odd = read_within_limits(_bounded(place / ROWS).read_bytes(), own=4, also=BYTES)
        return _kept(recipe, table, odd, _features(place, table.num_rows, recipe))
    except (pa.ArrowException, OSError, ValueError, KeyError, WorkspaceError) as error:
        msg = f"The rows of the upload in {place} are missing or damaged; upload the file again."
        raise UploadError(msg) from error


def _bounded(path: Path) -> Path:
    if path.stat().st_size > UNPACKED_MEGABYTES * 1_000_000:
        msg = f"{path.name} has {path.stat().st_size / 1e6:,.0f} MB, and {UNPACKED_MEGABYTES} MB are the most."
        raise UploadError(msg)
    return path


def _features(place: Path, rows: int, recipe: Recipe) -> np.ndarray | None:
    if recipe.choices.modality != "image":
        return None
    check_sum(_bounded(place / FEATURES))
    found = read_tensors(place / FEATURES)["features"]
    if found.dim() != 2 or len(found) != rows or not found.isfinite().all():  # noqa: PLR2004
        msg = f"{FEATURES} has features of shape {tuple(found.shape)} for {rows} rows."
        raise ValueError(msg)
    return found.float().numpy()


def _table(kept: Kept) -> pa.Table:
    rows, is_image = kept.rows, kept.features is not None
    columns: dict[str, Any] = {LABEL: pa.array(list(rows.labels)), TEST: pa.array(rows.is_test.tolist())}
    if rows.keys:
        columns[KEY] = pa.array(rows.keys, pa.string())
    if is_image:
        columns[PICTURE] = pa.array(kept.pngs, pa.binary())
    inputs = rows.inputs if not is_image else rows.inputs.iloc[:, :0]
    named = [(INPUT, inputs), (KNOWN, rows.known)]
    columns |= {start + str(name): _array(frame[name]) for start, frame in named for name in frame.columns}
    return pa.table(columns)


def _array(values: pd.Series) -> pa.Array:
    found = pa.Array.from_pandas(values)
    return found.cast(pa.string()) if pa.types.is_null(found.type) else found


def _kept(recipe: Recipe, table: pa.Table, odd: list[str], features: np.ndarray | None) -> Kept:
    if odd or not {LABEL, TEST} <= set(table.column_names):
        msg = "The columns are not those that an upload is kept in."
        raise ValueError(msg)
    frame = _decoded(table).to_pandas()
    is_regression = recipe.choices.kind == "regression"
    labels = frame[LABEL].to_numpy(dtype=np.float64 if is_regression else object)
    inputs, known = (_begun_by(frame, start) for start in (INPUT, KNOWN))
    keys = [str(key) for key in frame[KEY]] if KEY in frame else []
    pngs = tuple(frame[PICTURE]) if features is not None else ()
    is_test = frame[TEST].to_numpy(dtype=bool)
    kept = Kept(recipe, Rows(inputs, recipe.numbers, labels, keys, is_test, known, recipe.said), pngs, features)
    _check(kept)
    return kept


def _check(kept: Kept) -> None:
    """Raise ValueError unless rows and recipe fit each other and the limits: a stranger may have written both."""
    rows, choices = kept.rows, kept.recipe.choices
    train = ~rows.is_test
    inputs = rows.inputs
    if choices.kind == "regression":
        is_labelled = bool(np.isfinite(rows.labels).all())
    else:
        of_train = {label for label in rows.labels[train] if isinstance(label, str)}
        is_labelled = 1 < len(of_train) <= CLASSES and set(rows.labels) == of_train
    width = width_of(choices.kind, len(set(rows.labels)), len(rows.labels))
    fits = {
        "table": numbers <= set(inputs.columns)
        and all(pd.api.types.is_numeric_dtype(inputs[name]) for name in numbers),
        "text": list(inputs.columns) == ["text"],
        "image": kept.features is not None and kept.features.shape[1] <= width,
    }
    if not (is_labelled and train.any() and rows.is_test.any() and fits[choices.modality]):
        msg = "The rows are not those of the recipe."
        raise ValueError(msg)


def _decoded(table: pa.Table) -> pa.Table:
    columns: Iterable[pa.ChunkedArray] = (
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    )
    return pa.table(dict(zip(table.column_names, columns, strict=True)))


def _begun_by(frame: pd.DataFrame, start: str) -> pd.DataFrame:
    return frame[[name for name in frame.columns if str(name).startswith(start)]].rename(
        columns=lambda name: str(name)[len(start) :]
    )
