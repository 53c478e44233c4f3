"""A subspace of the parameters that is a product in each layer, and gradients in it.

A layer's gradient ``P`` of ``o`` outputs by ``i`` inputs becomes ``Q_G^T P Q_A`` with orthonormal columns: ``Q_A`` of
shape ``(i, k_i)``, ``Q_G`` of shape ``(o, k_o)``. It follows from the factors of ``P`` alone, and the coordinates of
all layers one after the other are ``K`` numbers an example (Choe et al. 2024).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from influence_core.curvature.ekfac import Fisher, Tick, pseudo_gradients
from influence_core.curvature.factored import FactoredModel, Rows
from influence_core.curvature.layer_rows import LayerRows
from influence_core.curvature.layers import Layer
from influence_core.errors import MethodError
from influence_core.project import Dataset

Kind = Literal["pca", "random"]
Form = Literal["full", "kronecker"]
SIDES = ("inputs", "outputs")


@dataclass(frozen=True)
class Settings:
    """How gradients are projected, and what is taken for the curvature there.

    Attributes:
        projection: ``pca`` or ``random``.
        rank: Largest ``k_i`` and ``k_o``.
        form: ``full`` or ``kronecker``.
        fisher: ``expected`` or ``empirical``.
        seed: Of random projections, and of labels that are drawn.
    """

    projection: Kind
    rank: int
    form: Form
    fisher: Fisher
    seed: int


@dataclass(frozen=True)
class Projection:
    """Of one layer.

    Attributes:
        layer: The layer.
        inputs: ``Q_A``, shape ``(i, k_i)``; None if all inputs are kept as they are.
        outputs: ``Q_G``, shape ``(o, k_o)``; None if all outputs are.
    """

    layer: Layer
    inputs: Tensor | None
    outputs: Tensor | None

    def rows(self, rows: LayerRows) -> LayerRows:
        """Gradients in the subspace."""
        return rows.in_basis(self.inputs, self.outputs)

    def diagonal(self, matrix: Tensor) -> Tensor:
        """The diagonal matrix with the entries of ``(o, i)`` in the subspace, shape ``(k_o k_i, k_o k_i)``."""
        outputs, inputs = (
            torch.eye(size, dtype=matrix.dtype) if basis is None else basis.to(matrix.dtype)
            for size, basis in zip(self.layer.shape, (self.outputs, self.inputs), strict=True)
        )
        size = outputs.shape[1] * inputs.shape[1]
        if bool((matrix == matrix[0, 0]).all()):
            return matrix[0, 0] * torch.eye(size, dtype=matrix.dtype)  # as the columns are orthonormal
        left = (outputs[:, :, None] * outputs[:, None, :]).flatten(1).mT
        right = (inputs[:, :, None] * inputs[:, None, :]).flatten(1)
        shape = outputs.shape[1], outputs.shape[1], inputs.shape[1], inputs.shape[1]
        return (left @ matrix @ right).view(shape).transpose(1, 2).reshape(size, size)


@dataclass(frozen=True)
class Subspace:
    """The projections of all layers.

    Attributes:
        factored: The model and its layers.
        parts: A projection for each, in the precision of the rows.
    """

    factored: FactoredModel
    parts: tuple[Projection, ...]

    @classmethod
    def of(cls, factored: FactoredModel, tensors: Mapping[str, Tensor]) -> Subspace:
        """Put together what ``fit_projections`` made."""

        def basis(layer: Layer, side: str) -> Tensor | None:
            found = tensors.get(f"{layer.name}.{side}")
            return None if found is None else found.to(factored.dtype)

        parts = [Projection(layer, basis(layer, "inputs"), basis(layer, "outputs")) for layer in factored.layers]
        return cls(factored, tuple(parts))

    def project(self, rows: Rows) -> Tensor:
        """Coordinates of every gradient of every example, shape ``(r, b, K)``."""
        return torch.cat([part.rows(rows[part.layer.name]).dense().flatten(2) for part in self.parts], dim=2)

    def regulariser(self) -> Tensor:
        """The regulariser's Hessian in the subspace, shape ``(K, K)``.

        Raises:
            MethodError: If the regulariser couples parameters.
        """
        diagonal = self.factored.model.penalty_diagonal
        if diagonal is None:
            msg = (
                "The regulariser couples parameters, and projected gradients take one that is a sum over parameters "
                "(such as L2); use --method cg."
            )
            raise MethodError(msg)
        return block_diagonal([part.diagonal(part.layer.matrices(diagonal.double())[0]) for part in self.parts])


def widths(layer: Layer, rank: int) -> tuple[int, int]:
    """``(k_o, k_i)`` of a layer: at most ``rank`` each; a norm layer keeps all of up to ``rank^2`` numbers."""
    outputs, inputs = layer.shape
    if layer.kind == "norm":
        return min(outputs, max(1, rank * rank // inputs)), inputs
    return min(outputs, rank), min(inputs, rank)


def coordinates(layers: Iterable[Layer], rank: int) -> int:
    """``K``: how many numbers an example has in the subspace."""
    sizes = (widths(layer, rank) for layer in layers)
    return sum(outputs * inputs for outputs, inputs in sizes)


def fit_projections(
    factored: FactoredModel, train: Dataset, settings: Settings, rows: int, tick: Tick
) -> dict[str, Tensor]:
    """Orthonormal columns by names such as ``LAYER.inputs``, in float64; absent where all of a side is kept."""
    wanted = {
        f"{layer.name}.{side}": (size, kept)
        for layer in factored.layers
        for side, size, kept in zip(SIDES, layer.shape[::-1], widths(layer, settings.rank)[::-1], strict=True)
        if kept < size
    }
    if settings.projection == "random":
        return {name: _random(*sizes, settings.seed, place) for place, (name, sizes) in enumerate(wanted.items())}
    moments: dict[str, Tensor] = {}
    for ids, batch in factored.model.batches(train, rows):
        for layer, found in pseudo_gradients(factored, batch, ids, settings).items():
            add(moments, {name: one for name, one in _moments(layer, found).items() if name in wanted})
        tick(ids[-1] + 1, len(train))
    return {name: _leading(moments[name], kept) for name, (_, kept) in wanted.items()}


def _moments(layer: str, rows: LayerRows) -> dict[str, Tensor]:
    """Second moments of both sides; where they are diagonal, the squared gradients of each input or output."""
    inputs, outputs = rows.input_moment().double() / rows.positions, rows.output_moment().double()
    return {
        f"{layer}.inputs": rows.squares().double().sum(dim=0) if inputs.dim() == 1 else inputs,
        f"{layer}.outputs": outputs,
    }


def _leading(moment: Tensor, kept: int) -> Tensor:
    """Eigenvectors of the largest eigenvalues: of a diagonal, the unit vectors of its largest entries."""
    if moment.dim() == 1:
        chosen = moment.argsort(descending=True, stable=True)[:kept]
        return torch.nn.functional.one_hot(chosen, len(moment)).to(moment.dtype).mT
    vectors: Tensor = torch.linalg.eigh(moment)[1]
    return vectors[:, -kept:]


def _random(size: int, kept: int, seed: int, place: int) -> Tensor:
    drawn = torch.Generator().manual_seed(1_000_003 * seed + place)
    columns: Tensor = torch.linalg.qr(torch.randn(size, kept, dtype=torch.float64, generator=drawn)).Q
    return columns


def add(sums: dict[str, Tensor], more: Mapping[str, Tensor]) -> None:
    """Add to the sums of the same names."""
    for name, value in more.items():
        sums[name] = sums[name] + value if name in sums else value


def block_diagonal(blocks: Sequence[Tensor]) -> Tensor:
    """Square matrices along the diagonal of a larger one."""
    whole = blocks[0].new_zeros(sum(len(block) for block in blocks), sum(len(block) for block in blocks))
    start = 0
    for block in blocks:
        whole[start : start + len(block), start : start + len(block)] = block
        start += len(block)
    return whole
