"""EK-FAC: the Gauss-Newton matrix layer by layer, diagonal in the eigenvectors of a Kronecker product.

George et al., "Fast Approximate Natural Gradient Descent in a Kronecker-factored Eigenbasis" (NeurIPS 2018), after
Martens and Grosse (ICML 2015); for influence functions Grosse et al., "Studying Large Language Model Generalization
with Influence Functions" (2023). With ``A`` the second moment of a layer's inputs and ``G`` that of its
pseudo-gradients, ``Q_A`` and ``Q_G`` their eigenvectors::

    C_layer = (Q_G (x) Q_A) diag(E[(Q_G^T P Q_A)^2] + Q^T R Q) (Q_G (x) Q_A)^T

K-FAC takes the product of the eigenvalues of ``A`` and ``G`` for the diagonal, which can only be further from the
Gauss-Newton matrix; ``diagonal`` takes the identity for the eigenvectors. The regulariser ``R`` is added by its
diagonal in the same basis, which is exact if it is a multiple of the identity within a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from influence_core.curvature.factored import FactoredModel, Rows
from influence_core.curvature.layer_rows import LayerRows
from influence_core.curvature.layers import Layer
from influence_core.errors import MethodError
from influence_core.project import Dataset

Factors = Literal["ekfac", "kfac", "diagonal"]
Fisher = Literal["expected", "empirical"]
Tick = Callable[[int, int], None]


@dataclass(frozen=True)
class Block:
    """One layer's curvature.

    Attributes:
        layer: The layer.
        inputs: ``Q_A``, shape ``(i, i)``; None for the identity.
        outputs: ``Q_G``, shape ``(o, o)``; None for the identity.
        values: Eigenvalues with the regulariser's part, shape ``(o, i)``.
    """

    layer: Layer
    inputs: Tensor | None
    outputs: Tensor | None
    values: Tensor

    def rotate(self, matrices: Tensor) -> Tensor:
        """``Q_G^T M Q_A`` of each of ``(m, o, i)``."""
        turned = matrices if self.inputs is None else matrices @ self.inputs
        return turned if self.outputs is None else self.outputs.mT @ turned

    def back(self, matrices: Tensor) -> Tensor:
        """``Q_G M Q_A^T`` of each of ``(m, o, i)``."""
        turned = matrices if self.inputs is None else matrices @ self.inputs.mT
        return turned if self.outputs is None else self.outputs @ turned

    def rows(self, rows: LayerRows) -> LayerRows:
        """Per-example gradients in the eigenbasis."""
        return rows.in_basis(self.inputs, self.outputs)


@dataclass(frozen=True)
class EKFAC:
    """The curvature of all layers: a symmetric operator that includes the regulariser and is never damped.

    Attributes:
        blocks: One a layer.
        size: Number of attributed parameters; for those of no layer the curvature is ``mean``.
        n: Number of training examples.
    """

    blocks: tuple[Block, ...]
    size: int
    n: int

    @property
    def mean(self) -> float:
        """Mean eigenvalue over all layers."""
        numbers = sum(block.values.numel() for block in self.blocks)
        return sum(float(block.values.double().sum()) for block in self.blocks) / numbers

    def matvec(self, vectors: Tensor, rows: Sequence[int] | None = None) -> Tensor:  # noqa: ARG002  (a matrix of its own)
        """Curvature times each column, shape ``(p, k)``."""
        return self.map(vectors, lambda values: values)

    def map(self, vectors: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """A function of the curvature, given by that of its eigenvalues, times each column ``(p, k)``."""
        rest = vectors.new_tensor([self.mean])
        result = function(rest) * vectors
        for block in self.blocks:
            factor = function(block.values).to(vectors.dtype)
            block.layer.put(block.back(factor * block.rotate(block.layer.matrices(vectors))), result)
        return result

    @classmethod
    def of(cls, factored: FactoredModel, tensors: Mapping[str, Tensor], n: int) -> EKFAC:
        """Put together what ``fit_ekfac`` made, in the precision of the model's rows."""
        blocks = []
        for layer in factored.layers:
            found = {
                name: tensors[f"{layer.name}.{name}"].to(factored.dtype)
                for name in ("inputs", "outputs", "values")
                if f"{layer.name}.{name}" in tensors
            }
            blocks.append(Block(layer, found.get("inputs"), found.get("outputs"), found["values"]))
        return cls(tuple(blocks), factored.model.vector.size, n)


@dataclass(frozen=True)
class Settings:
    """How the factors are taken.

    Attributes:
        factors: ``ekfac``, ``kfac`` or ``diagonal``.
        fisher: ``expected`` over the model's own labels, or ``empirical``: of the true ones.
        rows: Examples in memory at once.
        seed: Of labels that are drawn where there are too many outputs for the expectation.
    """

    factors: Factors
    fisher: Fisher
    rows: int
    seed: int


def fit_ekfac(factored: FactoredModel, train: Dataset, settings: Settings, tick: Tick) -> dict[str, Tensor]:
    """Eigenvectors and eigenvalues of every layer, by names such as ``LAYER.values``, in float64.

    Raises:
        MethodError: If the regulariser couples parameters, or the Fisher needs labels that cannot be drawn.
    """
    passes = 1 if settings.factors == "diagonal" else 2
    done = iter(range(1, 1 + passes * len(train)))

    def sums(function: Callable[[str, LayerRows], dict[str, Tensor]]) -> dict[str, Tensor]:
        total: dict[str, Tensor] = {}
        for ids, batch in factored.model.batches(train, settings.rows):
            for name, rows in pseudo_gradients(factored, batch, ids, settings).items():
                for part, value in function(name, rows).items():
                    total[part] = total[part] + value if part in total else value
            tick([next(done) for _ in ids][-1], passes * len(train))
        return total

    bases: dict[str, Tensor] = {}
    if settings.factors != "diagonal":
        bases = _bases(sums(_moments), len(train), settings.factors)
    if settings.factors == "kfac":
        values = {layer.name: bases.pop(f"{layer.name}.product") for layer in factored.layers}
    else:
        squares = sums(lambda name, rows: {name: rows.in_basis(*_pair(bases, name, factored.dtype)).squares()})
        values = {name: value.double() / len(train) for name, value in squares.items()}
    for layer in factored.layers:
        values[layer.name] = values[layer.name] + _regulariser(factored, layer, bases)
    return bases | {f"{name}.values": value for name, value in values.items()}


class FisherSettings(Protocol):
    """Which Fisher is taken."""

    @property
    def fisher(self) -> Fisher:
        """Over the model's own labels, or of the true ones."""
        ...

    @property
    def seed(self) -> int:
        """Of labels that are drawn."""
        ...


def pseudo_gradients(factored: FactoredModel, batch: object, ids: Sequence[int], settings: FisherSettings) -> Rows:
    """Gradients whose outer products, summed over the examples, are ``n`` times the Fisher."""
    if settings.fisher == "empirical":
        return factored.loss_rows(batch)
    return factored.fisher_rows(batch, ids, settings.seed)


def _moments(name: str, rows: LayerRows) -> dict[str, Tensor]:
    return {
        f"{name}.inputs": rows.input_moment().double() / rows.positions,
        f"{name}.outputs": rows.output_moment().double(),
    }


def _bases(moments: Mapping[str, Tensor], n: int, factors: Factors) -> dict[str, Tensor]:
    """Eigenvectors of both moments of each layer, and for K-FAC the products of their eigenvalues."""
    found: dict[str, Tensor] = {}
    values: dict[str, Tensor] = {}
    for name, moment in moments.items():
        if moment.dim() == 1:
            values[name] = moment / n
        else:
            values[name], found[name] = torch.linalg.eigh(moment / n)
    if factors == "kfac":
        for name in list(values):
            layer, _, part = name.rpartition(".")
            if part == "inputs":
                outputs = values[f"{layer}.outputs"].clamp_min(0)
                found[f"{layer}.product"] = outputs[:, None] * values[name].clamp_min(0)
    return found


def _pair(bases: Mapping[str, Tensor], name: str, dtype: torch.dtype) -> tuple[Tensor | None, Tensor | None]:
    inputs, outputs = bases.get(f"{name}.inputs"), bases.get(f"{name}.outputs")
    return (None if inputs is None else inputs.to(dtype)), (None if outputs is None else outputs.to(dtype))


def _regulariser(factored: FactoredModel, layer: Layer, bases: Mapping[str, Tensor]) -> Tensor:
    """The diagonal of the regulariser's Hessian in a layer's eigenbasis, shape ``(o, i)``."""
    diagonal = factored.model.penalty_diagonal
    if diagonal is None:
        msg = (
            "The regulariser couples parameters, and the factors of a layer take one that is a sum over parameters "
            "(such as L2); use --method cg."
        )
        raise MethodError(msg)
    matrix = layer.matrices(diagonal.double())[0]
    inputs, outputs = _pair(bases, layer.name, torch.float64)
    turned = matrix if inputs is None else matrix @ inputs.square()
    return turned if outputs is None else outputs.square().mT @ turned
