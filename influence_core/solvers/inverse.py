"""A float32 inverse beside a Cholesky factor: a query is one matrix product, not two triangular solves.

The inverse is made from the float64 factor and used only if it solves sample right-hand sides well enough. It is
symmetric, so that one half of it is kept and read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from influence_core.placement import number
from influence_core.solvers.cholesky import CholeskyFactor

ACCURACY = 1e-3  # relative residual of a sample, above which the factor is used: a tenth of what counts as solved
PANEL = 1024  # rows
_PREFIX = "inverse/"


@dataclass(frozen=True)
class InverseFactor:
    """``(curvature + damping I)^-1`` in float32, and the factor that it was made from.

    Attributes:
        exact: The factor; memory-mapped, it costs nothing until it is asked to whiten.
        panels: Rows of the inverse from the diagonal on: of rows ``a`` to ``b`` the columns from ``a``, shape
            ``(b - a, p - a)``, float32.
        residual: Largest relative residual ``|(C + damping I) x - g| / |g|`` over the samples, computed in float64.
    """

    exact: CholeskyFactor
    panels: tuple[Tensor, ...]
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
        """Apply the inverse to each column; what is right of a panel's diagonal block serves below it as well."""
        given, start = columns.float(), 0
        solved = torch.zeros_like(given)
        for panel in self.panels:
            stop = start + len(panel)
            solved[start:stop] += panel @ given[start:]
            solved[stop:] += panel[:, len(panel) :].mT @ given[start:stop]
            start = stop
        return solved.to(columns.dtype)

    def whiten(self, columns: Tensor) -> Tensor:
        """``L^-1`` times each column, in float64."""
        return self.exact.whiten(columns)

    def tensors(self) -> dict[str, Tensor]:
        """For a file; the factor has its own."""
        panels = {f"{_PREFIX}{place:03d}": panel for place, panel in enumerate(self.panels)}
        return {**panels, "inverse_residual": number(self.residual)}


def inverse_of(factor: CholeskyFactor, curvature: Tensor, samples: Tensor) -> InverseFactor:
    """Invert, and measure how well that solves ``samples``, shape ``(p, m)``, on the undamped ``curvature``."""
    full = torch.cholesky_inverse(factor.lower)
    panels = tuple(full[start : start + PANEL, start:].float() for start in range(0, len(full), PANEL))
    solved = InverseFactor(factor, panels, torch.nan).solve(samples)
    left = curvature @ solved + factor.damping * solved - samples
    residual = float((left.norm(dim=0) / samples.norm(dim=0).clamp_min(1e-300)).max())
    return InverseFactor(factor, panels, residual)


def with_inverse(factor: CholeskyFactor, tensors: Mapping[str, Tensor]) -> CholeskyFactor | InverseFactor:
    """The factor with its inverse, if one was stored."""
    panels = tuple(tensors[key] for key in sorted(tensors) if key.startswith(_PREFIX))
    return InverseFactor(factor, panels, float(tensors["inverse_residual"])) if panels else factor
