"""Pictures as an image processor's numbers, read when they are needed."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from influence_core.adapters.labelled_rows import LabelledRows
from influence_core.errors import ProjectError
from influence_core.project import STACKED_BYTES, Dataset, Stacked, batches

SHOWN_PIXELS = 512  # along the longer side of a picture on a page


@dataclass(frozen=True, eq=False)
class Pictures(Sequence[Image.Image]):
    """The pictures of one split, as a person sees them.

    Attributes:
        rows: The split.
        name: The column: pictures of Pillow, arrays, paths, or files' contents.
        mode: ``RGB``, or ``L`` for grey.
    """

    rows: LabelledRows
    name: str
    mode: str

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        """A picture small enough for a page."""
        picture = self.read(index)
        picture.thumbnail((SHOWN_PIXELS, SHOWN_PIXELS))
        return picture

    def __iter__(self) -> Iterator[Image.Image]:
        return (self[i] for i in range(len(self)))

    def read(self, row: int) -> Image.Image:
        """One picture in full.

        Raises:
            ProjectError: If it cannot be read; the row is named.
        """
        try:
            return _opened(self.rows.cell(row, self.name)).convert(self.mode)
        except Exception as error:  # whatever a decoder makes of a damaged file
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            msg = (
                f"The image of row {row} of the {self.rows.split} data cannot be read ({reason}); replace the file "
                "or drop the row."
            )
            raise ProjectError(msg) from error


@dataclass(frozen=True, eq=False)
class PictureRows:
    """A data set of dicts with ``pixel_values`` and ``labels``.

    Attributes:
        pictures: Of one split.
        processor: The user's image processor.
        labels: Shape ``(n,)``.
    """

    pictures: Pictures
    processor: Any
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int, /) -> dict[str, Tensor]:
        """One example."""
        processed = self.processor(self.pictures.read(index), return_tensors="pt")
        return {"pixel_values": processed["pixel_values"][0], "labels": self.labels[index]}


def in_memory(rows: PictureRows) -> Dataset:
    """The rows processed once if they fit into memory, else as they are."""
    one = rows[0]["pixel_values"]
    if len(rows) * one.numel() * one.element_size() > STACKED_BYTES:
        for row in range(len(rows)):
            rows.pictures.read(row)  # names the first that cannot be read before any long work starts
        return rows
    _, batch = next(batches(rows, len(rows)))
    return Stacked(batch, len(rows))


def _opened(value: Any) -> Image.Image:
    if isinstance(value, Image.Image):
        return value
    if isinstance(value, dict):  # as datasets keep a picture that is not decoded yet
        value = value["bytes"] if value.get("bytes") is not None else value["path"]
    if isinstance(value, bytes):
        return Image.open(io.BytesIO(value))
    if isinstance(value, str | Path):
        return Image.open(value)
    return Image.fromarray(np.asarray(value))
