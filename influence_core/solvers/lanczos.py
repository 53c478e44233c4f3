"""The ends of a curvature's spectrum, by Lanczos' method with full re-orthogonalisation.

Lanczos, "An iteration method for the solution of the eigenvalue problem of linear differential and integral
operators" (1950). A Ritz value lies inside the spectrum, so the largest is estimated from below and the lowest from
above; the last entries of the Ritz vectors bound how far they can be from an eigenvalue (Parlett 1980).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_STEPS = 120
ACCURACY = 1e-3  # of both ends, relative to the largest absolute Ritz value
CHECKED = 5  # steps between two looks at the Ritz values


@dataclass(frozen=True)
class Ends:
    """Extreme eigenvalues.

    Attributes:
        lowest: Smallest eigenvalue, never below the true one but for rounding.
        largest: Largest eigenvalue, never above the true one but for rounding.
        steps: Products with the curvature that it took.
    """

    lowest: float
    largest: float
    steps: int


def ends(
    matvec: Callable[[Tensor], Tensor],
    size: int,
    dtype: torch.dtype,
    *,
    lowest: bool = True,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Ends:
    """Both ends of the spectrum of a symmetric operator.

    Args:
        matvec: Applies it to a column, shape ``(p, 1)``.
        size: ``p``.
        dtype: Of the columns.
        lowest: Whether the lowest end must be accurate too; it may take many more steps.
        tick: Progress.
    """
    start = torch.randn(size, 1, dtype=dtype, generator=torch.Generator().manual_seed(0))
    basis, diagonal, beside = [start / start.norm()], [], []
    most = min(MOST_STEPS, size)
    for step in range(1, most + 1):
        moved = matvec(basis[-1])
        diagonal.append(float((basis[-1] * moved).sum()))
        known = torch.cat(basis, dim=1)
        for _ in range(2):  # once leaves rounding errors that grow from step to step
            moved = moved - known @ (known.mT @ moved)
        beside.append(float(moved.norm()))
        exhausted = beside[-1] <= 1e-6 * max(map(abs, diagonal))  # the start lies in an invariant space
        tick(step, most)
        if step == most or exhausted or (step % CHECKED == 0 and _accurate(diagonal, beside, lowest=lowest)):
            break
        basis.append(moved / beside[-1])
    values = torch.linalg.eigvalsh(_tridiagonal(diagonal, beside))
    return Ends(float(values[0]), float(values[-1]), len(diagonal))


def _tridiagonal(diagonal: list[float], beside: list[float]) -> Tensor:
    upper = torch.tensor(beside[: len(diagonal) - 1], dtype=torch.float64).diag(1)
    return torch.tensor(diagonal, dtype=torch.float64).diag() + upper + upper.mT


def _accurate(diagonal: list[float], beside: list[float], *, lowest: bool) -> bool:
    values, vectors = torch.linalg.eigh(_tridiagonal(diagonal, beside))
    errors = beside[-1] * vectors[-1].abs()
    worst = float(torch.maximum(errors[0], errors[-1]) if lowest else errors[-1])
    return worst <= ACCURACY * float(values.abs().max())
