"""Rows as Hugging Face's ``datasets`` and lists of dicts hold them: columns, labels, keys and metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from influence_core.errors import ProjectError
from influence_core.project import Split

KEY = "id"  # the column whose values are the user's own ids
LONGEST_CELL = 200  # characters of a metadata cell; anything longer is content


@dataclass(frozen=True)
class LabelledRows:
    """One split as the user gave it.

    Attributes:
        split: Train or test, for the sentences.
        rows: A ``datasets.Dataset`` or a sequence of dicts.
    """

    split: Split
    rows: Any

    @classmethod
    def of(cls, split: Split, rows: Any) -> LabelledRows:
        """Rows by index.

        Raises:
            ProjectError: If they are none: a dict of splits, or a stream without a length.
        """
        if isinstance(rows, pd.DataFrame):
            return cls(split, rows.to_dict("records"))
        if isinstance(rows, Mapping):
            msg = f"The {split} data are a dict of {', '.join(map(str, rows))}; give one of its data sets."
            raise ProjectError(msg)
        if not hasattr(rows, "__len__") or not hasattr(rows, "__getitem__"):
            msg = f"The {split} data have no length; give a datasets.Dataset or a list of dicts instead of a stream."
            raise ProjectError(msg)
        if not len(rows):
            msg = f"The {split} set is empty; give at least one example."
            raise ProjectError(msg)
        return cls(split, rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        if hasattr(self.rows, "column_names"):
            return list(self.rows.column_names)
        first = self.rows[0]
        if not isinstance(first, Mapping):
            msg = f"Row 0 of the {self.split} data is a {type(first).__name__}; every row must be a dict of columns."
            raise ProjectError(msg)
        return [str(name) for name in first]

    def column(self, name: str) -> list[Any]:
        """All values of a column.

        Raises:
            ProjectError: If there is no such column in every row.
        """
        if name not in self.names:
            known = ", ".join(f"'{known}'" for known in self.names)
            msg = f"The {self.split} data have no column '{name}'; they have {known}: name yours with columns=(...)."
            raise ProjectError(msg)
        if hasattr(self.rows, "column_names"):
            return list(self.rows[name])
        return [row.get(name) for row in self.rows]

    def cell(self, row: int, name: str) -> Any:
        """One value."""
        return self.rows[row][name]

    def keys(self) -> list[str]:
        """The column ``id`` if there is one and every row has its own; else nothing."""
        if KEY not in self.names:
            return []
        keys = [str(value) for value in self.column(KEY)]
        return keys if len(set(keys)) == len(keys) else []

    def metadata(self, but: Sequence[str]) -> pd.DataFrame | None:
        """Every other column whose cells are all short: numbers, words, truth values; None if there is none."""
        kept = {}
        for name in self.names:
            if name in but or name == KEY:
                continue
            cells = self.column(name)
            if all(_is_small(cell) for cell in cells):
                kept[name] = cells
        return pd.DataFrame(kept) if kept else None

    def labels(self, name: str, class_ids: Mapping[str, int]) -> Tensor:
        """Class numbers of a column that holds them, or class names; shape ``(n,)``, int64.

        Raises:
            ProjectError: If a label is none of them; the row is named.
        """
        n_classes = len(class_ids)
        found = [self._class_of(row, label, class_ids) for row, label in enumerate(self.column(name))]
        for row, label in enumerate(found):
            if not 0 <= label < n_classes:
                msg = (
                    f"Row {row} of the {self.split} data has label {label}; the model has classes 0 to {n_classes - 1}."
                )
                raise ProjectError(msg)
        return torch.tensor(found, dtype=torch.long)

    def values(self, name: str, width: int) -> Tensor:
        """Numbers to be predicted, or zeros and ones of several labels, float64.

        Args:
            name: The column.
            width: How many a row has; 0 for a single number.

        Returns:
            Shape ``(n,)``, or ``(n, width)``.
        """
        found = []
        for row, label in enumerate(self.column(name)):
            numbers = [_plain(number) for number in (label if width else [label])] if _has_length(label, width) else []
            if not numbers or not all(isinstance(number, Real) and isfinite(number) for number in numbers):
                raise self._no_label(row, label, f"a list of {width} numbers" if width else "a number")
            found.append([float(number) for number in numbers])
        table = torch.tensor(found, dtype=torch.float64)
        return table if width else table[:, 0]

    def _class_of(self, row: int, label: Any, class_ids: Mapping[str, int]) -> int:
        label = _plain(label)
        if isinstance(label, str):
            if label not in class_ids:
                known = ", ".join(f"'{known}'" for known in list(class_ids)[:20])
                msg = f"Row {row} of the {self.split} data has label '{label}'; model.config.label2id knows {known}."
                raise ProjectError(msg)
            return class_ids[label]
        if isinstance(label, Real) and float(label).is_integer():
            return int(float(label))
        raise self._no_label(row, label, "one class number or name")

    def _no_label(self, row: int, label: Any, wanted: str) -> ProjectError:
        return ProjectError(f"Row {row} of the {self.split} data has label {label!r:.80}; {wanted} is needed.")


def _plain(value: Any) -> Any:
    """Numbers of numpy and torch as Python's."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value


def _has_length(label: Any, width: int) -> bool:
    return not width or (hasattr(label, "__len__") and not isinstance(label, str) and len(label) == width)


def _is_small(cell: Any) -> bool:
    if isinstance(cell, str):
        return len(cell) <= LONGEST_CELL
    return cell is None or isinstance(_plain(cell), Real)
