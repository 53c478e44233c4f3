"""Stored scores as data frames, for a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from influence_core.scores import words
from influence_core.target import Target

if TYPE_CHECKING:
    from influence_core.store.run import Run


def ranking(run: Run, test_id: int, target: Target | None, k: int | None) -> pd.DataFrame:
    """One row a training example, from the most positive score to the most negative; see ``Run.frame``."""
    found = run.scores(test_id, target)
    frame = found.frame(test_id, k)
    values = found.of(test_id).double().numpy()
    totals = np.where(frame["score"] > 0, values.clip(min=0).sum(), -values.clip(max=0).sum())
    example, names = run.test[test_id], run.manifest.names
    said = words(found.target, run.manifest.kind, names, label=example.label, prediction=example.prediction)
    sides = np.select([frame["score"] > 0, frame["score"] < 0], [said.positive, said.negative], "neither")
    rows = run.train.frame().iloc[frame["train_id"].to_numpy()].reset_index(drop=True)
    return frame.assign(
        share=np.divide(frame["score"].abs(), totals, out=np.zeros(len(frame)), where=totals > 0),
        direction=sides,
        key=rows["key"],
        label=_named(rows, "label", run.manifest.class_names),
        prediction=_named(rows, "prediction", run.manifest.class_names),
    )


def _named(rows: pd.DataFrame, column: str, class_names: list[str]) -> list[str] | list[float]:
    """Class names; the numbers of a regression; or the texts where an example has several."""
    if f"{column}_text" in rows:
        return [str(text) for text in rows[f"{column}_text"]]
    if class_names:
        return [class_names[int(number)] for number in rows[column]]
    return [float(number) for number in rows[column]]
