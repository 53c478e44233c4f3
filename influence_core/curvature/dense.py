"""Curvature of any model: as an operator on blocks of vectors, and for small models as a dense matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from influence_core.gradients import FunctionalModel
from influence_core.project import Dataset
from influence_core.task import Batch

# Forward-over-reverse keeps every intermediate of a block of directions alive. For small dense matrices these blocks
# were among the cheapest measured (tests/benchmarks/hessian_blocks.py) and stay far below a gigabyte.
ROWS, COLUMNS = 512, 32
Tick = Callable[[int, int], None]


class Curvature(Protocol):
    """A symmetric operator that includes the regulariser and is never damped."""

    @property
    def size(self) -> int:
        """Number of attributed parameters."""
        ...

    @property
    def n(self) -> int:
        """Number of training examples."""
        ...

    def matvec(self, vectors: Tensor, rows: Sequence[int] | None = None) -> Tensor:
        """Curvature times each column, shape ``(p, k)``; of the mean over ``rows`` only, if they are given."""
        ...


@dataclass(frozen=True)
class Blocks:
    """How much is held in memory at once; it changes speed and memory, and the answer by rounding only.

    Attributes:
        rows: Examples at once.
        products: Examples times directions at once.
    """

    rows: int
    products: int

    def apply(self, product: Callable[[Tensor], Tensor], vectors: Tensor, n_rows: int) -> Tensor:
        """Apply ``product`` to as many columns at once as ``n_rows`` examples allow."""
        width = max(1, self.products // max(n_rows, 1))
        return torch.cat([product(block) for block in torch.split(vectors, width, dim=1)], dim=1)


@dataclass(frozen=True)
class Hessian:
    """``grad^2 J``: the Hessian of the mean training loss plus that of the regulariser.

    Attributes:
        model: The model as a function of its parameters.
        train: The training data.
        blocks: How much is held in memory at once.
    """

    model: FunctionalModel
    train: Dataset
    blocks: Blocks = field(default_factory=lambda: Blocks(ROWS, ROWS * COLUMNS))

    @property
    def size(self) -> int:
        """Number of attributed parameters."""
        return self.model.vector.size

    @property
    def n(self) -> int:
        """Number of training examples."""
        return len(self.train)

    def matvec(self, vectors: Tensor, rows: Sequence[int] | None = None) -> Tensor:
        """Curvature times each column, shape ``(p, k)``; of the mean over ``rows`` only, if they are given."""
        return _mean(self, self.model.loss_hessian_products, vectors, rows)

    def matrix(self, tick: Tick = lambda done, total: None) -> Tensor:
        """Dense curvature, shape ``(p, p)``; ``tick(done, total)`` counts columns."""
        return _columns(self.matvec, self.model.theta, tick)


@dataclass(frozen=True)
class GaussNewton:
    """``(1/n) sum_i J_i^T (d^2 loss_i / d outputs^2) J_i`` plus the regulariser's Hessian (Schraudolph 2002).

    Positive semi-definite wherever the loss is convex in the outputs.

    Attributes:
        model: The model as a function of its parameters.
        train: The training data.
        blocks: How much is held in memory at once.
    """

    model: FunctionalModel
    train: Dataset
    blocks: Blocks = field(default_factory=lambda: Blocks(ROWS, ROWS * COLUMNS))

    @property
    def size(self) -> int:
        """Number of attributed parameters."""
        return self.model.vector.size

    @property
    def n(self) -> int:
        """Number of training examples."""
        return len(self.train)

    def matvec(self, vectors: Tensor, rows: Sequence[int] | None = None) -> Tensor:
        """Curvature times each column, shape ``(p, k)``; of the mean over ``rows`` only, if they are given."""
        return _mean(self, self.model.loss_gauss_newton_products, vectors, rows)

    def matrix(self, tick: Tick = lambda done, total: None) -> Tensor:
        """Dense curvature, shape ``(p, p)``; ``tick(done, total)`` counts training examples."""
        total = self.model.theta.new_zeros(self.size, self.size)
        for rows, batch in self.model.batches(self.train, _rows_for(self.size)):
            jacobian = self.model.output_jacobians(batch)
            curved = self.model.output_curvature(batch) @ jacobian
            total += jacobian.flatten(0, 1).mT @ curved.flatten(0, 1)
            tick(rows[-1] + 1, len(self.train))
        penalty = _columns(self.model.penalty_hessian_products, self.model.theta)
        return total / len(self.train) + penalty


Products = Callable[[Batch, Tensor], Tensor]


def _mean(curvature: Hessian | GaussNewton, products: Products, vectors: Tensor, rows: Sequence[int] | None) -> Tensor:
    """The mean over some rows of each row's curvature times the columns, plus the regulariser's."""
    model, blocks = curvature.model, curvature.blocks
    total = torch.zeros_like(vectors)
    for ids, batch in model.batches(curvature.train, blocks.rows, rows):
        total += blocks.apply(lambda columns, batch=batch: products(batch, columns), vectors, len(ids))  # type: ignore[misc]
    return total / (curvature.n if rows is None else len(rows)) + model.penalty_hessian_products(vectors)


def _rows_for(size: int) -> int:
    """Rows whose Jacobians of ten outputs fit into about 256 MB."""
    return max(1, min(ROWS, 3_200_000 // size))


def _columns(
    matvec: Callable[[Tensor], Tensor],
    like: Tensor,
    tick: Tick = lambda done, total: None,
) -> Tensor:
    """Apply a matvec to the identity, block by block, and symmetrise away the rounding."""
    size = len(like)
    identity = torch.eye(size, dtype=like.dtype, device=like.device)
    full = like.new_empty(size, size)
    for start in range(0, size, COLUMNS):
        stop = min(start + COLUMNS, size)
        full[:, start:stop] = matvec(identity[:, start:stop])
        tick(stop, size)
    return (full + full.mT) / 2
