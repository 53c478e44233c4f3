"""A training objective as a function of its parameters and of a weight for every row: what a removal moves along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.func import grad, vmap

from influence_core.curvature.dense import GaussNewton, Hessian
from influence_core.gradients import FunctionalModel
from influence_core.project import Dataset, Stacked

SMALLEST_STEP = 1e-6


class Dense(Protocol):
    """A curvature that can be written out."""

    def matrix(self) -> Tensor:
        """Shape ``(p, p)``."""
        ...


class Objective(Protocol):
    """``(1/n) sum_i w_i loss_i(theta) + R(theta)``; ``theta`` has the shape that its maker gave it."""

    def objective(self, at: Tensor, weights: Tensor, /) -> Tensor:
        """Its value, a scalar."""
        ...

    def gradient(self, at: Tensor, weights: Tensor, /) -> Tensor:
        """Its gradient, of the parameters' shape."""
        ...

    def curvature(self, at: Tensor, weights: Tensor, /) -> Dense:
        """Its curvature, regulariser included."""
        ...


@dataclass(frozen=True)
class ModelObjective:
    """The objective of any model, at flat parameters of shape ``(p,)``.

    Attributes:
        model: The model as a function of its parameters.
        train: The training data.
        kind: Which curvature.
        rows: Examples in memory at once.
    """

    model: FunctionalModel
    train: Dataset
    kind: type[Hessian] | type[GaussNewton]
    rows: int = 256

    def objective(self, theta: Tensor, weights: Tensor) -> Tensor:
        """Its value."""
        batches = self.model.batches(self.train, self.rows)
        losses = [(weights[ids] * self.model.losses(theta, batch)).sum() for ids, batch in batches]
        return torch.stack(losses).sum() / len(self.train) + self.model.penalty(theta)

    def gradient(self, theta: Tensor, weights: Tensor) -> Tensor:
        """Its gradient."""
        total = torch.zeros_like(theta)
        for ids, batch in self.model.batches(self.train, self.rows):
            total = total + grad(lambda at, w, rows: (w * self.model.losses(at, rows)).sum())(
                theta, weights[ids], batch
            )
        penalty: Tensor = grad(lambda at: self.model.penalty(at) + 0 * at.sum())(theta)
        return total / len(self.train) + penalty

    def curvature(self, theta: Tensor, weights: Tensor) -> Remaining:
        """Its curvature, for weights that are 0 or 1."""
        rows = weights.nonzero()[:, 0].tolist()
        return Remaining(replace(self, model=replace(self.model, theta=theta)), tuple(rows))


@dataclass(frozen=True)
class Remaining:
    """The curvature of the objective that some rows leave, still divided by the number of all rows.

    Attributes:
        objective: Where, and of what.
        rows: Those that are left.
    """

    objective: ModelObjective
    rows: tuple[int, ...]

    def matrix(self) -> Tensor:
        """Shape ``(p, p)``."""
        model, train = self.objective.model, self.objective.train
        penalty = model.penalty_hessian_products(torch.eye(model.vector.size, dtype=model.dtype, device=model.device))
        if not self.rows:
            return penalty
        share = len(self.rows) / len(train)
        return share * self.objective.kind(model, _some(train, self.rows)).matrix() + (1 - share) * penalty


@dataclass(frozen=True)
class _Rows:
    """Some rows of a data set."""

    train: Dataset
    rows: Sequence[int]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int, /) -> Any:
        return self.train[self.rows[index]]


def _some(train: Dataset, rows: Sequence[int]) -> Dataset:
    return Stacked(train.take(rows), len(rows)) if isinstance(train, Stacked) else _Rows(train, rows)


def gradients_without(objective: Objective, at: Tensor, removed: Sequence[int], n: int) -> Tensor:
    """Gradient of the objective without one row each, at parameters of its own, shape ``(rows, *parameters)``."""
    weights = at.new_ones(len(removed), n)
    weights[range(len(removed)), removed] = 0
    found: Tensor = vmap(objective.gradient)(at, weights)
    return found


def downhill(objective: Objective, weights: Tensor, at: Tensor, direction: Tensor) -> Tensor:
    """``at - size * direction`` with the step halved while the objective would rise by more than rounding."""
    before, size = objective.objective(at, weights), 1.0
    slack = 1e-12 * before.abs() + 1e-300
    while objective.objective(at - size * direction, weights) > before + slack and size > SMALLEST_STEP:
        size /= 2
    return at - size * direction
