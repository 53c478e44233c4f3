"""How the examples of a project are shown to a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

Modality = Literal["image", "text", "table"]


@dataclass(frozen=True)
class View:
    """What to show of example ``i`` of either split.

    Attributes:
        modality: ``image``, ``text`` or ``table``.
        train: One entry a training example: a PIL image or an array of shape (h, w), (h, w, 3) or (3, h, w);
            a string; or, for tables, a data frame with one row an example in human units.
        test: The same for the test examples.
    """

    modality: Modality
    train: Sequence[Any] | pd.DataFrame
    test: Sequence[Any] | pd.DataFrame


def ImageView(train: Sequence[Any], test: Sequence[Any]) -> View:  # noqa: N802  (reads as a constructor)
    """Images, as PIL images or arrays."""
    return View("image", train, test)


def TextView(train: Sequence[str], test: Sequence[str]) -> View:  # noqa: N802  (reads as a constructor)
    """Texts, shown as they are and never interpreted."""
    return View("text", train, test)


def TableView(train: pd.DataFrame, test: pd.DataFrame) -> View:  # noqa: N802  (reads as a constructor)
    """Table rows in human units."""
    return View("table", train, test)
