"""Exact curvature of any small model, as a dense matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from influence_core.gradients import FunctionalModel
from influence_core.project import Dataset

# Forward-over-reverse keeps every intermediate of a block of directions alive: these blocks were among the cheapest
# of those measured (tests/benchmarks/hessian_blocks.py) and stay far below a gigabyte for models of this size.
ROWS, COLUMNS = 512, 32
Tick = Callable[[int, int], None]


@dataclass(frozen=True)
class Hessian:
    """``grad^2 J``: the Hessian of the mean training loss plus that of the regulariser.

    Attributes:
        model: The model as a function of its parameters.
        train: The training data.
    """

    model: FunctionalModel
    train: Dataset

    @property
    def size(self) -> int:
        """Number of attributed parameters."""
        return self.model.vector.size

    def matvec(self, vectors: Tensor) -> Tensor:
        """Curvature times each column, shape ``(p, k)``."""
        total = torch.zeros_like(vectors)
        for _, batch in self.model.batches(self.train, ROWS):
            total += self.model.loss_hessian_products(batch, vectors)
        return total / len(self.train) + self.model.penalty_hessian_products(vectors)

    def matrix(self, tick: Tick = lambda done, total: None) -> Tensor:
        """Dense curvature, shape ``(p, p)``; ``tick(done, total)`` counts columns."""
        return _columns(self.matvec, self.size, self.model.dtype, tick)


@dataclass(frozen=True)
class GaussNewton:
    """``(1/n) sum_i J_i^T (d^2 loss_i / d outputs^2) J_i`` plus the regulariser's Hessian (Schraudolph 2002).

    Positive semi-definite wherever the loss is convex in the outputs.

    Attributes:
        model: The model as a function of its parameters.
        train: The training data.
    """

    model: FunctionalModel
    train: Dataset

    @property
    def size(self) -> int:
        """Number of attributed parameters."""
        return self.model.vector.size

    def matvec(self, vectors: Tensor) -> Tensor:
        """Curvature times each column, shape ``(p, k)``, without forming the matrix."""
        total = torch.zeros_like(vectors)
        for _, batch in self.model.batches(self.train, _rows_for(self.size)):
            jacobian = self.model.output_jacobians(batch)
            curved = self.model.output_curvature(batch) @ (jacobian @ vectors)
            total += jacobian.flatten(0, 1).mT @ curved.flatten(0, 1)
        return total / len(self.train) + self.model.penalty_hessian_products(vectors)

    def matrix(self, tick: Tick = lambda done, total: None) -> Tensor:
        """Dense curvature, shape ``(p, p)``; ``tick(done, total)`` counts training examples."""
        total = torch.zeros(self.size, self.size, dtype=self.model.dtype)
        for rows, batch in self.model.batches(self.train, _rows_for(self.size)):
            jacobian = self.model.output_jacobians(batch)
            curved = self.model.output_curvature(batch) @ jacobian
            total += jacobian.flatten(0, 1).mT @ curved.flatten(0, 1)
            tick(rows[-1] + 1, len(self.train))
        penalty = _columns(self.model.penalty_hessian_products, self.size, self.model.dtype)
        return total / len(self.train) + penalty


def _rows_for(size: int) -> int:
    """Rows whose Jacobians of ten outputs fit into about 256 MB."""
    return max(1, min(ROWS, 3_200_000 // size))


def _columns(
    matvec: Callable[[Tensor], Tensor],
    size: int,
    dtype: torch.dtype,
    tick: Tick = lambda done, total: None,
) -> Tensor:
    """Apply a matvec to the identity, block by block, and symmetrise away the rounding."""
    identity = torch.eye(size, dtype=dtype)
    full = torch.empty(size, size, dtype=dtype)
    for start in range(0, size, COLUMNS):
        stop = min(start + COLUMNS, size)
        full[:, start:stop] = matvec(identity[:, start:stop])
        tick(stop, size)
    return (full + full.mT) / 2
