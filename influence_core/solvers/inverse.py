"""A float32 inverse beside a Cholesky factor: a query is one matrix product, not two triangular solves.

The inverse is made from the float64 factor and used only if it solves sample right-hand sides well enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from influence_core.solvers.cholesky import CholeskyFactor

ACCURACY = 1e-3  # relative residual of a sample, above which the factor is used: a tenth of what counts as solved


@dataclass(frozen=True)
class InverseFactor:
    """``(curvature + damping I)^-1`` in float32, and the factor that it was made from.

    Attributes:
        exact: The factor; memory-mapped, it costs nothing until it is asked to whiten.
        inverse: Shape ``(p, p)``, float32.
        residual: Largest relative residual ``|(C + damping I) x - g| / |g|`` over the samples, computed in float64.
    """

    exact: CholeskyFactor
    inverse: Tensor
    residual: float

    @property
    def damping(self) -> float:
        """The damping that was added."""
        return self.exact.damping

    @property
    def lowest_eigenvalue(self) -> float:
        """Of the undamped curvature."""
        return self.exact.lowest_eigenvalue

    def solve(self, columns: Tensor) -> Tensor:
        """Apply the inverse to each column."""
        return (self.inverse @ columns.float()).to(columns.dtype)

    def whiten(self, columns: Tensor) -> Tensor:
        """``L^-1`` times each column, in float64."""
        return self.exact.whiten(columns)

    def tensors(self) -> dict[str, Tensor]:
        """For a file; the factor has its own."""
        return {"inverse": self.inverse, "inverse_residual": torch.tensor(self.residual, dtype=torch.float64)}


def inverse_of(factor: CholeskyFactor, curvature: Tensor, samples: Tensor) -> InverseFactor:
    """Invert, and measure how well that solves ``samples``, shape ``(p, m)``, on the undamped ``curvature``."""
    inverse = InverseFactor(factor, torch.cholesky_inverse(factor.lower).float(), 0.0)
    solved = inverse.solve(samples)
    left = curvature @ solved + factor.damping * solved - samples
    residual = float((left.norm(dim=0) / samples.norm(dim=0).clamp_min(1e-300)).max())
    return InverseFactor(factor, inverse.inverse, residual)
