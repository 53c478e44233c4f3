"""From kept rows to a project: the model is trained anew each time, and is the same each time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from dashboard.services.uploads.keeping import Kept, kept_in
from dashboard.services.uploads.models import TWO, fit, for_pipeline, head_of, pipeline, width_of
from dashboard.services.uploads.pictures import Thumbnails
from influence_core import Project, from_sklearn
from influence_core.project import Stacked
from influence_core.views import ImageView, TableView, TextView, View


@dataclass(frozen=True)
class Halves:
    """Rows of the two splits, in the order of the upload."""

    train: np.ndarray
    test: np.ndarray


def project_in(folder: Path) -> Project:
    """The project of a workspace that was made of an upload.

    Raises:
        UploadError: If what it keeps cannot be used.
        ProjectError: If no model can be fitted on it.
    """
    return project_of(kept_in(folder))


def project_of(kept: Kept) -> Project:
    """Fit the head on the kept rows, polish it to its optimum, and say how good it is.

    Raises:
        UploadError: If the rows do not fit the model.
        ProjectError: If no model can be fitted on them.
    """
    recipe, rows = kept.recipe, kept.rows
    halves = Halves(np.flatnonzero(~rows.is_test), np.flatnonzero(rows.is_test))
    inputs = inputs_of(kept)
    width = width_of(recipe.choices.kind, len(set(rows.labels)), len(rows.labels))
    head = head_of(recipe.choices.kind, recipe.strength)
    model = pipeline(recipe.choices.modality, rows.numbers, rows.inputs, head, width)
    train, test = ((take(inputs, half), rows.labels[half]) for half in (halves.train, halves.test))
    fit(model, *train)
    about: dict[str, Any] = {
        "view": _view(kept, halves),
        "title": f"{recipe.name}: {_predicted(kept)}",
        "train_keys": [rows.keys[i] for i in halves.train] if rows.keys else [],
        "test_keys": [rows.keys[i] for i in halves.test] if rows.keys else [],
    }
    if len(rows.known.columns):
        about["train_metadata"] = rows.known.iloc[halves.train].reset_index(drop=True)
        about["test_metadata"] = rows.known.iloc[halves.test].reset_index(drop=True)
    project = from_sklearn(model, train, test, name=recipe.name, **about)
    quality = quality_of(project)
    described = f"Trained here on {recipe.file}: {_model(kept, model)} {quality}"
    return replace(project, description=described, notes=[*project.notes, quality, *rows.said])


def inputs_of(kept: Kept) -> Any:
    """What the pipeline reads, one entry a row."""
    read = kept.rows.inputs if kept.features is None else kept.features
    return for_pipeline(kept.recipe.choices.modality, kept.rows.numbers, read)


def take(inputs: Any, rows: np.ndarray) -> Any:
    """Some rows of the inputs."""
    if isinstance(inputs, pd.DataFrame):
        return inputs.iloc[rows].reset_index(drop=True)
    return [inputs[i] for i in rows] if isinstance(inputs, list) else inputs[rows]


def quality_of(project: Project) -> str:
    """How good the model is on the test rows, beside what needs no model."""
    assert isinstance(project.test, Stacked) and isinstance(project.train, Stacked)  # noqa: S101, PT018  (from_sklearn's)
    batch, trained_on = project.test.batch, project.train.batch[1]
    with torch.no_grad():
        outputs = project.task.outputs(project.model, batch)
    labels, n = batch[1], len(project.test)
    if project.task.kind == "classification":
        right = float((outputs.argmax(dim=1) == labels).double().mean())
        most = int(trained_on.bincount().argmax())
        same = float((labels == most).double().mean())
        name = project.class_names[most][:60]
        said = f"It is right for {100 * right:.1f} % of {n:,} test examples; "
        return f"{said}always saying '{name}' would be for {100 * same:.1f} %."
    mean = trained_on.mean()
    off, without = ((values - labels).abs().mean() for values in (outputs.reshape(-1), mean))
    said = f"It is off by {off:.3g} on average over {n:,} test examples; "
    return f"{said}always saying {mean:.3g} would be by {without:.3g}."


def _predicted(kept: Kept) -> str:
    choices = kept.recipe.choices
    return "which folder" if choices.modality == "image" else choices.label


def _model(kept: Kept, model: Any) -> str:
    columns = int(model[-1].n_features_in_)
    kind = "ridge regression" if kept.recipe.choices.kind == "regression" else "softmax regression"
    if kept.recipe.choices.kind == "classification" and len(set(kept.rows.labels)) == TWO:
        kind = "logistic regression"
    of = {
        "table": f"{columns:,} standardised columns",
        "text": f"a vocabulary of {columns:,} words",
        "image": f"{columns:,} numbers made of the {kept.recipe.read_by}",
    }
    return f"a {kind} on {of[kept.recipe.choices.modality]}."


def _view(kept: Kept, halves: Halves) -> View:
    rows = kept.rows
    if kept.features is not None:
        return ImageView(*(Thumbnails([kept.pngs[i] for i in half]) for half in (halves.train, halves.test)))
    train, test = (rows.inputs.iloc[half].reset_index(drop=True) for half in (halves.train, halves.test))
    if kept.recipe.choices.modality == "text":
        return TextView(list(train["text"]), list(test["text"]))
    return TableView(train, test)
