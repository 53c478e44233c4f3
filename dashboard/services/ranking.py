"""The scores of all training examples as a table, for the screen and for a file."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dashboard.services.answer_forms import FORMULA
from dashboard.services.influence import Explanation
from dashboard.services.labels import column
from dashboard.services.wording import count, percent, plain, side_names


def table(
    explanation: Explanation, train: pd.DataFrame, class_names: list[str], kept: np.ndarray | None = None
) -> pd.DataFrame:
    """One row a training example, the most influential first; only those that are kept, whose ranks are of all."""
    values = explanation.values
    order = np.argsort(-np.abs(explanation.numbers), kind="stable")
    said = np.where(values > 0, explanation.words.positive, np.where(values < 0, explanation.words.negative, "none"))
    sums = {1.0: explanation.total("positive"), -1.0: explanation.total("negative"), 0.0: 1.0}
    shares = np.abs(values) / np.array([sums[s] or 1.0 for s in np.sign(values)])
    rows = train.iloc[order]
    whole = pd.DataFrame(
        {
            "rank": np.arange(1, len(order) + 1),
            "key": [plain(key) for key in rows["key"]],
            "label": column(rows, class_names),
            "direction": [plain(word) for word in said[order]],
            "score": values[order],
            "share of its side": shares[order],
            "id": order,
        }
    )
    if explanation.rank != "effect":
        whole.insert(5, explanation.rank, explanation.numbers[order])
    return whole if kept is None else whole[kept[order]]


def group_sentence(explanation: Explanation, kept: np.ndarray, called: str) -> str:
    """How much of the influence of each side comes from some of the training examples."""
    n, side_words = int(kept.sum()), side_names(explanation.words, explanation.target)
    group = f"{n:,} of {count(len(kept), 'training example', 'training examples')} ({called})"
    if not n:
        return f"No training example passes ({called})."
    parts = []
    for side, words in zip(("positive", "negative"), side_words, strict=True):
        total = explanation.total(side)
        if total > 0:
            sizes = np.abs(explanation.values[explanation.ranked[side]])
            share = float(sizes[kept[explanation.ranked[side]]].sum()) / total
            parts.append(f"{percent(share)} of the {words}")
    return f"{group} {'carries' if n == 1 else 'carry'} {' and '.join(parts) or 'no influence'}."


def as_csv(table: pd.DataFrame) -> str:
    """The table as a file; no cell of the user's texts is a formula when a spreadsheet opens it."""
    texts = {
        name: [f"'{cell}" if cell.startswith(FORMULA) else cell for cell in table[name]]
        for name in ("key", "label", "direction")
    }
    return table.assign(**texts).to_csv(index=False)
