"""The largest eigenvalues of a curvature and their vectors, by Lanczos' method with full re-orthogonalisation.

That is Arnoldi's method on a symmetric operator, as Schioppa, Zablotskaia, Vilar and Sokolov use it for influence
("Scaling Up Influence Functions", AAAI 2022). The operator is projected on the whole basis at every step, so that what
is found is the curvature on the basis whatever rounding or restarts made of the recursion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from influence_core.solvers.lanczos import finite

EXHAUSTED = 100  # times the rounding: a vector that is no longer than that is all rounding


@dataclass(frozen=True)
class EigenPairs:
    """Leading eigenpairs of a symmetric operator, and what is known of the others.

    Attributes:
        values: In descending order, float64, shape ``(k,)``; none is above the largest eigenvalue but for rounding.
        vectors: Orthonormal columns, shape ``(p, k)``.
        errors: ``|C v - value v|`` of each, which bounds how far the value is from an eigenvalue, shape ``(k,)``.
        rest: Mean of the other eigenvalues, estimated from the start vector's part outside; 0 if there are none.
        lowest: Smallest value that was met; the smallest eigenvalue is not above it.
        steps: Products with the operator.
    """

    values: Tensor
    vectors: Tensor
    errors: Tensor
    rest: float
    lowest: float
    steps: int

    @property
    def mean(self) -> float:
        """Mean of all eigenvalues: of the leading ones exactly, of the others as estimated."""
        p, k = self.vectors.shape
        return (float(self.values.sum()) + (p - k) * self.rest) / p


def eigenpairs(
    matvec: Callable[[Tensor], Tensor],
    draw: Callable[[], Tensor],
    kept: int,
    steps: int,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> EigenPairs:
    """The ``kept`` algebraically largest eigenpairs after ``steps`` products.

    Args:
        matvec: Applies the operator to a column, shape ``(p, 1)``.
        draw: A random vector, shape ``(p,)``, another one at each call: where to start, and where to go on when a
            Krylov space ends, which it does after as many steps as there are different eigenvalues.
        kept: How many pairs; there are no more than ``steps``.
        steps: Dimension of the Krylov space; there are no more than ``p``.
        tick: Progress.

    Raises:
        CurvatureError: If a product is not finite.
    """
    start = draw()
    steps = min(steps, len(start))
    basis = torch.empty(steps, len(start), dtype=start.dtype)
    projected = torch.zeros(steps, steps, dtype=torch.float64)
    now, left = start / start.norm(), 0.0
    for step in range(steps):
        basis[step] = now
        moved = finite(matvec(now[:, None]))[:, 0]
        size = float(moved.norm())
        moved, along = _outside(basis[: step + 1], moved)
        projected[: step + 1, step] = along
        left = float(moved.norm())
        tick(step + 1, steps)
        if step + 1 < steps:
            is_exhausted = left <= EXHAUSTED * torch.finfo(start.dtype).eps * size
            now = _fresh(basis[: step + 1], draw()) if is_exhausted else moved / left
    return _pairs(basis, projected.triu() + projected.triu(1).mT, left, min(kept, steps))


def _outside(basis: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
    """The part of a vector outside the basis, and its coordinates in it: projected twice, as once leaves rounding."""
    first = basis @ vector
    vector = vector - basis.mT @ first
    second = basis @ vector
    return vector - basis.mT @ second, (first + second).double()


def _fresh(basis: Tensor, start: Tensor) -> Tensor:
    """The direction of a vector's part outside a basis that the operator does not leave."""
    outside, _ = _outside(basis, start)
    outside, _ = _outside(basis, outside / outside.norm())  # little may have been left of it
    result: Tensor = outside / outside.norm()
    return result


def _pairs(basis: Tensor, projected: Tensor, left: float, kept: int) -> EigenPairs:
    """Ritz pairs; ``left`` is what the last product had outside the basis."""
    values, vectors = (found.flip(-1) for found in torch.linalg.eigh(projected))
    weights = vectors[0].square()  # of the start vector, which is the basis's first
    outside = float(weights[kept:].sum())
    is_all = len(basis) == basis.shape[1]
    return EigenPairs(
        values=values[:kept],
        vectors=basis.mT @ vectors[:, :kept].to(basis.dtype),
        errors=(0.0 if is_all else left) * vectors[-1, :kept].abs(),
        rest=float((weights * values)[kept:].sum()) / outside if outside > 0 else 0.0,
        lowest=float(values[-1]),
        steps=len(basis),
    )
