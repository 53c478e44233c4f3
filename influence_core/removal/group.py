"""Removing any set of training examples at once, by Newton's method on the objective that they leave.

With ``S`` removed and the ``1/n`` kept, one step from the optimum is::

    (H + damping I - (1/n) sum_S grad^2 loss_i)^-1 (1/n) sum_S grad loss_i

(Koh, Ang, Teo and Liang, "On the Accuracy of Influence Functions for Measuring Group Effects", NeurIPS 2019). On a
quadratic objective that is the refit. Elsewhere it is repeated until the gradient of the remaining objective vanishes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from influence_core.errors import CurvatureError
from influence_core.removal.objective import Objective, downhill
from influence_core.solvers.base import check_damping, enough
from influence_core.solvers.cholesky import rounding

TOLERANCE = 1e-8  # of the gradient that the removal brings
STALLED = 1e-3  # of it: a gradient below this that no longer falls is down to rounding
MAX_STEPS = 60

Steps = Literal[1, 2] | None  # None: as many as it takes


@dataclass(frozen=True)
class Arrival:
    """Where Newton's method ended.

    Attributes:
        at: The parameters there.
        gradient_norm: Of the remaining objective's gradient.
        steps: How many steps it took.
    """

    at: Tensor
    gradient_norm: float
    steps: int


@dataclass(frozen=True)
class GroupStep:
    """The trained parameters, from which groups are removed.

    Attributes:
        objective: The training objective.
        start: The trained parameters.
        n: Number of training examples.
        damping: Added to the curvature of every step of a fixed number; of as many steps as it takes, which end where
            the gradient vanishes whatever the damping, only where the curvature is not positive definite without.
    """

    objective: Objective
    start: Tensor
    n: int
    damping: float = 0.0

    def without(self, rows: list[int], steps: Steps = None) -> tuple[Tensor, Arrival]:
        """The parameters' change by removing some examples, of the parameters' shape, and how it was reached.

        Away from the optimum the steps with nothing removed, which the model would take as well, are subtracted.

        Raises:
            CurvatureError: If the remaining curvature is not positive definite, or the gradient does not vanish.
        """
        check_damping(self.damping)
        weights, everything = self.start.new_ones(self.n), self.start.new_ones(self.n)
        weights[rows] = 0
        pull = float((self._gradient(self.start, weights) - self._gradient(self.start, everything)).norm())
        if pull == 0:
            return torch.zeros_like(self.start), Arrival(
                self.start, float(self._gradient(self.start, weights).norm()), 0
            )
        arrival = self._walk(weights, steps, pull)
        return arrival.at - self._walk(everything, steps, pull).at, arrival

    def _walk(self, weights: Tensor, steps: Steps, pull: float) -> Arrival:
        at, last = self.start, float("inf")
        for step in range(MAX_STEPS + 1):
            gradient = self._gradient(at, weights)
            norm = float(gradient.norm())
            if steps is None and (norm <= TOLERANCE * pull or (last <= norm <= STALLED * pull)):
                return Arrival(at, norm, step)
            if steps is not None and step == steps:
                return Arrival(at, norm, step)
            last, direction = norm, self._direction(at, weights, gradient, steps)
            at = at - direction if steps is not None else downhill(self.objective, weights, at, direction)
        msg = (
            f"Newton's method without {int(self.n - weights.sum())} training examples stopped at a gradient norm of "
            f"{norm:.1e} after {MAX_STEPS} steps; use steps=1 or 2, or remove fewer."
        )
        raise CurvatureError(msg)

    def _direction(self, at: Tensor, weights: Tensor, gradient: Tensor, steps: Steps) -> Tensor:
        matrix = self.objective.curvature(at, weights).matrix()
        for damping in (0.0, self.damping) if steps is None else (self.damping,):
            damped = matrix + damping * torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
            factor, failed = torch.linalg.cholesky_ex(damped)
            if not failed and float(factor.diagonal().min()) ** 2 > rounding(damped):
                return torch.cholesky_solve(gradient.reshape(-1, 1), factor).view_as(at)
        raise self._refused(float(torch.linalg.eigvalsh(matrix)[0]), int(self.n - weights.sum()))

    def _refused(self, lowest: float, removed: int) -> CurvatureError:
        msg = (
            f"Without {removed} of the {self.n:,} training examples the curvature's lowest eigenvalue is {lowest:.3g}, "
            f"and damping {self.damping:g} does not make it positive definite; use damping of at least "
            f"{enough(lowest):.1g}, the Gauss-Newton curvature, or remove fewer."
        )
        return CurvatureError(msg)

    def _gradient(self, at: Tensor, weights: Tensor) -> Tensor:
        return self.objective.gradient(at, weights)
