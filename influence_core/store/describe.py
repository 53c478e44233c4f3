"""From a live project to the facts that a workspace keeps of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from influence_core.gradients import FunctionalModel
from influence_core.heads import Head
from influence_core.parameters import ParameterVector
from influence_core.predictions import Predictions
from influence_core.project import Dataset, Project, batches, read_row
from influence_core.store.manifest import Column, Manifest
from influence_core.task import ClassificationTask, RegressionTask, Task, inputs_and_labels
from influence_core.views import View


def fingerprint(project: Project) -> str:
    """Hash of the parameters, which of them are attributed, buffers, data and task; the same on every machine.

    Parameters count to six digits, as a model that is trained again elsewhere differs in its last bits.
    """
    total = hashlib.sha256(_said(project.task).encode())
    vector = ParameterVector.of(project.model, project.attributed)
    if vector.size != vector.total:
        total.update(repr(vector.names).encode())
    for name, tensor in project.model.state_dict().items():
        total.update(name.encode())
        _update(total, _six_digits(tensor))
    for split in ("train", "test"):
        for _, batch in batches(project.split(split), 512):
            for leaf in tree_leaves(batch):
                _update(total, leaf) if isinstance(leaf, Tensor) else total.update(repr(leaf).encode())
    return total.hexdigest()[:32]


def _said(task: Task) -> str:
    """The task's settings; a function counts by its name, as its address in memory changes with every process."""
    settings = {name: getattr(task, name) for name in getattr(task, "__dataclass_fields__", ())}
    named = {name: _called(value) if callable(value) else value for name, value in settings.items()}
    return f"{type(task).__qualname__}({named})"


def _called(function: Any) -> str:
    said = repr(function)
    return getattr(function, "__qualname__", type(function).__qualname__ if " at 0x" in said else said)


def _six_digits(tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    largest = tensor.abs().max().clamp_min(1e-300) if tensor.numel() else 1.0
    return torch.round(tensor.double() / largest * 1e6).long()


def _update(total: Any, tensor: Tensor) -> None:
    total.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
    total.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())


def describe(project: Project, model: FunctionalModel, head: Head | None, view: View, project_ref: str) -> Manifest:
    """The manifest of a project."""
    task = project.task
    names = list(project.class_names) or [str(i) for i in range(task.n_targets)]
    one_class, decay = task.kind == "classification", getattr(task, "weight_decay", None)
    return Manifest(
        name=project.name,
        title=project.title or project.name,
        description=project.description,
        modality=view.modality,
        kind=task.kind,
        link=task.link if isinstance(task, ClassificationTask) else "softmax",
        label_unit=task.unit if isinstance(task, RegressionTask) else "",
        class_names=names if one_class else [],
        target_names=[] if one_class else names,
        n_train=len(project.train),
        n_test=len(project.test),
        parameters_attributed=model.vector.size,
        parameters_total=model.vector.total,
        columns=_columns(view.train) if isinstance(view.train, pd.DataFrame) else [],
        weight_decay=decay if isinstance(decay, float) else None,
        is_linear_head=head is not None,
        can_refit=project.fit is not None,
        notes=list(project.notes),
        fingerprint=fingerprint(project),
        project_ref=project_ref,
    )


def _columns(frame: pd.DataFrame) -> list[Column]:
    return [_column(str(name), frame[name]) for name in frame.columns]


def _column(name: str, values: pd.Series[Any]) -> Column:
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return Column(name=name, numeric=False, mean=None, std=None)
    return Column(name=name, numeric=True, mean=float(values.mean()), std=float(values.std(ddof=0)))


def solve_order(project: Project, seen: Predictions) -> list[int]:
    """All test ids, most worth explaining first: those the project names, the wrong ones by loss, the rest."""
    losses = seen.losses.double().numpy()
    wrong = np.zeros(len(losses), dtype=bool)
    if project.task.kind == "classification":
        wrong = (seen.outputs.argmax(dim=1) != seen.labels).numpy()
    elif project.task.kind == "multilabel":
        wrong = ((seen.outputs > 0) != (seen.labels > 0)).any(dim=1).numpy()
    first = [int(i) for i in project.test_first]
    rest = sorted(set(range(len(losses))) - set(first), key=lambda i: (not wrong[i], -losses[i], i))
    return first + rest


def view_of(project: Project) -> View:
    """The project's view, or one guessed from its items: pictures, texts, or a table of numbered features."""
    if project.view is not None:
        return project.view
    inputs, _ = inputs_and_labels(read_row(project.train, 0))
    if isinstance(inputs, str):
        return View("text", _Inputs(project.train), _Inputs(project.test))
    dims = inputs.dim() if isinstance(inputs, Tensor) else 0
    if dims in (2, 3):
        return View("image", _Inputs(project.train), _Inputs(project.test))
    return View("table", _features(project.train), _features(project.test))


@dataclass(frozen=True)
class _Inputs(Sequence[Any]):
    """The inputs of a data set as they are."""

    dataset: Dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        return inputs_and_labels(read_row(self.dataset, index))[0]


def _features(dataset: Dataset) -> pd.DataFrame:
    rows = list(_flat(dataset))
    width = max(map(len, rows))
    return pd.DataFrame(rows, columns=[f"feature {i}" for i in range(width)])


def _flat(dataset: Dataset) -> Iterator[list[float]]:
    for i in range(len(dataset)):
        inputs, _ = inputs_and_labels(read_row(dataset, i))
        leaves = [leaf for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor)]
        yield torch.cat([leaf.reshape(-1).double() for leaf in leaves])[:50].tolist() if leaves else []
