"""The forms of an explained prediction: JSON, CSV, and a table for a terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict

from rich.console import Group
from rich.table import Table
from rich.text import Text

from dashboard.services.explanation import Answer, Explained, Label, Row
from dashboard.services.wording import class_name, percent, plain, signed

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a cell that starts so
KEY_WIDTH = 40


def as_json(answer: Answer) -> str:
    """One object; a number that is none is null."""
    return json.dumps(asdict(answer), indent=2, allow_nan=False)


def as_csv(explained: Explained) -> str:
    """One line a training example: list, rank, train_id, key, score, label, ranking; no cell is a formula."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["list", "rank", "train_id", "key", "score", "label", "ranking"])
    for name, rows in _lists(explained):
        writer.writerows(
            [safe_cell(name), r.rank, r.train_id, safe_cell(r.key), r.score, safe_cell(r.label), r.ranking]
            for r in rows
        )
    return file.getvalue()


def _lists(explained: Explained) -> list[tuple[str, list[Row]]]:
    answer, said = explained.answer, explained.words
    return [(said.positive, answer.helpful), (said.negative, answer.harmful)]


def safe_cell(value: Label) -> Label:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def as_table(explained: Explained) -> Group:
    """For a terminal; every text of the data is shown as it is, never as markup."""
    answer, said = explained.answer, explained.words
    name = _text(answer.label), _text(answer.prediction)
    parts: list[Text | Table] = [
        Text(f"Test example {answer.test_id}, {plain(answer.key)}: label {name[0]}, prediction {name[1]}"),
        Text(f"Explained: {plain(said.measured)}. {plain(said.meaning, longest=200)}"),
    ]
    for (title, rows), total in zip(_lists(explained), explained.totals, strict=True):
        parts.append(_ranking(plain(title), rows, answer, (total, explained.off)))
    if explained.ranked_by:
        parts.append(Text(explained.ranked_by))
    return Group(*parts, Text(explained.trust))


def _ranking(title: str, rows: list[Row], answer: Answer, beside: tuple[float, Mapping[int, str]]) -> Table | Text:
    total, off = beside
    if not rows:
        return Text(f"{_sentence_case(title)}: none")
    table = Table(title=Text(_sentence_case(title)), title_justify="left")
    by = [] if answer.ranked_by == "effect" else [answer.ranked_by]
    for name in ("rank", "key", "id", "label", "score", "share", *by):
        table.add_column(Text(name), justify="left" if name in ("key", "label") else "right")
    if any(off.values()):
        table.add_column(Text("first order"), justify="right")
    for row in rows:
        cells = [str(row.rank), plain(row.key, KEY_WIDTH), str(row.train_id), _text(row.label)]
        shown = [*cells, signed(row.score, answer.unit), percent(abs(row.score) / total)]
        shown += [signed(row.ranking, "").strip() for _ in by]
        shown += [off.get(row.train_id, "")] if any(off.values()) else []
        table.add_row(*(Text(cell) for cell in shown))
    return table


def _sentence_case(title: str) -> str:
    return title[:1].upper() + title[1:]


def _text(label: Label) -> str:
    return plain(label) if isinstance(label, str) else class_name(label, [])
