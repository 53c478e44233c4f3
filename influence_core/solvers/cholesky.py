"""Direct solve by one Cholesky factorisation in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from influence_core.placement import normal, number, seeded
from influence_core.solvers.base import check_damping, refuse

INVERSE_ITERATIONS = 8
TOGETHER = 8  # vectors: they take little longer than one, and need far fewer steps than it


@dataclass(frozen=True)
class CholeskyFactor:
    """``L`` with ``L L^T = curvature + damping I``.

    Attributes:
        lower: Shape ``(p, p)``.
        damping: The damping that was added.
        lowest_eigenvalue: Of the undamped curvature, by inverse iteration: never below the true one.
    """

    lower: Tensor
    damping: float
    lowest_eigenvalue: float

    def solve(self, columns: Tensor) -> Tensor:
        """Apply the inverse to each column."""
        return torch.cholesky_solve(columns, self.lower)

    def whiten(self, columns: Tensor) -> Tensor:
        """``L^-1`` times each column."""
        whitened: Tensor = torch.linalg.solve_triangular(self.lower, columns, upper=False)
        return whitened

    def tensors(self) -> dict[str, Tensor]:
        """For a file."""
        return {"cholesky": self.lower, "lowest": number(self.lowest_eigenvalue)}


@dataclass(frozen=True)
class Cholesky:
    """Factorise once, solve in microseconds.

    Attributes:
        damping: Added to the curvature's diagonal, as written.
    """

    damping: float = 0.0

    def factorise(self, matrix: Tensor) -> CholeskyFactor:
        """Factorise ``matrix + damping I``, shape ``(p, p)``.

        Raises:
            CurvatureError: If it is not positive definite beyond rounding; names the lowest eigenvalue and the
                damping that would do.
        """
        damped = matrix
        if check_damping(self.damping):
            damped = matrix.clone()
            damped.diagonal().add_(self.damping)
        lower, failed = torch.linalg.cholesky_ex(damped)
        if failed:
            raise refuse(float(torch.linalg.eigvalsh(matrix)[0]), self.damping)
        lowest = _lowest(damped, lower)
        if lowest <= rounding(damped):
            raise refuse(lowest - self.damping, self.damping)
        return CholeskyFactor(lower, self.damping, lowest - self.damping)


def rounding(matrix: Tensor) -> float:
    """The size below which an eigenvalue of a float64 matrix of this norm is noise."""
    return float(torch.linalg.matrix_norm(matrix, ord="fro")) * math.sqrt(len(matrix)) * 1e-15


def _lowest(matrix: Tensor, lower: Tensor) -> float:
    """Smallest eigenvalue by inverse iteration of a few vectors at once from a fixed start; an upper bound (Ritz)."""
    vectors = normal((len(lower), min(TOGETHER, len(lower))), seeded(0), lower)
    for _ in range(INVERSE_ITERATIONS):
        vectors = torch.linalg.qr(torch.cholesky_solve(vectors, lower)).Q
    return float(torch.linalg.eigvalsh(vectors.mT @ (matrix @ vectors))[0])
