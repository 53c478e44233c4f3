"""The columns of an example table that say what is true, what was predicted and how wrong that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from torch import Tensor

from influence_core.predictions import Predictions
from influence_core.project import Project
from influence_core.task import ClassificationTask

DIGITS = 4  # of a value among several
NO_LABEL = "none"


def verdicts(seen: Predictions, project: Project) -> dict[str, pa.Array]:
    """Label, prediction, probabilities, loss, confidence, correct; and texts where a label is no single number."""
    outputs = seen.outputs.reshape(len(seen.losses), -1).double()
    names = list(project.class_names) or [str(i) for i in range(project.task.n_targets)]
    if isinstance(project.task, ClassificationTask):
        found = _classes(outputs, seen.labels, project.task)
    elif project.task.kind == "multilabel":
        found = _label_sets(outputs, seen.labels, names)
    elif project.task.kind == "multioutput":
        found = _values(outputs, seen.labels, names)
    else:
        found = {
            "label": _array(seen.labels.double().reshape(len(outputs), -1)[:, 0]),
            "prediction": _array(outputs[:, 0]),
        }
    n = len(outputs)
    empty = {
        "label": pa.array(np.full(n, np.nan)),
        "prediction": pa.array(np.full(n, np.nan)),
        "probabilities": pa.nulls(n, pa.list_(pa.float32())),
        "loss": _array(seen.losses.double()),
        "confidence": pa.nulls(n, pa.float64()),
        "correct": pa.nulls(n, pa.bool_()),
    }
    return empty | found


def _classes(outputs: Tensor, labels: Tensor, task: ClassificationTask) -> dict[str, pa.Array]:
    probabilities = task.log_scores(outputs).softmax(dim=1)
    predicted = outputs.argmax(dim=1)
    return {
        "label": _array(labels),
        "prediction": _array(predicted),
        "probabilities": _lists(probabilities),
        "confidence": _array(probabilities.max(dim=1).values),
        "correct": _array(predicted == labels),
    }


def _label_sets(outputs: Tensor, labels: Tensor, names: Sequence[str]) -> dict[str, pa.Array]:
    """A label is predicted if its probability is above one half; right are those with no label too many or too few."""
    predicted, truth = outputs > 0, labels > 0
    return {
        "label_text": pa.array(_named(truth, names), pa.large_string()),
        "prediction_text": pa.array(_named(predicted, names), pa.large_string()),
        "probabilities": _lists(outputs.sigmoid()),
        "correct": _array((predicted == truth).all(dim=1)),
    }


def _named(chosen: Tensor, names: Sequence[str]) -> list[str]:
    rows = chosen.tolist()
    return [", ".join(name for name, has in zip(names, row, strict=True) if has) or NO_LABEL for row in rows]


def _values(outputs: Tensor, labels: Tensor, names: Sequence[str]) -> dict[str, pa.Array]:
    def said(rows: Tensor) -> pa.Array:
        texts = [
            ", ".join(
                f"{name} " + f"{value:.{DIGITS}g}".replace("-", "−") for name, value in zip(names, row, strict=True)
            )
            for row in rows.tolist()
        ]
        return pa.array(texts, pa.large_string())

    return {"label_text": said(labels.double().reshape(outputs.shape)), "prediction_text": said(outputs)}


def _lists(rows: Tensor) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.float().reshape(-1).numpy()), rows.shape[1])


def _array(tensor: Tensor) -> pa.Array:
    return pa.array(tensor.numpy())
