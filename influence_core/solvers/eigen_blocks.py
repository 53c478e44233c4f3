"""Solve on a curvature that is diagonal, layer by layer, in a basis that is known: EK-FAC and its relatives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from influence_core.curvature.ekfac import EKFAC
from influence_core.errors import CurvatureError
from influence_core.project import SGD
from influence_core.solvers.base import check_damping
from influence_core.solvers.damping import AUTO, Damping, MeanEigenvalue, SpectralFilter, choose


@dataclass(frozen=True)
class EigenBlocks:
    """``(curvature + damping I)^-1``.

    Attributes:
        damping: Added to every eigenvalue as written; ``auto`` takes the filter of a known training in place of the
            inverse, and else adds to the eigenvalues of each layer a tenth of their mean (Grosse et al. 2023).
        recipe: The known training.
    """

    damping: Damping
    recipe: SGD | None = None

    def inverse(self, values: Tensor) -> Tensor:
        """What each eigen-direction of a layer is multiplied by."""
        chosen = choose(self.damping, self.recipe, float(values.double().mean()))
        if chosen.filter is not None:
            return chosen.filter.apply(values).to(values.dtype)
        return 1 / (values + check_damping(chosen.damping))

    def rule(self, curvature: EKFAC) -> str:
        """How the damping was chosen, in words and with its numbers; empty if it was given as a number."""
        if self.damping != AUTO:
            return ""
        if self.recipe is not None:
            return SpectralFilter.of(self.recipe).sentence
        chosen = [MeanEigenvalue().damping(float(block.values.double().mean())) for block in curvature.blocks]
        least, most = min(chosen), max(chosen)
        return f"damping {MeanEigenvalue().share:g} × each layer's mean eigenvalue, {least:.2g} to {most:.2g}"

    def solve(self, curvature: EKFAC, columns: Tensor) -> Tensor:
        """Apply the inverse to each column, shape ``(p, m)``."""
        return curvature.map(columns, self.inverse)

    def root(self, curvature: EKFAC, columns: Tensor) -> Tensor:
        """Apply the inverse's symmetric square root to each column, shape ``(p, m)``."""
        return curvature.map(columns, lambda values: self.inverse(values).sqrt())

    def check(self, curvature: EKFAC) -> None:
        """Raise CurvatureError unless every damped eigenvalue is positive beyond rounding: names the layer."""
        for block in curvature.blocks:
            values = self.inverse(block.values)
            if not (bool((values > 0).all()) and float(values.min()) > torch.finfo(values.dtype).eps * values.max()):
                msg = (
                    f"The curvature of the layer '{block.layer.name}' has an eigenvalue of 0 under damping "
                    f"{self.damping}; use damping above 0, or --set damping=auto."
                )
                raise CurvatureError(msg)
