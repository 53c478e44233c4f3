"""The example tables: memory-mapped Arrow files with all that a page shows of an example."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image

from influence_core.errors import DamagedWorkspaceError, ProjectError, UnknownNameError
from influence_core.predictions import Predictions
from influence_core.project import Project, Split
from influence_core.store.files import check_sum, write
from influence_core.store.metadata import META, metadata_columns
from influence_core.store.verdicts import verdicts
from influence_core.views import View

CHEAP = ("id", "key", "label", "prediction", "loss", "confidence", "correct")
TEXTS = ("label_text", "prediction_text")  # columns of the kinds of task whose labels are no single number
CHUNK = 4096


@dataclass(frozen=True)
class Example:
    """One example as it is shown; label and prediction are class indices, or values in regression.

    Where an example has several labels or values both are NaN, and the texts say them.
    """

    id: int
    key: str
    label: float
    prediction: float
    probabilities: list[float] | None
    loss: float
    image: bytes | None
    text: str | None
    row: dict[str, Any] | None
    metadata: dict[str, Any]
    label_text: str | None = None
    prediction_text: str | None = None


@dataclass(frozen=True)
class ExampleTable:
    """The examples of one split."""

    path: Path

    def __len__(self) -> int:
        """The number of examples."""
        return int(self._table.num_rows)

    def __getitem__(self, index: int) -> Example:
        """One example.

        Raises:
            UnknownNameError: If there is no such row.
        """
        if not 0 <= index < len(self):
            msg = f"There is no {self.path.stem} example {index}; ids run from 0 to {len(self) - 1}."
            raise UnknownNameError(msg)
        row = self._table.slice(index, 1).to_pylist()[0]
        metadata = {name.removeprefix(META): row[name] for name in row if name.startswith(META)}
        shown = {name: row.get(name) for name in ("image", "text", *TEXTS)}
        table = json.loads(row["row"]) if row.get("row") else None
        plain = {name: row[name] for name in ("id", "key", "label", "prediction", "probabilities", "loss")}
        return Example(**plain, **shown, row=table, metadata=metadata)

    def frame(self) -> pd.DataFrame:
        """The cheap columns as a data frame: id, key, label, prediction, loss, confidence, correct, metadata.

        A metadata column that is called as one of ours is called ``meta: label`` here.
        """
        metadata = self._metadata.rename(columns={name: META + name for name in CHEAP})
        return pd.concat([self._numbers, metadata], axis=1)

    def metadata(self) -> pd.DataFrame:
        """The user's own columns under their own names, one row an example."""
        return self._metadata.copy(deep=False)

    def search(self, words: str) -> np.ndarray:
        """Ids of the examples whose key or text contains the words, whatever their case."""
        needle = words.casefold()
        names = [name for name in ("key", "text", "row") if name in self._table.column_names]
        columns = [self._table.column(name).to_pylist() for name in names]
        hits = [any(needle in (cell or "").casefold() for cell in cells) for cells in zip(*columns, strict=True)]
        return np.flatnonzero(hits)

    @cached_property
    def _table(self) -> pa.Table:
        check_sum(self.path)
        try:
            return pa.ipc.open_file(pa.memory_map(str(self.path))).read_all()
        except (pa.ArrowInvalid, OSError) as error:
            msg = f"{self.path.name} is truncated or was altered; build the workspace again."
            raise DamagedWorkspaceError(msg) from error

    @cached_property
    def _numbers(self) -> pd.DataFrame:
        texts = [name for name in TEXTS if name in self._table.column_names]
        frame: pd.DataFrame = self._table.select([*CHEAP, *texts]).to_pandas()
        return frame

    @cached_property
    def _metadata(self) -> pd.DataFrame:
        names = [name for name in self._table.column_names if name.startswith(META)]
        frame: pd.DataFrame = self._table.select(names).to_pandas()
        frame.columns = pd.Index([name.removeprefix(META) for name in names], dtype=object)
        return frame if names else pd.DataFrame(index=range(len(self)))


def is_named_alike(path: Path, project: Project, split: Split) -> bool:
    """Whether a table that was written has the project's keys and metadata, which no fingerprint covers."""
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
            metadata = [name for name in table.column_names if name.startswith(META)]
            return bool(table.select(["key", *metadata]).equals(pa.table(_named(project, split))))
    except (pa.ArrowInvalid, OSError, KeyError):
        return False


def _named(project: Project, split: Split) -> dict[str, pa.Array]:
    """What the user calls the examples and knows of them."""
    return {"key": pa.array(project.keys(split), pa.string()), **metadata_columns(project.metadata(split))}


def write_examples(path: Path, project: Project, split: Split, seen: Predictions, view: View) -> None:
    """Write one split's table."""
    n = len(seen.losses)
    named = _named(project, split)
    columns = {
        "id": pa.array(range(n), pa.int64()),
        "key": named.pop("key"),
        **verdicts(seen, project),
        **_shown(view, split, n),
        **named,
    }
    table = pa.table(columns)

    def content(temporary: Path) -> None:
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=CHUNK)

    write(path, content)


def _shown(view: View, split: Split, n: int) -> dict[str, pa.Array]:
    shown = view.train if split == "train" else view.test
    if isinstance(shown, pd.DataFrame):
        rows = [json.dumps(_plain(row), ensure_ascii=False) for row in shown.to_dict("records")]
        return {"row": pa.array(rows, pa.large_string())}
    if view.modality == "text":
        return {"text": pa.array([_safe(str(shown[i])) for i in range(n)], pa.large_string())}
    return {"image": pa.array([png(picture(shown, i)) for i in range(n)], pa.large_binary())}


def picture(shown: Sequence[Any], index: int) -> Any:
    """One picture of a view, which may be read from a file only now.

    Raises:
        ProjectError: If it cannot be read.
    """
    try:
        found = shown[index]
        if isinstance(found, Image.Image):
            found.load()
    except ProjectError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else "no message"
        msg = f"Picture {index} of the view cannot be read ({type(error).__name__}: {reason}); mend it or leave it out."
        raise ProjectError(msg) from error
    return found


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Numbers, texts and None (missing) only."""
    cells = {str(name): value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
    return {name: None if pd.isna(value) else value if _is_json(value) else str(value) for name, value in cells.items()}


def _is_json(value: object) -> bool:
    return isinstance(value, str | int | float | bool)


def _safe(text: str) -> str:
    """Lone surrogates cannot be stored as UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def png(picture: Any) -> bytes:
    """PNG bytes of a PIL image or an array: uint8 as it is, floats stretched from their range to 0..255.

    Raises:
        ProjectError: If the array has no picture's shape.
    """
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else _image(np.asarray(picture))
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _image(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[-1] not in (3, 4):  # noqa: PLR2004  (channels first)
        array = np.moveaxis(array, 0, -1)
    array = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array  # noqa: PLR2004
    if array.ndim not in (2, 3):
        msg = f"A picture has shape {array.shape}; give (height, width), (height, width, 3) or (3, height, width)."
        raise ProjectError(msg)
    if array.dtype != np.uint8:
        low, high = float(array.min()), float(array.max())
        array = np.round(255 * (array - low) / (high - low or 1.0)).astype(np.uint8)
    return Image.fromarray(array)
