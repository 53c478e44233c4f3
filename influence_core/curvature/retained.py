"""Gauss-Newton products that keep what they share: a solver takes dozens of them at the same parameters.

The model is run once. Its derivative at the trained parameters is linear, so that ``J^T u`` and ``J v`` are each one
pass through what was kept: about a third of the time of a product that begins with the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.func import grad, jvp

from influence_core.curvature.dense import Blocks, Curvature, GaussNewton
from influence_core.gradients import FunctionalModel, Map
from influence_core.memory import bytes_of_a_row, free_bytes
from influence_core.project import Dataset
from influence_core.replay import own
from influence_core.task import Batch

BYTES = 2**30  # that may be kept
SHARE = 0.25  # of the free memory
PASSES = 3  # times what one reverse pass keeps: both maps, and a product under way


@dataclass(frozen=True)
class RetainedGaussNewton:
    """The same curvature as ``plain``; products on all rows go through what was kept.

    Attributes:
        plain: The curvature.
    """

    plain: GaussNewton

    @property
    def size(self) -> int:
        """Number of attributed parameters."""
        return self.plain.size

    @property
    def n(self) -> int:
        """Number of training examples."""
        return self.plain.n

    def matvec(self, vectors: Tensor, rows: Sequence[int] | None = None) -> Tensor:
        """Curvature times each column, shape ``(p, k)``; of the mean over ``rows`` only, if they are given."""
        if rows is not None:
            return self.plain.matvec(vectors, rows)
        total = torch.zeros_like(vectors)
        for product in self._products:
            for column, vector in enumerate(vectors.unbind(1)):
                total[:, column] += product(vector)
        return total / self.n + self.plain.model.penalty_hessian_products(vectors)

    @cached_property
    def _products(self) -> list[Map]:
        model = self.plain.model
        return [_product(model, batch) for _, batch in model.batches(self.plain.train, self.plain.blocks.products)]


def _product(model: FunctionalModel, batch: Batch) -> Map:
    """``sum_i J_i^T (d^2 loss_i / d outputs^2) J_i`` of a batch, times a vector."""
    outputs, forth, back = model.linearised(batch)
    slopes = grad(lambda z: model.task.losses(z, own(batch)).sum())
    return lambda vector: back(jvp(slopes, (outputs,), (forth(vector),))[1])


def gauss_newton(model: FunctionalModel, train: Dataset, blocks: Blocks) -> Curvature:
    """The Gauss-Newton curvature, with what its products share in memory if that fits."""
    plain, free = GaussNewton(model, train, blocks), free_bytes(model.device)
    most = BYTES if free is None else min(BYTES, SHARE * free)
    return RetainedGaussNewton(plain) if PASSES * len(train) * bytes_of_a_row(model, train) <= most else plain
