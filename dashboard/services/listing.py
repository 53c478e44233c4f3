"""Which test predictions are listed, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dashboard.services.filters import Condition, Filters
from dashboard.services.labels import LONGEST, column
from dashboard.services.metadata import passing
from dashboard.services.wording import number, percent, plain

__all__ = ["PAGE", "Filters", "errors", "matching", "neighbours", "page_of", "table", "where"]

LONGEST_NAME = 18  # characters of a class in the list, which has room for two of them
PAGE = 50


def matching(
    frame: pd.DataFrame,
    kind: str,
    filters: Filters,
    found: np.ndarray | None = None,
    metadata: pd.DataFrame | None = None,
) -> list[int]:
    """Test ids that pass the filters, in order.

    Args:
        frame: All test predictions.
        kind: Of the task.
        filters: What is asked.
        found: The ids that the search found; all if absent.
        metadata: The user's own columns of the same rows.
    """
    kept = np.ones(len(frame), dtype=bool)
    if kind in ("classification", "multilabel"):
        kept &= _right_classes(frame, filters)
    elif filters.least_error > 0:
        kept &= errors(frame) >= filters.least_error
    if found is not None:
        kept &= np.isin(frame["id"].to_numpy(), found)
    kept &= where(pd.DataFrame(index=frame.index) if metadata is None else metadata, filters.where)
    return [int(i) for i in _sorted(frame[kept], filters.sort)["id"]]


def where(metadata: pd.DataFrame, conditions: Sequence[Condition]) -> np.ndarray:
    """Which rows pass all conditions on metadata columns."""
    kept = np.ones(len(metadata), dtype=bool)
    for condition in conditions:
        if condition.says_something:
            kept &= passing(metadata, condition)
    return kept


def errors(frame: pd.DataFrame) -> np.ndarray:
    """Absolute errors of a regression."""
    return np.asarray((frame["prediction"] - frame["label"]).abs(), dtype=float)


def _right_classes(frame: pd.DataFrame, filters: Filters) -> np.ndarray:
    kept = np.ones(len(frame), dtype=bool)
    correct = frame["correct"].to_numpy(dtype=bool)
    if filters.outcome != "all":
        kept &= correct == (filters.outcome == "right")
    if filters.true is not None:
        kept &= frame["label"].to_numpy() == filters.true
    if filters.predicted is not None:
        kept &= frame["prediction"].to_numpy() == filters.predicted
    if filters.low > 0 or filters.high < 1:
        confidence = frame["confidence"].to_numpy(dtype=float)
        kept &= (confidence >= filters.low) & (confidence <= filters.high)
    return kept


def _sorted(frame: pd.DataFrame, sort: str) -> pd.DataFrame:
    if sort == "id":
        return frame.sort_values("id")
    return frame.sort_values([sort, "id"], ascending=[sort == "confidence", True])


def page_of(ids: Sequence[int], test_id: int | None) -> int:
    """The page, from 1, that shows an example; the first one if it is not in the list."""
    return ids.index(test_id) // PAGE + 1 if test_id in ids else 1


def neighbours(ids: Sequence[int], test_id: int | None) -> tuple[int | None, int | None]:
    """The examples before and after one; from outside the list, Next leads to its first."""
    if test_id not in ids:
        return None, (ids[0] if ids else None)
    at = ids.index(test_id)
    return (ids[at - 1] if at else None), (ids[at + 1] if at + 1 < len(ids) else None)


def table(
    frame: pd.DataFrame, ids: Sequence[int], class_names: list[str], test_id: int | None, marks: Sequence[str] = ()
) -> pd.DataFrame:
    """The rows of one page as text, in the order of ``ids``.

    Args:
        frame: All test predictions.
        ids: Of the rows.
        class_names: Empty in a regression.
        test_id: The example that is explained, marked by ▸.
        marks: Whether each row is solved, in words; empty if that need not be said.
    """
    rows = frame.set_index("id").loc[list(ids)]
    truth, guess = (
        [plain(name, LONGEST_NAME if class_names else LONGEST) for name in column(rows, class_names, which)]
        for which in ("label", "prediction")
    )
    shown = {
        "Example": [f"{'▸ ' if i == test_id else ''}{plain(key)}" for i, key in zip(ids, rows["key"], strict=True)],
        "True": truth,
        "Predicted": guess,
    }
    if rows["correct"].notna().all():
        ticks = ("✓" if right else "✗" for right in rows["correct"])
        shown["Predicted"] = [f"{tick} {name}" for tick, name in zip(ticks, guess, strict=True)]
    if class_names:
        shown["Sure"] = [percent(c) for c in rows["confidence"]]
    shown["Loss"] = [number(loss) for loss in rows["loss"]]
    if marks:
        shown["Scores"] = list(marks)
    table = pd.DataFrame(shown)
    # several values are long: what is short comes first, so that it is in sight
    long = "label_text" in rows and rows["correct"].isna().all()
    return table[sorted(table, key=lambda name: name in ("True", "Predicted"))] if long else table
