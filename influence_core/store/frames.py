"""Stored scores as data frames, for a notebook."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from influence_core.rankings import Rank
from influence_core.scores import InfluenceScores
from influence_core.target import Target

if TYPE_CHECKING:
    from influence_core.store.run import Run


def ranking(run: Run, asked: tuple[int, Target | None], k: int | None, rank: Rank) -> pd.DataFrame:
    """One row a training example, from the most positive to the most negative; ``asked`` is as in ``Run.frame``."""
    test_id, target = asked
    found = run.scores(test_id, target)
    values = found.of(test_id).double().numpy()
    frame = _ordered(run, found, test_id, k, rank) if rank != "effect" else found.frame(test_id, k)
    totals = np.where(frame["score"] > 0, values.clip(min=0).sum(), -values.clip(max=0).sum())
    said = run.words(test_id, found.target)
    sides = np.select([frame["score"] > 0, frame["score"] < 0], [said.positive, said.negative], "neither")
    rows = run.train.frame().iloc[frame["train_id"].to_numpy()].reset_index(drop=True)
    return frame.assign(
        share=np.divide(frame["score"].abs(), totals, out=np.zeros(len(frame)), where=totals > 0),
        direction=sides,
        key=rows["key"],
        label=_named(rows, "label", run.manifest.class_names),
        prediction=_named(rows, "prediction", run.manifest.class_names),
    )


def _ordered(run: Run, found: InfluenceScores, test_id: int, k: int | None, rank: Rank) -> pd.DataFrame:
    """As ``InfluenceScores.frame``, ordered by another number, which is the column ``ranking``."""
    numbers = run.numbers(found, test_id, rank)
    frame = replace(found, values=numbers[None], test_ids=(test_id,)).frame(test_id, k)
    scores = found.of(test_id).double().numpy()[frame["train_id"]]
    return frame.rename(columns={"score": "ranking"}).assign(score=scores)


def _named(rows: pd.DataFrame, column: str, class_names: list[str]) -> list[str] | list[float]:
    """Class names; the numbers of a regression; or the texts where an example has several."""
    if f"{column}_text" in rows:
        return [str(text) for text in rows[f"{column}_text"]]
    if class_names:
        return [class_names[int(number)] for number in rows[column]]
    return [float(number) for number in rows[column]]
