"""Leave-one-out by a Newton step with the example's own curvature taken out.

Let ``A = (H + damping I)^-1``, ``U_i^T`` the Jacobian of the example's outputs (rank ``c``), ``r_i`` and ``S_i`` the
slope and the curvature of its loss by these outputs, ``M_i = U_i^T A U_i``, and ``g`` what is left of the whole
objective's gradient, zero at an optimum. By Woodbury's identity the step without the example, minus the step with
nothing removed, is::

    (H + damping I - U_i S_i U_i^T / n)^-1 (U_i r_i / n - g) + A g
        =  A U_i (I - S_i M_i / n)^-1 (r_i - S_i U_i^T A g) / n

so that a removal is ``c`` numbers an example. First-order influence has ``r_i / n`` in their place. For a linear model
and squared error the step is exact (Cook 1977); for logistic regression it is Pregibon's one-step estimate (1981).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from influence_core.errors import CurvatureError
from influence_core.removal.objective import Objective, gradients_without

SMALLEST = 1e-9  # of the example's share of its own curvature that must be left


class Jacobians(Protocol):
    """How the outputs of some examples depend on the parameters: ``U_i`` for each."""

    def pull(self, factors: Tensor) -> Tensor:
        """``U_i factors_i``, shape ``(b, c)`` to ``(b, p)``."""
        ...

    def push(self, moves: Tensor) -> Tensor:
        """``U_i^T moves_i``, shape ``(b, p)`` to ``(b, c)``."""
        ...

    def inside(self, inverse: Tensor) -> Tensor:
        """``U_i^T inverse U_i``, shape ``(p, p)`` to ``(b, c, c)``."""
        ...


@dataclass(frozen=True)
class HeadJacobians:
    """Of a linear head: ``U_i = I_k (x) x_i``.

    Attributes:
        inputs: Shape ``(b, d)``.
        k: Number of outputs in the output basis.
    """

    inputs: Tensor
    k: int

    def pull(self, factors: Tensor) -> Tensor:
        """``factors_i (x) x_i``."""
        return (factors[:, :, None] * self.inputs[:, None, :]).flatten(1)

    def push(self, moves: Tensor) -> Tensor:
        """Every output's coefficients times the inputs."""
        return torch.einsum("bkd,bd->bk", moves.view(-1, self.k, self.inputs.shape[1]), self.inputs)

    def inside(self, inverse: Tensor) -> Tensor:
        """One block of the inverse a pair of outputs."""
        d = self.inputs.shape[1]
        found = inverse.new_empty(len(self.inputs), self.k, self.k)
        for a in range(self.k):
            for b in range(a, self.k):
                block = inverse[a * d : (a + 1) * d, b * d : (b + 1) * d]
                found[:, a, b] = found[:, b, a] = ((self.inputs @ block) * self.inputs).sum(dim=1)
        return found


@dataclass(frozen=True)
class DenseJacobians:
    """Of any model.

    Attributes:
        rows: Shape ``(b, c, p)``.
    """

    rows: Tensor

    def pull(self, factors: Tensor) -> Tensor:
        """``J_i^T factors_i``."""
        return torch.einsum("bcp,bc->bp", self.rows, factors)

    def push(self, moves: Tensor) -> Tensor:
        """``J_i moves_i``."""
        return torch.einsum("bcp,bp->bc", self.rows, moves)

    def inside(self, inverse: Tensor) -> Tensor:
        """``J_i inverse J_i^T``."""
        return (self.rows.flatten(0, 1) @ inverse).view_as(self.rows) @ self.rows.mT


@dataclass(frozen=True)
class Trained:
    """What every example's step is taken from.

    Attributes:
        objective: The training objective.
        at: The trained parameters, in the objective's shape.
        inverse: ``(H + damping I)^-1``, shape ``(p, p)``.
        n: Number of training examples.
    """

    objective: Objective
    at: Tensor
    inverse: Tensor
    n: int

    def gradient(self) -> Tensor:
        """What is left of the whole objective's gradient, shape ``(p,)``."""
        return self.objective.gradient(self.at, self.at.new_ones(self.n)).reshape(-1)


@dataclass(frozen=True)
class Removal:
    """Some examples, each taken out alone.

    Attributes:
        trained: Where from.
        rows: Their ids.
        jacobians: How their outputs depend on the parameters.
        slopes: Derivative of each training loss by its outputs, shape ``(b, c)``.
        curved: Its second derivative, shape ``(b, c, c)``.
        left: ``I - S_i M_i / n``, the share of each example's outputs that others hold, shape ``(b, c, c)``.
    """

    trained: Trained
    rows: Sequence[int]
    jacobians: Jacobians
    slopes: Tensor
    curved: Tensor
    left: Tensor

    @classmethod
    def of(cls, trained: Trained, rows: Sequence[int], jacobians: Jacobians, slopes: Tensor, curved: Tensor) -> Removal:
        """Prepare the examples ``rows``.

        Raises:
            CurvatureError: If the curvature is not positive definite without one of them.
        """
        inside = jacobians.inside(trained.inverse)
        _check(inside, curved / trained.n, rows)
        left = torch.eye(slopes.shape[1], dtype=slopes.dtype, device=slopes.device) - curved @ inside / trained.n
        return cls(trained, rows, jacobians, slopes, curved, left)

    def factors(self, drift: Tensor) -> Tensor:
        """The step of each in its own outputs, shape ``(b, c)``: the parameters move by ``A U_i factors_i``.

        Args:
            drift: ``A g``, shape ``(p,)``; zero at the optimum.
        """
        drifted = self.jacobians.push(drift.expand(len(self.rows), -1))
        return self._solve(self.slopes - _apply(self.curved, drifted))

    def changes(self, factors: Tensor) -> Tensor:
        """The parameters' moves, shape ``(b, p)``."""
        return self.jacobians.pull(factors) @ self.trained.inverse

    def second(self, first: Tensor, drift: Tensor) -> Tensor:
        """The moves after one step more with the same factor, from the remaining objective's gradient there.

        Args:
            first: The first step's moves, shape ``(b, p)``.
            drift: ``A g``.
        """
        trained, shape = self.trained, self.trained.at.shape
        at = trained.at + (first - drift).view(-1, *shape)
        gradients = gradients_without(trained.objective, at, self.rows, trained.n).flatten(1)
        own = self._solve(_apply(self.curved, self.jacobians.push(gradients @ trained.inverse)))
        step = (gradients + self.jacobians.pull(own)) @ trained.inverse
        return first - step + self._nothing_removed(drift)

    def _nothing_removed(self, drift: Tensor) -> Tensor:
        """The second step with nothing removed, which the model would take as well; zero at the optimum."""
        moved = self.trained.at - drift.view(self.trained.at.shape)
        weights = moved.new_ones(self.trained.n)
        return self.trained.objective.gradient(moved, weights).reshape(-1) @ self.trained.inverse

    def _solve(self, columns: Tensor) -> Tensor:
        solved: Tensor = torch.linalg.solve(self.left, columns / self.trained.n)
        return solved


def _apply(matrices: Tensor, columns: Tensor) -> Tensor:
    return (matrices @ columns[:, :, None])[:, :, 0]


def _check(inside: Tensor, curved: Tensor, rows: Sequence[int]) -> None:
    """Whether each reduced curvature is positive definite: no eigenvalue of ``S_i M_i / n`` reaches 1."""
    values, vectors = torch.linalg.eigh(inside)
    root = (vectors * values.clamp_min(0).sqrt()[:, None, :]) @ vectors.mT
    left = 1 - torch.linalg.eigvalsh(root @ curved @ root)[:, -1]
    if bool((left <= SMALLEST).any()):
        worst = int(left.argmin())
        msg = (
            f"Without training example {rows[worst]} the curvature is not positive definite (the smallest eigenvalue, "
            f"relative to the whole curvature, is {float(left[worst]):.2g}), so no Newton step can be taken; use more "
            "damping, the Gauss-Newton curvature, or the method exact."
        )
        raise CurvatureError(msg)
