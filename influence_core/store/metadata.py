"""The user's own columns as Arrow: any data frame can be stored, whatever is in its cells and names."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from numbers import Real
from typing import Any

import pandas as pd
import pyarrow as pa

META = "meta: "  # prefix of metadata columns, so that none can be taken for one of ours
UNNAMED = "unnamed"


def metadata_columns(frame: pd.DataFrame | None) -> dict[str, pa.Array]:
    """Stored name -> values: truths, numbers and dates as such, anything else as text; what is missing is null."""
    if frame is None:
        return {}
    columns = (_stored(frame.iloc[:, i]) for i in range(frame.shape[1]))
    return {META + name: values for name, values in zip(_distinct(frame.columns), columns, strict=True)}


def _distinct(given: Iterable[object]) -> list[str]:
    """Names as text, none empty and no two alike: a second "age" is "age (2)"."""
    names: list[str] = []
    for label in given:
        text = _text(" / ".join(map(str, label)) if isinstance(label, tuple) else label).strip() or UNNAMED
        name, count = text, 1
        while name in names:
            count += 1
            name = f"{text} ({count})"
        names.append(name)
    return names


def _stored(column: pd.Series[Any]) -> pa.Array:
    values = column.astype(object) if isinstance(column.dtype, pd.CategoricalDtype) else column
    if pd.api.types.is_bool_dtype(values) or pd.api.types.is_integer_dtype(values):
        return _array(values)
    if pd.api.types.is_float_dtype(values):
        return _array(values.astype("float64"))
    if pd.api.types.is_datetime64_any_dtype(values):
        return _array(values)
    return _guessed(values)


def _array(values: pd.Series[Any]) -> pa.Array:
    found = pa.Array.from_pandas(values)
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _guessed(values: pd.Series[Any]) -> pa.Array:
    """Cells of any type: stored as what all of them are, else as text."""
    cells = [None if _is_missing(cell) else cell for cell in values.astype(object)]
    known = [cell for cell in cells if cell is not None]
    if known and all(isinstance(cell, bool) for cell in known):
        return pa.array(cells, pa.bool_())
    if known and all(isinstance(cell, Real) and not isinstance(cell, bool) for cell in known):
        return pa.array([None if cell is None else float(cell) for cell in cells], pa.float64())
    if known and all(isinstance(cell, datetime.date) for cell in known):
        dates = pd.to_datetime(pd.Series(cells, dtype=object), errors="coerce", utc=_has_zone(known))
        if int(dates.notna().sum()) == len(known):
            return _array(dates)
    return pa.array([None if cell is None else _text(cell) for cell in cells], pa.string())


def _has_zone(known: Iterable[Any]) -> bool:
    return any(getattr(cell, "tzinfo", None) is not None for cell in known)


def _is_missing(cell: Any) -> bool:
    return cell is None or (pd.api.types.is_scalar(cell) and bool(pd.isna(cell)))


def _text(value: object) -> str:
    """Text that UTF-8 can store: lone surrogates cannot be."""
    return str(value).encode("utf-8", "replace").decode("utf-8")
