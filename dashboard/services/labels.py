"""What is true of an example and what was predicted, in words: a class, a number, several labels or several values."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from dashboard.services.wording import class_name, plain
from influence_core.store import Example

LONGEST = 120  # characters of several labels on one line
Which = Literal["label", "prediction"]


def said(example: Example, class_names: list[str], which: Which = "label") -> str:
    """Of one example."""
    text = example.label_text if which == "label" else example.prediction_text
    value = example.label if which == "label" else example.prediction
    return plain(text, LONGEST) if text is not None else class_name(value, class_names)


def is_right(example: Example) -> bool:
    """Whether the prediction is what is true, of a task where a prediction can be."""
    if example.label_text is not None:
        return example.label_text == example.prediction_text
    return example.label == example.prediction


def column(frame: pd.DataFrame, class_names: list[str], which: Which = "label") -> list[str]:
    """Of every row of an example table's frame."""
    name = f"{which}_text"
    if name in frame:
        return [plain(text, LONGEST) for text in frame[name]]
    return [class_name(value, class_names) for value in frame[which]]
