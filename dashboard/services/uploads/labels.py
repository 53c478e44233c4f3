"""Labels of an upload: classes or values, and the rows that have none that can be learnt."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dashboard.services.uploads.limits import CLASSES, FEWEST_OF_CLASS, FEWEST_ROWS, UploadError, listed

FEWEST_TO_TRAIN = 2
FEWEST_CLASSES = 2


def classes_of(name: str, values: pd.Series, said: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """A class name of each row, and which rows have one.

    Raises:
        UploadError: If there are too many classes, or only one.
    """
    kept = values.notna().to_numpy()
    _say_missing(name, kept, said)
    labels = np.array(
        [_class_name(cell) if there else "" for cell, there in zip(values, kept, strict=True)], dtype=object
    )
    distinct = len(set(labels[kept]))
    if distinct > CLASSES:
        what = "numbers" if pd.api.types.is_numeric_dtype(values) else "texts"
        how = "predict its value instead" if what == "numbers" else "it is probably a name or an id"
        msg = (
            f"'{name[:60]}' holds {distinct:,} different {what} in {int(kept.sum()):,} rows, and {CLASSES} classes are "
            f"the most: {how}, or choose another label."
        )
        raise UploadError(msg)
    if distinct < FEWEST_CLASSES:
        only = f"only the class {listed(sorted(set(labels[kept])))}" if distinct else "no label at all"
        msg = f"'{name[:60]}' holds {only}; two classes are needed: choose another label."
        raise UploadError(msg)
    return labels, kept


def values_of(name: str, values: pd.Series, said: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """A number of each row, and which rows have one.

    Raises:
        UploadError: If the column holds words, or one number only.
    """
    if not pd.api.types.is_numeric_dtype(values):
        msg = f"'{name[:60]}' holds words, so no value can be predicted; predict classes, or choose another label."
        raise UploadError(msg)
    numbers = values.to_numpy(dtype=np.float64)
    kept = np.isfinite(numbers)
    _say_missing(name, kept, said)
    if int(kept.sum()) < FEWEST_ROWS or len(np.unique(numbers[kept])) < FEWEST_CLASSES:
        msg = (
            f"'{name[:60]}' holds {int(kept.sum()):,} numbers of which {len(np.unique(numbers[kept])):,} differ; at "
            f"least {FEWEST_ROWS} are needed and not all the same: choose another label."
        )
        raise UploadError(msg)
    return numbers, kept


def few_rows(labels: np.ndarray, kept: np.ndarray, is_train: np.ndarray | None, said: list[str]) -> np.ndarray:
    """The rows of classes that have enough of them.

    Raises:
        UploadError: If fewer than two classes or too few rows are left.
    """
    names, counts = np.unique(labels[kept].astype(str), return_counts=True)
    few = [str(name) for name, count in zip(names, counts, strict=True) if count < FEWEST_OF_CLASS]
    if is_train is not None:
        trained = pd.Series(labels[kept & is_train]).value_counts()
        few += [str(name) for name in names if trained.get(name, 0) < FEWEST_TO_TRAIN and name not in few]
    left = kept & ~np.isin(labels.astype(str), few)
    if len(names) - len(few) < FEWEST_CLASSES or int(left.sum()) < FEWEST_ROWS:
        msg = (
            f"{len(few):,} of {len(names):,} classes have fewer than {FEWEST_OF_CLASS} examples (or fewer than "
            f"{FEWEST_TO_TRAIN} to train on), and {int(left.sum()):,} rows are left of the others; at least two such "
            f"classes and {FEWEST_ROWS} rows are needed: choose another label, or upload more rows."
        )
        raise UploadError(msg)
    if few:
        rows = int(kept.sum() - left.sum())
        said.append(f"Left out, as they have too few examples ({rows:,} rows in all): the classes {listed(few)}.")
    return left


def _say_missing(name: str, kept: np.ndarray, said: list[str]) -> None:
    missing = int((~kept).sum())
    if missing:
        has, are = ("row has", "is") if missing == 1 else ("rows have", "are")
        said.append(f"{missing:,} {has} no '{name[:60]}' and {are} left out.")


def _class_name(cell: object) -> str:
    whole = isinstance(cell, float) and cell.is_integer()
    return str(int(cell) if whole else cell)  # type: ignore[call-overload]
