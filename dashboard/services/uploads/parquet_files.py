"""Parquet as a data frame of plain columns; what it takes in memory is known before anything is unpacked."""

from __future__ import annotations

import io
from collections.abc import Callable

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dashboard.services.uploads.csv_files import check_size, check_width, named, numbers_of
from dashboard.services.uploads.limits import CHARACTERS, UNPACKED_MEGABYTES, UploadError, listed

Kind = Callable[[pa.DataType], bool]
WORDS: tuple[Kind, ...] = (pa.types.is_string, pa.types.is_large_string)
NUMBERS: tuple[Kind, ...] = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
DATES: tuple[Kind, ...] = (pa.types.is_timestamp, pa.types.is_date)


def read_parquet(data: bytes) -> tuple[pd.DataFrame, list[str]]:
    """The table and what was noticed.

    Raises:
        UploadError: If it is no such file, or too large.
    """
    try:
        table, odd = read_within_limits(data)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or ["no reason given"])[0][:200].rstrip(".")
        msg = f"The Parquet file cannot be read ({reason}); write it again, or upload the table as CSV."
        raise UploadError(msg) from error
    said = [f"Left out, as their cells are no plain values: {listed(odd)}."] if odd else []
    check_width(table.num_columns, "its plain columns")
    names = named([str(name) for name in table.column_names], said)
    columns = {name: _series(column) for name, column in zip(names, table.columns, strict=True)}
    return pd.DataFrame(columns), said


def read_within_limits(data: bytes, own: int = 0, also: tuple[Kind, ...] = ()) -> tuple[pa.Table, list[str]]:
    """The plain columns, texts as dictionaries in which one that is repeated takes no room; the others' names.

    Args:
        data: The file.
        own: Columns that do not count.
        also: Further kinds of columns that are taken, of bytes.

    Raises:
        UploadError: If it is too large once it is unpacked.
        ArrowException: If it cannot be read, or an OSError or a ValueError.
    """
    file = pq.ParquetFile(io.BytesIO(data))
    check_size(file.metadata.num_rows, max(0, file.metadata.num_columns - own))
    _check_bytes(sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)))
    schema = file.schema_arrow
    texts = [field.name for field in schema if _is(field.type, (*WORDS, *also))]
    kinds = (*WORDS, *NUMBERS, *DATES, pa.types.is_boolean, *also)
    plain = [field.name for field in schema if _is(field.type, kinds)]
    table = pq.ParquetFile(io.BytesIO(data), read_dictionary=texts).read(columns=plain)
    unpacked = 0
    for name in texts:
        unpacked += _characters(name, table.column(name))
        _check_bytes(unpacked)
    return table, [field.name for field in schema if field.name not in plain]


def _is(kind: pa.DataType, kinds: tuple[Kind, ...]) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(is_of(value) for is_of in kinds)


def _characters(name: str, column: pa.ChunkedArray) -> int:
    """Bytes of all texts of a column once every repetition is written out."""
    total = 0
    for chunk in column.chunks:
        lengths = pc.binary_length(chunk.dictionary) if pa.types.is_dictionary(chunk.type) else pc.binary_length(chunk)
        longest = pc.max(lengths).as_py() or 0
        if longest > 4 * CHARACTERS:  # bytes a character in UTF-8, at most
            msg = f"A cell of '{name[:60]}' has {longest:,} bytes; a cell may hold {CHARACTERS:,} characters."
            raise UploadError(msg)
        each = lengths.take(chunk.indices) if pa.types.is_dictionary(chunk.type) else lengths
        total += pc.sum(each).as_py() or 0
    return total


def _check_bytes(size: int) -> None:
    if size > UNPACKED_MEGABYTES * 1_000_000:
        msg = f"The table takes {size / 1e6:,.0f} MB unpacked, and {UNPACKED_MEGABYTES} MB are the most; upload a part."
        raise UploadError(msg)


def _series(column: pa.ChunkedArray) -> pd.Series:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_boolean(kind):
        return _words(column).map({"true": "yes", "false": "no"}, na_action="ignore")
    if _is(kind, NUMBERS):
        return numbers_of(column.cast(pa.float64(), safe=False).to_pandas())
    return pd.to_datetime(column.to_pandas()) if _is(kind, DATES) else _words(column)


def _words(column: pa.ChunkedArray) -> pd.Series:
    found = pd.Series(column.cast(pa.string()).to_pylist(), dtype=object).str.strip()
    return found.mask(found.isna() | (found == ""), None)
