"""A matrix near the inverse that is cheap to apply: EK-FAC's own, which shortens an iterative solve."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from influence_core.curvature.dense import Curvature
from influence_core.curvature.ekfac import EKFAC
from influence_core.solvers.eigen_blocks import EigenBlocks

WIDER = 10.0  # times the damping: EK-FAC's small eigenvalues are too small, and a step along them too long


@dataclass(frozen=True)
class Preconditioner:
    """``(EK-FAC + 10 damping I)^-1``; where no damping is asked for, a tenth of each layer's mean eigenvalue.

    On the network of mnist-cnn ten times the damping took 14 steps of conjugate gradients to a residual of 0.01, the
    damping itself 19, and no preconditioner 19; at a tenth of that damping 35, 44 and 45.

    Attributes:
        curvature: The approximation, undamped.
        damping: Of the system that is solved.
    """

    curvature: EKFAC
    damping: float

    def inverse(self, columns: Tensor) -> Tensor:
        """Apply it to each column, shape ``(p, m)``."""
        return self._solver.solve(self.curvature, columns)

    def congruent(self, curvature: Curvature, damping: float, columns: Tensor, rows: list[int] | None) -> Tensor:
        """``M^1/2 (curvature + damping I) M^1/2`` times each column, with M this matrix."""
        moved = self._solver.root(self.curvature, columns)
        return self._solver.root(self.curvature, curvature.matvec(moved, rows) + damping * moved)

    @property
    def _solver(self) -> EigenBlocks:
        return EigenBlocks(WIDER * self.damping if self.damping > 0 else "auto")
