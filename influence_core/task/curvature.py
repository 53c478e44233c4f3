"""The second derivative of a loss by its outputs: in closed form where it is known, else by differentiation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import hessian, vmap
from torch.utils._pytree import tree_map

from influence_core.task.base import Batch, Task, inputs_and_labels, row_weights
from influence_core.task.classification import ClassificationTask


def loss_curvature(task: Task, outputs: Tensor, batch: Batch) -> Tensor:
    """Second derivative of each training loss by its outputs, shape ``(batch, c, c)`` for ``c`` outputs a row."""
    if isinstance(task, ClassificationTask) and _is_plain_softmax(task):
        p = outputs.softmax(dim=1)
        return _weights(task, outputs, batch) * (torch.diag_embed(p) - p[:, :, None] * p[:, None, :])
    return differentiated(task, outputs, batch)


def differentiated(task: Task, outputs: Tensor, batch: Batch) -> Tensor:
    """The same for any loss, one row at a time through torch.func."""

    def one(output: Tensor, example: Batch) -> Tensor:
        alone = tree_map(lambda leaf: leaf.unsqueeze(0), example)
        return hessian(lambda flat: task.losses(flat.view(1, *output.shape), alone)[0])(output.reshape(-1))  # type: ignore[no-any-return]

    return vmap(one)(outputs, batch)


def _is_plain_softmax(task: ClassificationTask) -> bool:
    """Whether the loss is a cross-entropy whose targets add up to one a row: smoothed class weights do not."""
    own = task.loss is not None or type(task).losses is not ClassificationTask.losses
    return not own and task.link == "softmax" and not (task.label_smoothing and len(task.class_weights))


def _weights(task: ClassificationTask, outputs: Tensor, batch: Batch) -> Tensor:
    """What a row's loss is multiplied by, shape ``(batch, 1, 1)``."""
    own, factor = row_weights(batch), outputs.new_ones(len(outputs))
    if len(task.class_weights):
        factor = outputs.new_tensor(task.class_weights)[inputs_and_labels(batch)[1]]
    return (factor if own is None else factor * own)[:, None, None]
