"""An upload as its page shows it before anything is trained."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image

from dashboard.services.address import ALLOWED, Address
from dashboard.services.uploads import archives
from dashboard.services.uploads.columns import describe
from dashboard.services.uploads.features import INSTALL, PIXELS, has_network, reader_of
from dashboard.services.uploads.pictures import CorruptPictureError, thumbnail
from dashboard.services.uploads.preparing import Rows
from dashboard.services.uploads.proposal import Choices, is_split
from dashboard.services.uploads.reading import Upload

FIRST_ROWS = 20
FIRST_PICTURES = 8
TILE = 96  # pixels of a picture in the preview
LONGEST_CELL = 200
MOST_CLASSES = 12


@dataclass(frozen=True)
class Options:
    """What can be chosen of a table: column names by what they can be."""

    labels: list[str]
    keys: list[str]
    texts: list[str]
    splits: list[str]


def obstacle(host: str | None, environment: Mapping[str, str]) -> str:
    """Why nothing can be uploaded; empty if it can. A host of None means that every address is listened on."""
    if (host and Address(host, 0).is_loopback) or environment.get(ALLOWED) == "allow":
        return ""
    return (
        "Uploads are off, as this dashboard can be reached from other machines and anyone there could fill its disk. "
        f"Open it on this machine alone (without --host), or set {ALLOWED}=allow where it is started."
    )


def options(upload: Upload) -> Options:
    """The columns that each choice may name."""
    columns = describe(upload.table) if upload.table is not None else []
    return Options(
        labels=[c.name for c in columns if c.kind in ("words", "number", "text")],
        keys=[c.name for c in columns if c.is_unique and (c.kind == "words" or c.is_whole)],
        texts=[c.name for c in columns if c.kind in ("text", "words")],
        splits=[c.name for c in columns if upload.table is not None and is_split(upload.table[c.name])],
    )


def first_rows(upload: Upload) -> pd.DataFrame:
    """The beginning of a table, its long cells cut."""
    assert upload.table is not None  # noqa: S101  (asked of tables only)
    frame = upload.table.head(FIRST_ROWS).copy()
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]) and not pd.api.types.is_datetime64_any_dtype(frame[name]):
            frame[name] = frame[name].map(lambda cell: cell[:LONGEST_CELL] if isinstance(cell, str) else cell)
    return frame


def first_pictures(upload: Upload) -> list[tuple[str, bytes]]:
    """A picture of each of the first classes, with its class, as tiles of one size."""
    of_class = {file.label: file for file in reversed(upload.pictures)}
    chosen = [of_class[label] for label in sorted(of_class)][:FIRST_PICTURES]
    tiles = []
    for file, content in archives.pictures(upload.data, chosen):
        try:
            tiles.append((file.label, _tile(thumbnail(content, file.path))))
        except CorruptPictureError:
            continue  # training says so
    return tiles


def _tile(png: bytes) -> bytes:
    image = Image.open(io.BytesIO(png)).convert("RGB")
    scale = TILE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    sharp = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    ground = Image.new("RGB", (TILE, TILE), "white")
    small = image.resize(size, sharp)
    ground.paste(small, ((TILE - size[0]) // 2, (TILE - size[1]) // 2))
    buffer = io.BytesIO()
    ground.save(buffer, format="PNG")
    return buffer.getvalue()


def classes(rows: Rows) -> pd.DataFrame:
    """How many rows of each class train and test, the largest first; empty for values."""
    if rows.labels.dtype != object:
        return pd.DataFrame()
    frame = pd.DataFrame({"Class": rows.labels.astype(str), "test": rows.is_test})
    counted = frame.groupby("Class")["test"].agg(Train=lambda test: int((~test).sum()), Test="sum").reset_index()
    return counted.sort_values(["Train", "Class"], ascending=[False, True]).reset_index(drop=True)


def plan(upload: Upload, choices: Choices, rows: Rows) -> str:
    """What the button does, in a sentence or two."""
    train, test = int((~rows.is_test).sum()), int(rows.is_test.sum())
    how = "as the upload says" if choices.split or _has_folders(upload) else "drawn by lot, the same every time"
    what = {
        "table": f"{len(rows.inputs.columns):,} columns ({len(rows.numbers):,} of numbers, standardised)",
        "text": "the words of the texts",
        "image": reader_of([file.side for file in upload.pictures]) if upload.pictures else "",
    }[choices.modality]
    kind = "ridge regression" if choices.kind == "regression" else "softmax regression"
    return f"{train:,} examples train a {kind} on {what}; {test:,} are its test set, {how}."


def advice(upload: Upload) -> str:
    """What would make the model better; empty if nothing would."""
    if not upload.pictures or has_network() or reader_of([file.side for file in upload.pictures]) != PIXELS:
        return ""
    return f"Pictures are read by their pixels only; `{INSTALL}` brings a network that sees more in photographs."


def _has_folders(upload: Upload) -> bool:
    return bool(np.any([bool(file.split) for file in upload.pictures])) if upload.pictures else False
