"""Gradients of many examples, kept in the smallest form that answers exactly.

A linear head keeps its inputs and residuals (``n d + n k`` numbers), any other small model its gradients (``n p``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from influence_core.row_blocks import product, rough_product

PART = 131_072  # rows that one core takes at a time
FACTORED_PART = 8_192  # the same of factored rows, each of which is a product with every output
FEW = 16  # columns
WRITTEN_OUT = 1_024  # factored rows


class GradientRows(Protocol):
    """The loss gradients of the training examples, one row each."""

    def __len__(self) -> int:
        """The number of examples."""
        ...

    def dot(self, vectors: Tensor) -> Tensor:
        """Every gradient times every column, shape ``(p, m)`` to ``(n, m)``."""
        ...

    def rough(self, vectors: Tensor) -> Tensor:
        """The same to three digits where that is quicker: enough to find the strongest, which are scored again."""
        ...

    def dense(self, start: int, stop: int) -> Tensor:
        """Some gradients in full, shape ``(stop - start, p)``."""
        ...

    def parts(self) -> Iterator[tuple[int, GradientRows]]:
        """The rows in parts that follow each other, with the place of the first row of each."""
        ...

    def take(self, ids: Tensor) -> GradientRows:
        """Some rows in the best precision that there is."""
        ...


@dataclass(frozen=True)
class KroneckerRows:
    """Gradients ``factors_i (x) inputs_i`` of a linear head, output-major.

    Attributes:
        inputs: Shape ``(n, d)``.
        factors: Derivative of the loss by the outputs in the output basis, shape ``(n, k)``.
    """

    inputs: Tensor
    factors: Tensor

    def __len__(self) -> int:
        """The number of examples."""
        return len(self.inputs)

    def dot(self, vectors: Tensor) -> Tensor:
        """Every gradient times every column; for many columns some gradients at a time are written out."""
        (k, d), m = (self.factors.shape[1], self.inputs.shape[1]), vectors.shape[1]
        by_output, factors = vectors.view(k, d, m).to(self.inputs), self.factors.to(self.inputs.dtype)
        if m <= FEW:
            moved = by_output.mT.reshape(k * m, d) @ self.inputs.mT  # twice as fast as its transpose
            return torch.einsum("nk,kmn->nm", factors, moved.view(k, m, -1))
        result = self.inputs.new_empty(len(self), m)
        for start in range(0, len(self), WRITTEN_OUT):
            some = slice(start, start + WRITTEN_OUT)
            dense = (factors[some, :, None] * self.inputs[some, None, :]).flatten(1)
            torch.mm(dense, by_output.reshape(k * d, m), out=result[some])
        return result

    def rough(self, vectors: Tensor) -> Tensor:
        """Nothing is rounded."""
        return self.dot(vectors)

    def dense(self, start: int, stop: int) -> Tensor:
        """Some gradients in full."""
        factors, inputs = self.factors[start:stop], self.inputs[start:stop].to(self.factors.dtype)
        return (factors[:, :, None] * inputs[:, None, :]).flatten(1)

    def parts(self) -> Iterator[tuple[int, GradientRows]]:
        """Views of the rows."""
        for start in range(0, len(self), FACTORED_PART):
            stop = start + FACTORED_PART
            yield start, KroneckerRows(self.inputs[start:stop], self.factors[start:stop])

    def take(self, ids: Tensor) -> GradientRows:
        """Some rows."""
        return KroneckerRows(self.inputs[ids], self.factors[ids])


@dataclass(frozen=True)
class DenseRows:
    """Gradients in full.

    Attributes:
        rows: Shape ``(n, p)``.
    """

    rows: Tensor

    def __len__(self) -> int:
        """The number of examples."""
        return len(self.rows)

    def dot(self, vectors: Tensor) -> Tensor:
        """Every gradient times every column."""
        return product(self.rows, vectors)

    def rough(self, vectors: Tensor) -> Tensor:
        """The same to three digits if the rows have no more."""
        return rough_product(self.rows, vectors)

    def dense(self, start: int, stop: int) -> Tensor:
        """Some gradients in full."""
        return self.rows[start:stop]

    def parts(self) -> Iterator[tuple[int, GradientRows]]:
        """Views of the rows."""
        for start in range(0, len(self), PART):
            yield start, DenseRows(self.rows[start : start + PART])

    def take(self, ids: Tensor) -> GradientRows:
        """Some rows."""
        return DenseRows(self.rows[ids])
