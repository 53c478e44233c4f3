"""One pass over a split: outputs, losses and, for a linear head, its inputs. Every row is checked on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from influence_core.errors import InfluenceError, ProjectError
from influence_core.gradients import FunctionalModel
from influence_core.placement import kept
from influence_core.project import Dataset, Project, Split
from influence_core.replay import own
from influence_core.task import (
    Batch,
    ClassificationTask,
    MultiLabelTask,
    RegressionTask,
    inputs_and_labels,
    row_weights,
)

BATCH = 512


@dataclass(frozen=True)
class Predictions:
    """What the model says of a split.

    Attributes:
        outputs: Shape ``(n, outputs)``.
        labels: Shape ``(n,)``, or one row of values or labels an example.
        losses: The measured losses, without row weights or smoothing, shape ``(n,)``.
        inputs: What the captured layer was given, shape ``(n, d)``; empty if none was captured.
        weights: The rows' own weights, part of their training losses, shape ``(n,)``.
    """

    outputs: Tensor
    labels: Tensor
    losses: Tensor
    inputs: Tensor
    weights: Tensor

    def kept(self) -> Predictions:
        """The same on the CPU, for files."""
        return Predictions(**{name: kept(tensor) for name, tensor in vars(self).items()})


def predict(  # noqa: PLR0913  (what is run, and three things that are usually all of it)
    model: FunctionalModel,
    project: Project,
    split: Split,
    *,
    ids: Sequence[int] | None = None,
    capture: nn.Module | None = None,
    data: Dataset | None = None,
) -> Predictions:
    """Run the model over a split.

    Args:
        model: The private copy.
        project: Its data and task.
        split: Train or test.
        ids: The rows to run; all if absent.
        capture: A layer of ``model.module`` whose input is kept.
        data: The split's rows where they are at hand in memory, with what a frozen trunk made of them.

    Raises:
        ProjectError: If rows, labels, outputs and task do not fit together; the first such row is named.
    """
    parts: list[tuple[Tensor, ...]] = []
    for rows, given in model.batches(data or project.split(split), BATCH, ids):
        batch = own(given)
        _check_inputs(split, rows, batch)
        captured: list[Tensor] = [model.theta.new_empty(len(rows), 0)]
        outputs = _outputs(model, given, captured, capture)
        labels = inputs_and_labels(batch)[1]
        check_outputs(project, split, rows, outputs, labels)
        _check_losses(project, split, rows, outputs, batch)
        losses = project.task.measurements(outputs, batch)
        weights = row_weights(batch)
        parts.append((outputs, labels, losses, captured[-1], torch.ones_like(losses) if weights is None else weights))
    return Predictions(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _outputs(model: FunctionalModel, batch: Batch, captured: list[Tensor], capture: nn.Module | None) -> Tensor:
    hook = capture.register_forward_pre_hook(lambda _, args: captured.append(args[0])) if capture else None
    try:
        return model.outputs(model.theta, batch)
    except InfluenceError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = f"The model cannot be run on a batch of the data; check that inputs and model fit ({reason})."
        raise ProjectError(msg) from error
    finally:
        if hook is not None:
            hook.remove()


def _check_inputs(split: Split, rows: Sequence[int], batch: Batch) -> None:
    for leaf in tree_leaves(batch):
        if isinstance(leaf, Tensor) and leaf.is_floating_point():
            bad = ~leaf.reshape(len(rows), -1).isfinite().all(dim=1)
            if bad.any():
                row = rows[int(bad.nonzero()[0])]
                msg = f"Row {row} of the {split} data holds NaN or infinity; drop it or fill it in."
                raise ProjectError(msg)


def check_outputs(project: Project, split: Split, rows: Sequence[int], outputs: Tensor, labels: Any) -> None:
    """Raise ProjectError if outputs and labels do not fit the task."""
    if not isinstance(labels, Tensor) or len(labels) != len(rows):
        msg = f"The {split} labels are not one number a row; give items of the form (input, label)."
        raise ProjectError(msg)
    if isinstance(project.task, ClassificationTask):
        _check_classes(project.task.n_classes, split, rows, outputs, labels)
    elif isinstance(project.task, MultiLabelTask):
        _check_label_vectors(project.task.n_labels, split, rows, outputs, labels)
    elif isinstance(project.task, RegressionTask):
        _check_values(project.task.n_outputs, split, rows, outputs, labels)
    if not outputs.isfinite().all():
        row = rows[int((~outputs.reshape(len(rows), -1).isfinite().all(dim=1)).nonzero()[0])]
        msg = f"The model's output for row {row} of the {split} data is NaN or infinite; check the model's weights."
        raise ProjectError(msg)


def _check_classes(n_classes: int, split: Split, rows: Sequence[int], outputs: Tensor, labels: Tensor) -> None:
    if outputs.shape != (len(rows), n_classes):
        msg = (
            f"The task has {n_classes} classes, but the model's outputs for {len(rows)} rows have shape "
            f"{tuple(outputs.shape)}; they must be ({len(rows)}, {n_classes})."
        )
        raise ProjectError(msg)
    if labels.is_floating_point() or labels.dim() != 1:
        given = f"{labels.dtype} of shape {tuple(labels.shape)}"
        msg = f"The {split} labels are {given}; one whole class number a row is needed."
        raise ProjectError(msg)
    bad = (labels < 0) | (labels >= n_classes)
    if bad.any():
        row = int(bad.nonzero()[0])
        msg = f"Row {rows[row]} of the {split} data has label {int(labels[row])}; labels run from 0 to {n_classes - 1}."
        raise ProjectError(msg)


def _check_label_vectors(n_labels: int, split: Split, rows: Sequence[int], outputs: Tensor, labels: Tensor) -> None:
    for what, given in (("model's outputs", outputs), (f"{split} labels", labels)):
        if given.shape != (len(rows), n_labels):
            needed = (len(rows), n_labels)
            msg = f"The {what} for {len(rows)} rows have shape {tuple(given.shape)}; they must be {needed}."
            raise ProjectError(msg)
    bad = ((labels != 0) & (labels != 1)).any(dim=1)
    if bad.any():
        row = rows[int(bad.nonzero()[0])]
        msg = f"Row {row} of the {split} data has a label that is neither 0 nor 1; give a 1 for each label it has."
        raise ProjectError(msg)


def _check_values(n_outputs: int, split: Split, rows: Sequence[int], outputs: Tensor, labels: Tensor) -> None:
    given = outputs.reshape(len(rows), -1).shape[1]
    if given != n_outputs:
        msg = (
            f"The task has {n_outputs} output{'s' if n_outputs > 1 else ''} a row and the model gives {given}; "
            f"set RegressionTask(n_outputs={given})."
        )
        raise ProjectError(msg)
    if labels.numel() != len(rows) * n_outputs:
        msg = f"The {split} labels have shape {tuple(labels.shape)}; they must be ({len(rows)}, {n_outputs})."
        raise ProjectError(msg)


def _check_losses(project: Project, split: Split, rows: Sequence[int], outputs: Tensor, batch: Batch) -> None:
    losses = project.task.losses(outputs, batch)
    if losses.shape != (len(rows),):
        msg = f"The task's losses have shape {tuple(losses.shape)} for {len(rows)} rows; one loss a row is needed."
        raise ProjectError(msg)
    if not losses.isfinite().all():
        row = rows[int((~losses.isfinite()).nonzero()[0])]
        msg = f"The loss of row {row} of the {split} data is NaN or infinite; check its label, its weight and the loss."
        raise ProjectError(msg)
