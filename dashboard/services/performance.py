"""How good the model is: what Overview shows first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dashboard.services.listing import errors
from dashboard.services.wording import number, plain

MOST_CLASSES = 20  # a larger confusion matrix is a ranked list of confused pairs instead


@dataclass(frozen=True)
class Figure:
    """One number of the headline: its name, the number in words, and what it means."""

    name: str
    value: str
    meaning: str


def figures(frame: pd.DataFrame, kind: str, unit: str = "") -> list[Figure]:
    """The headline of the test set."""
    if kind == "multilabel":
        return _label_figures(frame)
    if kind != "classification":
        return _regression_figures(frame, kind, unit)
    wrong = int((~frame["correct"].astype(bool)).sum())
    recalls = recall(frame)
    return [
        Figure(
            "Accuracy", f"{100 * float(frame['correct'].mean()):.1f} %", "Share of test predictions that are right."
        ),
        Figure(
            "Balanced accuracy",
            f"{100 * float(np.nanmean(recalls)):.1f} %",
            "Mean recall of the classes: rare ones count as much.",
        ),
        Figure("Wrong", f"{wrong:,}", f"Of {len(frame):,} test predictions."),
    ]


def _label_figures(frame: pd.DataFrame) -> list[Figure]:
    wrong = int((~frame["correct"].astype(bool)).sum())
    exact = f"{100 * float(frame['correct'].mean()):.1f} %"
    return [
        Figure("All labels right", exact, "Share of test predictions with no label too many and none missing."),
        Figure("Wrong", f"{wrong:,}", f"Of {len(frame):,} test predictions."),
        Figure("Mean loss", number(float(frame["loss"].mean())), "Nats a label, over the test predictions."),
    ]


def _regression_figures(frame: pd.DataFrame, kind: str, unit: str) -> list[Figure]:
    mean_loss = Figure("Mean loss", number(float(frame["loss"].mean())), "Over the test predictions.")
    if kind != "regression":
        return [mean_loss]
    missed = errors(frame)
    spread = float(((frame["label"] - frame["label"].mean()) ** 2).sum())
    explained = 1 - float((missed**2).sum()) / spread if spread > 0 else float("nan")
    in_unit = f" ({plain(unit)})" if unit else ""
    return [
        Figure("R²", number(explained), "Share of the variance that the model explains; 1 is perfect."),
        Figure(f"Typical error{in_unit}", number(float(np.median(missed))), "Half of the predictions are closer."),
        Figure(f"Largest error{in_unit}", number(float(missed.max())), f"Of {len(frame):,} test predictions."),
    ]


def recall(frame: pd.DataFrame) -> np.ndarray:
    """Recall of each class that occurs, in the order of class numbers; NaN for those that do not."""
    labels = frame["label"].to_numpy(dtype=int)
    right = frame["correct"].to_numpy(dtype=float)
    counts = np.bincount(labels)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(labels, weights=right) / np.where(counts, counts, np.nan))


def classes(test: pd.DataFrame, train: pd.DataFrame, class_names: list[str]) -> pd.DataFrame:
    """Recall and counts of every class."""
    n = len(class_names)
    recalls = np.full(n, np.nan)
    found = recall(test)
    recalls[: len(found)] = found
    counted = {
        side: np.bincount(rows["label"].astype(int), minlength=n) for side, rows in (("Test", test), ("Train", train))
    }
    wrong = np.bincount(test["label"].astype(int), weights=~test["correct"].astype(bool), minlength=n).astype(int)
    names = [plain(name) for name in class_names]
    return pd.DataFrame({"Class": names, "Recall": recalls.round(3), "Wrong": wrong, **counted})


def confusion(frame: pd.DataFrame, n_classes: int) -> np.ndarray:
    """Counts, true label by predicted class."""
    cells = frame["label"].to_numpy(dtype=int) * n_classes + frame["prediction"].to_numpy(dtype=int)
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)


def confused_pairs(matrix: np.ndarray, class_names: list[str]) -> pd.DataFrame:
    """Pairs of a true and another predicted class, the most frequent first, with their class numbers."""
    off = matrix.copy()
    np.fill_diagonal(off, 0)
    order = np.argsort(-off, axis=None, kind="stable")[: int((off > 0).sum())]
    truth, guess = np.unravel_index(order, off.shape)
    return pd.DataFrame(
        {
            "True": [plain(class_names[i]) for i in truth],
            "Predicted": [plain(class_names[i]) for i in guess],
            "Count": off[truth, guess],
            "true": truth,
            "predicted": guess,
        }
    )
