"""Passes over the training data that never hold all gradients: derivatives along directions, and gradient norms."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from influence_core.checks import check_test_ids
from influence_core.curvature.dense import Blocks
from influence_core.errors import MethodError
from influence_core.gradients import FunctionalModel
from influence_core.methods.base import Tick
from influence_core.predictions import predict
from influence_core.project import Dataset, Project
from influence_core.target import Target

BLOCK_BYTES = 2**28  # gradients of a block of examples, when their norms are taken


def measurement_columns(model: FunctionalModel, project: Project, test_ids: Sequence[int], target: Target) -> Tensor:
    """Gradient of each measurement as a column, shape ``(p, m)``.

    Let the model be in float64: in float32 the loss of a confident prediction has a gradient of rounding errors.

    Raises:
        TargetError: If the task cannot measure the target.
        UnknownNameError: If there is no such test example.
    """
    target.check(project.task.kind, project.task.n_targets)
    check_test_ids(project, test_ids)
    predict(model, project, "test", ids=test_ids)  # names the first row that does not fit
    test = model.batches(project.test, 1, list(test_ids))
    return torch.stack([model.measurement_gradient(batch, target) for _, batch in test], dim=1)


def along(model: FunctionalModel, train: Dataset, vectors: Tensor, blocks: Blocks) -> Tensor:
    """Every training gradient times every column, shape ``(p, m)`` to ``(n, m)``, by forward-mode passes."""
    parts = []
    for ids, batch in model.batches(train, blocks.rows):
        parts.append(blocks.apply(lambda v, b=batch: model.directional_losses(b, v), vectors, len(ids)))  # type: ignore[misc]
    return torch.cat(parts)


def gradient_norms(model: FunctionalModel, train: Dataset, rows: int, tick: Tick) -> Tensor:
    """Norm of every training gradient, shape ``(n,)``, float64; a block of gradients is held at once.

    Raises:
        MethodError: If a layer, such as a recurrent one, does not give every example's gradient by itself.
    """
    fitting = max(1, BLOCK_BYTES // (model.theta.numel() * model.theta.element_size()))
    norms = []
    for ids, batch in model.batches(train, min(rows, fitting)):
        norms.append(torch.linalg.vector_norm(_gradients(model, batch), dim=1, dtype=torch.float64))
        tick(ids[-1] + 1, len(train))
    return torch.cat(norms)


def _gradients(model: FunctionalModel, batch: object) -> Tensor:
    try:
        return model.loss_gradients(batch)
    except RuntimeError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        msg = (
            f"A layer of the model does not give every example's gradient by itself ({reason}); write it with plain "
            "operations, or use a method that needs no norms, such as grad-dot."
        )
        raise MethodError(msg) from error
