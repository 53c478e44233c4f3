"""The curvature of projected gradients: whole, or a Kronecker product for each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from influence_core.curvature.ekfac import Tick, pseudo_gradients
from influence_core.curvature.layer_rows import LayerRows
from influence_core.curvature.projection import Projection, Settings, Subspace, add, block_diagonal
from influence_core.project import Dataset


def fit_curvature(subspace: Subspace, train: Dataset, settings: Settings, rows: int, tick: Tick) -> Tensor:
    """The Fisher in the subspace with the regulariser's part, shape ``(K, K)``, in float64.

    Raises:
        MethodError: If the regulariser couples parameters, or the Fisher needs labels that cannot be drawn.
    """
    regulariser = subspace.regulariser()
    sums: dict[str, Tensor] = {}
    for ids, batch in subspace.factored.model.batches(train, rows):
        found = pseudo_gradients(subspace.factored, batch, ids, settings)
        if settings.form == "full":
            add(sums, {"full": _outer(subspace.project(found))})
        else:
            for part in subspace.parts:
                add(sums, _factors(part, found[part.layer.name]))
        tick(ids[-1] + 1, len(train))
    means = {name: total / len(train) for name, total in sums.items()}
    return regulariser + (means["full"] if settings.form == "full" else _products(subspace.parts, means))


def _factors(part: Projection, rows: LayerRows) -> dict[str, Tensor]:
    """What the block of one layer is a product of; that of a norm layer is no product."""
    inside = part.rows(rows)
    if part.layer.kind == "norm":
        return {part.layer.name: _outer(inside.dense().flatten(2))}
    inputs = inside.input_moment().double() / inside.positions
    return {
        f"{part.layer.name}.inputs": inputs.diag() if inputs.dim() == 1 else inputs,
        f"{part.layer.name}.outputs": inside.output_moment().double(),
    }


def _products(parts: Sequence[Projection], means: Mapping[str, Tensor]) -> Tensor:
    names = [part.layer.name for part in parts]
    blocks = [
        means[name] if name in means else torch.kron(means[f"{name}.outputs"], means[f"{name}.inputs"])
        for name in names
    ]
    return block_diagonal(blocks)


def _outer(rows: Tensor) -> Tensor:
    """Sum of the outer products of rows ``(r, b, K)``, one gradient of each example after the other."""
    total = torch.zeros(rows.shape[-1], rows.shape[-1], dtype=torch.float64)
    for one in rows:
        total += one.mT @ one
    return total
