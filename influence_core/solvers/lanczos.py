"""The ends of a curvature's spectrum, by Lanczos' method without re-orthogonalisation: three vectors are kept.

Lanczos, "An iteration method for the solution of the eigenvalue problem of linear differential and integral
operators" (1950). A Ritz value lies inside the spectrum, so the largest is estimated from below and the lowest from
above; the last entries of the Ritz vectors bound how far they can be from an eigenvalue (Parlett 1980). Lost
orthogonality repeats Ritz values that have converged and moves neither end (Paige 1980).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from influence_core.errors import CurvatureError

MOST_STEPS = 300
ACCURACY = 1e-3  # of each end, relative to itself
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
    lowest: float | None = 0.0,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Ends:
    """Both ends of the spectrum of a symmetric operator.

    Args:
        matvec: Applies it to a column, shape ``(p, 1)``.
        size: ``p``.
        dtype: Of the columns.
        lowest: An error of the lowest end that does not matter, such as a part of the damping, unless it is a good
            part of the largest eigenvalue; None if that end is not needed, which takes many fewer steps.
        tick: Progress.

    Raises:
        CurvatureError: If a product is not finite.
    """
    start = torch.randn(size, 1, dtype=dtype, generator=torch.Generator().manual_seed(0))
    before, now = torch.zeros_like(start), start / start.norm()
    diagonal: list[float] = []
    beside: list[float] = []
    for step in range(1, MOST_STEPS + 1):
        moved = finite(matvec(now)) - (beside[-1] if beside else 0.0) * before
        diagonal.append(float((now * moved).sum()))
        moved = moved - diagonal[-1] * now
        beside.append(float(moved.norm()))
        exhausted = beside[-1] <= 1e-6 * max(map(abs, diagonal))  # the start lies in an invariant space
        tick(step, MOST_STEPS)
        if exhausted or (step % CHECKED == 0 and _accurate(diagonal, beside, lowest, torch.finfo(dtype).eps)):
            break
        before, now = now, moved / beside[-1]
    values = torch.linalg.eigvalsh(_tridiagonal(diagonal, beside))
    return Ends(float(values[0]), float(values[-1]), len(diagonal))


def finite(product: Tensor) -> Tensor:
    """The product itself, if it is one.

    Raises:
        CurvatureError: If it holds NaN or infinity.
    """
    if not bool(product.isfinite().all()):
        msg = (
            "A product with the curvature holds NaN or infinity; look for a function of the model or its loss without "
            "a second derivative, such as the square root at 0, or compute with precision='float64'."
        )
        raise CurvatureError(msg)
    return product


def _tridiagonal(diagonal: list[float], beside: list[float]) -> Tensor:
    upper = torch.tensor(beside[: len(diagonal) - 1], dtype=torch.float64).diag(1)
    return torch.tensor(diagonal, dtype=torch.float64).diag() + upper + upper.mT


def _accurate(diagonal: list[float], beside: list[float], lowest: float | None, rounding: float) -> bool:
    values, vectors = torch.linalg.eigh(_tridiagonal(diagonal, beside))
    errors = beside[-1] * vectors[-1].abs()
    size = float(values.abs().max())
    if errors[-1] > ACCURACY * size:
        return False
    if lowest is None:
        return True
    enough = max(ACCURACY * abs(float(values[0])), min(lowest, ACCURACY * size), 10 * rounding * size)
    return float(errors[0]) <= enough
