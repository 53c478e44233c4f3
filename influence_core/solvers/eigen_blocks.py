"""Solve on a curvature that is diagonal, layer by layer, in a basis that is known: EK-FAC and its relatives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from influence_core.curvature.ekfac import EKFAC
from influence_core.errors import CurvatureError
from influence_core.solvers.base import Damping, check_damping

SHARE = 0.1  # of a layer's mean eigenvalue, where no damping is given (Grosse et al. 2023)


@dataclass(frozen=True)
class EigenBlocks:
    """``(curvature + damping I)^-1``.

    Attributes:
        damping: Added to every eigenvalue as written; ``auto`` adds to those of each layer a tenth of their mean.
    """

    damping: Damping

    def damped(self, values: Tensor) -> Tensor:
        """One layer's eigenvalues with what is added to them, of the same shape."""
        if self.damping == "auto":
            return values + SHARE * values.mean()
        return values + check_damping(self.damping)

    def inverse(self, values: Tensor) -> Tensor:
        """What each eigen-direction of a layer is multiplied by."""
        return 1 / self.damped(values)

    def solve(self, curvature: EKFAC, columns: Tensor) -> Tensor:
        """Apply the inverse to each column, shape ``(p, m)``."""
        return curvature.map(columns, self.inverse)

    def root(self, curvature: EKFAC, columns: Tensor) -> Tensor:
        """Apply the inverse's symmetric square root to each column, shape ``(p, m)``."""
        return curvature.map(columns, lambda values: self.inverse(values).sqrt())

    def check(self, curvature: EKFAC) -> None:
        """Raise CurvatureError unless every damped eigenvalue is positive beyond rounding: names the layer."""
        for block in curvature.blocks:
            values = self.damped(block.values)
            if not float(values.min()) > torch.finfo(values.dtype).eps * float(values.max()):
                msg = (
                    f"The curvature of the layer '{block.layer.name}' has an eigenvalue of 0 under damping "
                    f"{self.damping:g}; use damping above 0, or --set damping=auto."
                )
                raise CurvatureError(msg)
