"""Per-example gradients of one layer, kept as the factors that they are made of.

The gradient of an example by a layer's weights (its bias as a last column) is ``P = sum_t g_t a_t^T``: ``a_t`` is what
went into the layer at position ``t`` and ``g_t`` the derivative by what came out. Positions are those of a sequence,
the patches of a convolution, or a single one. What is asked of ``P`` is answered from the factors where it is cheaper.

Shapes: ``b`` examples, ``t`` positions, ``i`` inputs (1 for the bias included), ``o`` outputs, ``r`` gradients of each
example, such as the pseudo-gradients whose outer products add up to its curvature.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

LARGEST_SIDE = 4096  # inputs or outputs of a layer; eigenvectors of so many take half a minute


class LayerRows(Protocol):
    """Gradients of some examples by one layer."""

    @property
    def positions(self) -> int:
        """Number of positions of an example."""
        ...

    def dense(self) -> Tensor:
        """Every gradient in full, shape ``(r, b, o, i)``."""
        ...

    def dot(self, matrices: Tensor) -> Tensor:
        """The first gradient of each example times each of ``m`` matrices ``(m, o, i)``, shape ``(b, m)``."""
        ...

    def in_basis(self, inputs: Tensor | None, outputs: Tensor | None) -> LayerRows:
        """The same as ``outputs^T P inputs``; None stands for the identity."""
        ...

    def squares(self) -> Tensor:
        """``P^2``, elementwise, summed over gradients and examples, shape ``(o, i)``."""
        ...

    def weighted_squares(self, weights: Tensor) -> Tensor:
        """Sum of ``weights * P^2`` for the first gradient of each example, shape ``(b,)``."""
        ...

    def input_moment(self) -> Tensor:
        """Sum of ``a a^T`` over positions and examples, shape ``(i, i)``; or its diagonal ``(i,)``."""
        ...

    def output_moment(self) -> Tensor:
        """Sum of ``g g^T`` over gradients, positions and examples, shape ``(o, o)``; or its diagonal ``(o,)``."""
        ...

    def gram(self) -> Tensor:
        """Scalar products of the gradients of each example with each other, shape ``(b, r, r)``."""
        ...


@dataclass(frozen=True)
class Positions:
    """Of a linear layer or a convolution.

    Attributes:
        inputs: Shape ``(b, t, i)``.
        slopes: Shape ``(r, b, t, o)``.
    """

    inputs: Tensor
    slopes: Tensor

    @property
    def positions(self) -> int:
        """Number of positions of an example."""
        return self.inputs.shape[1]

    def dense(self) -> Tensor:
        """Every gradient in full."""
        return self.slopes.mT @ self.inputs

    def dot(self, matrices: Tensor) -> Tensor:
        """The first gradient of each example times each matrix."""
        if self.positions == 1:
            moved = torch.einsum("bo,moi->mbi", self.slopes[0, :, 0], matrices)
            return torch.einsum("mbi,bi->bm", moved, self.inputs[:, 0])
        return self.dense()[0].flatten(1) @ matrices.flatten(1).mT

    def in_basis(self, inputs: Tensor | None, outputs: Tensor | None) -> Positions:
        """The same in another basis, or projected on a smaller one."""
        return Positions(
            self.inputs if inputs is None else self.inputs @ inputs,
            self.slopes if outputs is None else self.slopes @ outputs,
        )

    def squares(self) -> Tensor:
        """Summed squares."""
        if self.positions == 1:
            return self.slopes[:, :, 0].square().sum(dim=0).mT @ self.inputs[:, 0].square()
        total = self.inputs.new_zeros(self.slopes.shape[-1], self.inputs.shape[-1])
        for slopes in self.slopes:  # one after the other: all at once would take r times the memory
            total += (slopes.mT @ self.inputs).square().sum(dim=0)
        return total

    def weighted_squares(self, weights: Tensor) -> Tensor:
        """Weighted squares of each example."""
        if self.positions == 1:
            return ((self.slopes[0, :, 0].square() @ weights) * self.inputs[:, 0].square()).sum(dim=1)
        return self.dense()[0].square().flatten(1) @ weights.flatten()

    def input_moment(self) -> Tensor:
        """Second moment of the inputs."""
        return _moment(self.inputs.flatten(0, 1))

    def output_moment(self) -> Tensor:
        """Second moment of the slopes."""
        return _moment(self.slopes.flatten(0, 2))

    def gram(self) -> Tensor:
        """Scalar products, in full or by the products of the factors: what takes less memory than is held already."""
        if self.inputs.shape[-1] <= self.positions:
            return _products(self.dense())
        return _products(self.slopes, self.inputs @ self.inputs.mT)


@dataclass(frozen=True)
class Tokens:
    """Of an embedding: the inputs are rows of the identity, so that they are kept as their numbers.

    Attributes:
        ids: Shape ``(b, t)``.
        slopes: Shape ``(r, b, t, o)``, zero where the padding token stands.
        size: Number of tokens that there are, ``i``.
    """

    ids: Tensor
    slopes: Tensor
    size: int

    @property
    def positions(self) -> int:
        """Number of positions of an example."""
        return self.ids.shape[1]

    def dense(self) -> Tensor:
        """Every gradient in full."""
        examples, tokens, rows = self._grouped
        full = rows.new_zeros(len(rows), len(self.ids), self.size, rows.shape[-1])
        full[:, examples, tokens] = rows
        return full.mT

    def dot(self, matrices: Tensor) -> Tensor:
        """The first gradient of each example times each matrix."""
        examples, tokens, rows = self._grouped
        products = torch.stack([(rows[0] * matrix.mT[tokens]).sum(dim=1) for matrix in matrices], dim=1)
        return products.new_zeros(len(self.ids), len(matrices)).index_add(0, examples, products)

    def in_basis(self, inputs: Tensor | None, outputs: Tensor | None) -> LayerRows:
        """The same in another basis; with one for the inputs too they are tokens no longer."""
        slopes = self.slopes if outputs is None else self.slopes @ outputs
        return Tokens(self.ids, slopes, self.size) if inputs is None else Positions(inputs[self.ids], slopes)

    def squares(self) -> Tensor:
        """Summed squares."""
        _, tokens, rows = self._grouped
        return rows.new_zeros(self.size, rows.shape[-1]).index_add(0, tokens, rows.square().sum(dim=0)).mT

    def weighted_squares(self, weights: Tensor) -> Tensor:
        """Weighted squares of each example."""
        examples, tokens, rows = self._grouped
        each = (rows[0].square() * weights.mT[tokens]).sum(dim=1)
        return each.new_zeros(len(self.ids)).index_add(0, examples, each)

    def input_moment(self) -> Tensor:
        """How often each token stands there: the moment is diagonal."""
        return torch.bincount(self.ids.flatten(), minlength=self.size).to(self.slopes.dtype)

    def output_moment(self) -> Tensor:
        """Second moment of the slopes."""
        return _moment(self.slopes.flatten(0, 2))

    def gram(self) -> Tensor:
        """Scalar products; those of different tokens are 0."""
        return _products(self.slopes, (self.ids[:, :, None] == self.ids[:, None, :]).to(self.slopes.dtype))

    @cached_property
    def _grouped(self) -> tuple[Tensor, Tensor, Tensor]:
        """Examples, their different tokens, and the slopes of each pair added up: ``(u,)``, ``(u,)``, ``(r, u, o)``."""
        examples = torch.arange(len(self.ids), device=self.ids.device)[:, None]
        pairs, where = torch.unique((examples * self.size + self.ids).flatten(), return_inverse=True)
        flat = self.slopes.flatten(1, 2)
        rows = flat.new_zeros(len(flat), len(pairs), flat.shape[-1]).index_add(1, where, flat)
        return pairs // self.size, pairs % self.size, rows


@dataclass(frozen=True)
class Elementwise:
    """Of a normalisation's scale and shift: small enough to be kept in full.

    Attributes:
        gradients: Shape ``(r, b, o, i)`` with ``o`` features and ``i`` the scale, the shift or both.
    """

    gradients: Tensor

    @property
    def positions(self) -> int:
        """They are added up."""
        return 1

    def dense(self) -> Tensor:
        """Every gradient in full."""
        return self.gradients

    def dot(self, matrices: Tensor) -> Tensor:
        """The first gradient of each example times each matrix."""
        return self.gradients[0].flatten(1) @ matrices.flatten(1).mT

    def in_basis(self, inputs: Tensor | None, outputs: Tensor | None) -> Elementwise:
        """The same in another basis, or projected on a smaller one."""
        moved = self.gradients if inputs is None else self.gradients @ inputs
        return Elementwise(moved if outputs is None else outputs.mT @ moved)

    def squares(self) -> Tensor:
        """Summed squares."""
        return self.gradients.square().sum(dim=(0, 1))

    def weighted_squares(self, weights: Tensor) -> Tensor:
        """Weighted squares of each example."""
        return self.gradients[0].square().flatten(1) @ weights.flatten()

    def input_moment(self) -> Tensor:
        """There are no two factors: ones, so that the outputs' diagonal is that of the gradients."""
        return self.gradients.new_ones(self.gradients.shape[-1])

    def output_moment(self) -> Tensor:
        """Mean over the columns of the squared gradients, diagonal."""
        return self.gradients.square().sum(dim=(0, 1)).mean(dim=1)

    def gram(self) -> Tensor:
        """Scalar products."""
        return _products(self.gradients)


def _moment(flat: Tensor) -> Tensor:
    """Summed outer products of rows ``(m, k)``; only the diagonal where an eigendecomposition would take too long."""
    return flat.square().sum(dim=0) if flat.shape[1] > LARGEST_SIDE else flat.mT @ flat


def size_of(rows: LayerRows) -> int:
    """Bytes that they hold in memory."""
    return sum(kept.nbytes for kept in vars(rows).values() if isinstance(kept, Tensor))


def _products(slopes: Tensor, inputs: Tensor | None = None) -> Tensor:
    """``sum_tu inputs[b, t, u] (slopes[r, b, t] . slopes[s, b, u])``, shape ``(b, r, s)``; None is the identity."""
    left = (slopes if inputs is None else inputs @ slopes).transpose(0, 1).flatten(2)
    return left @ slopes.transpose(0, 1).flatten(2).mT
