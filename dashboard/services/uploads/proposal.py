"""What an upload is to be trained on: proposed by us, chosen by its owner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict

from dashboard.services.uploads.archives import SPLITS
from dashboard.services.uploads.columns import Column, describe
from dashboard.services.uploads.reading import Upload

Kind = Literal["classification", "regression"]
Modality = Literal["table", "text", "image"]
LABELS = ("label", "labels", "target", "class", "y", "outcome", "category")
KEYS = ("id", "key", "name", "index", "uuid", "filename", "file", "record", "row")
SPLIT_NAMES = ("split", "set", "subset", "partition", "fold")
MOST_NUMBERED_CLASSES = 20  # a label of more different numbers is a value


class Choices(BaseModel):
    """What its owner may choose; column names are those of the file.

    Attributes:
        modality: What the model reads.
        kind: Classes or values.
        label: The column that is predicted; empty for pictures, whose folder it is.
        key: The column that examples are called by; empty for the row's number.
        text: The column that a text model reads.
        split: The column that says train or test; empty to draw the test rows by lot.
        left_out: Columns that the model does not read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    modality: Modality
    kind: Kind = "classification"
    label: str = ""
    key: str = ""
    text: str = ""
    split: str = ""
    left_out: tuple[str, ...] = ()


def propose(upload: Upload) -> Choices:
    """The choices that the page begins with."""
    if upload.table is None:
        return Choices(modality="image")
    columns = describe(upload.table)
    split = next((c.name for c in columns if c.name.lower() in SPLIT_NAMES and is_split(upload.table[c.name])), "")
    key = next((c.name for c in columns if c.name != split and _is_key(c)), "")
    label = _label([c for c in columns if c.name not in (split, key)] or columns)
    texts = [c for c in columns if c.kind == "text" and c.name not in (label.name, key)]
    text = max(texts, key=lambda c: c.length).name if texts else ""
    return Choices(
        modality="text" if text else "table", kind=kind_of(label), label=label.name, key=key, text=text, split=split
    )


def kind_of(label: Column) -> Kind:
    """A label of many numbers, or of numbers with decimals, is a value."""
    is_value = label.kind == "number" and (label.distinct > MOST_NUMBERED_CLASSES or not label.is_whole)
    return "regression" if is_value else "classification"


def is_split(values: pd.Series) -> bool:
    """Whether every cell says train or test, and both occur."""
    return set(values.map(split_of)) == {"train", "test"}


def split_of(cell: object) -> str:
    """``train`` or ``test``; empty for anything else."""
    return SPLITS.get(str(cell).strip().lower(), "")


def _is_key(column: Column) -> bool:
    name = column.name.lower().replace("_", " ").replace("-", " ")
    is_called_so = name in KEYS or name.endswith((" id", " key", " name")) or name == "column 1"
    return column.is_unique and is_called_so and (column.kind == "words" or column.is_whole)


def _label(columns: Sequence[Column]) -> Column:
    called = {c.name.lower(): c for c in columns}
    for name in LABELS:
        if name in called:
            return called[name]
    able = [c for c in reversed(columns) if c.kind in ("words", "number") and not c.is_of_names]
    has_texts = any(c.kind == "text" for c in columns)
    classes = [c for c in able if has_texts and kind_of(c) == "classification"]  # what texts are mostly sorted by
    return next(iter([*classes, *able]), columns[-1])
