"""Delimited text as a data frame: encoding, separator and types are found, a line that does not fit is named."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from itertools import islice

import numpy as np
import pandas as pd

from dashboard.services.uploads.limits import CELLS, CHARACTERS, COLUMNS, ROWS, UploadError, listed

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
SAMPLE = 65_536  # characters that the separator is found in
SAMPLE_LINES = 50
MISSING = {"", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "?"}
NUMBER_WITH_COMMA = r"[+-]?\d+(,\d+)?"
LARGEST_WHOLE = 2**53  # beyond it float64 does not tell whole numbers apart


def read_csv(data: bytes) -> tuple[pd.DataFrame, list[str]]:
    """The table and what was noticed.

    Raises:
        UploadError: If it is no such table, or too large.
    """
    text, said = _decoded(data)
    separator = _separator(text)
    header, columns = _columns(text, separator)
    names = named(header, said)
    frame = pd.DataFrame({name: _typed(cells) for name, cells in zip(names, columns, strict=True)}, columns=names)
    if separator != ",":
        _read_decimal_commas(frame, said)
    return frame, said


def named(header: list[str], said: list[str]) -> list[str]:
    """Column names that are there and unique."""
    found: list[str] = []
    repeated = []
    for place, given in enumerate(header, 1):
        name = base = " ".join(given.split()) or f"column {place}"
        count = 1
        while name in found:
            count += 1
            name = f"{base} ({count})"
        if count > 1:
            repeated.append(base)
        found.append(name)
    if repeated:
        said.append(f"Several columns are called {listed(sorted(set(repeated)))}; the later ones got a number.")
    return found


def _decoded(data: bytes) -> tuple[str, list[str]]:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace"), []
    if b"\x00" in data:
        msg = "The file holds bytes that no text has; save the table as CSV (UTF-8) and upload that."
        raise UploadError(msg)
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        return data.decode("latin-1"), [
            "The file is not UTF-8 and was read as Latin-1; look whether accents are right."
        ]


def _separator(text: str) -> str:
    """The one that cuts most lines into the same number of cells, at least two."""
    lines = text[:SAMPLE]
    if len(text) > SAMPLE:
        lines = lines[: lines.rfind("\n") + 1] or lines
    return max(SEPARATORS, key=lambda separator: _fit(lines, separator))


def _fit(lines: str, separator: str) -> tuple[float, int]:
    try:
        rows = list(islice(csv.reader(io.StringIO(lines, newline=""), delimiter=separator), SAMPLE_LINES))
    except csv.Error:
        return 0.0, 0
    widths = Counter(len(row) for row in rows if row)
    if not widths:
        return 0.0, 0
    width, count = widths.most_common(1)[0]
    return (count / widths.total(), width) if width > 1 else (0.0, 0)


def _columns(text: str, separator: str) -> tuple[list[str], list[list[str]]]:
    csv.field_size_limit(CHARACTERS)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        header = next((row for row in reader if any(cell.strip() for cell in row)), [])
        check_width(len(header), f"cut at {SEPARATORS[separator]}")
        rows = []
        for row in reader:
            if not row or (len(row) == 1 and not row[0].strip()):
                continue  # an empty line
            if len(row) != len(header):
                _refuse_line(reader.line_num, len(row), len(header), SEPARATORS[separator])
            rows.append(row)
            check_size(len(rows), len(header))
    except csv.Error as error:
        msg = f"Line {reader.line_num} cannot be read ({error}); a cell may hold {CHARACTERS:,} characters."
        raise UploadError(msg) from error
    return header, [list(cells) for cells in zip(*rows, strict=True)] or [[] for _ in header]


def check_width(width: int, how: str) -> None:
    """Raise UploadError unless there is a label and something to tell it by."""
    if width < 2:  # noqa: PLR2004
        msg = (
            f"The table has {'one column' if width else 'no column'} ({how}); a label and at least one more column are "
            "needed, in CSV between commas, semicolons or tabs."
        )
        raise UploadError(msg)


def _refuse_line(line: int, width: int, expected: int, separator: str) -> None:
    msg = (
        f"Line {line} has {width} {'cell' if width == 1 else 'cells'} and the first line has {expected} (cut at "
        f"{separator}); mend or remove that line."
    )
    raise UploadError(msg)


def check_size(rows: int, columns: int) -> None:
    """Raise UploadError if a table is too large."""
    for what, found, most in (("rows", rows, ROWS), ("columns", columns, COLUMNS), ("cells", rows * columns, CELLS)):
        if found > most:
            more = "or more " if what != "columns" else ""
            msg = f"The table has {found:,} {more}{what} and at most {most:,} are taken here; upload a part of it."
            raise UploadError(msg)


def _typed(cells: list[str]) -> pd.Series:
    """Numbers if all cells are, else words; a missing cell is NaN or None."""
    words = pd.Series(cells, dtype=object).str.strip()
    words = words.mask(words.isin(MISSING), None)
    return _as_numbers(words)


def _as_numbers(words: pd.Series) -> pd.Series:
    known = words.notna()
    if bool(words[known].str.fullmatch(r"0\d+").any()):  # "007" is a name
        return words
    numbers = pd.to_numeric(words, errors="coerce")
    if not known.any() or not bool(numbers[known].notna().all()):
        return words
    return numbers_of(numbers)


def numbers_of(values: pd.Series) -> pd.Series:
    """Whole numbers as such where none is missing; infinities are missing."""
    found = values.astype("float64").replace([np.inf, -np.inf], np.nan)
    whole = found.notna().all() and bool((found % 1 == 0).all()) and float(found.abs().max()) < LARGEST_WHOLE
    return found.astype("int64") if whole else found


def _read_decimal_commas(frame: pd.DataFrame, said: list[str]) -> None:
    changed = []
    for name in [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]:
        known = frame[name].dropna().astype(str)
        if len(known) and bool(known.str.fullmatch(NUMBER_WITH_COMMA).all()) and bool(known.str.contains(",").any()):
            frame[name] = _as_numbers(frame[name].str.replace(",", ".", regex=False))
            changed.append(str(name))
    if changed:
        said.append(f"Commas in {listed(changed)} were read as decimal points.")
