"""Fit a linear head to the optimum of its convex objective, with every row's weight.

Used by the demos to train and to refit, and by the built-in check. Newton's method on the class contrasts, where
softmax regression is strictly convex up to a flat intercept direction that has been taken out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from influence_core.curvature.linear_head import LinearHead, contrasts
from influence_core.errors import CurvatureError
from influence_core.placement import normal, number, seeded
from influence_core.removal.objective import downhill
from influence_core.task import (
    Batch,
    ClassificationTask,
    MultiLabelTask,
    RegressionTask,
    Task,
    decay_of,
    loss_curvature,
)

TOLERANCE = 1e-11  # of the gradient's norm, per square root of the coefficients' number times the inputs' scale
MAX_STEPS = 100
BINARY = 2
SEVERAL = 8  # rows, of as many classes, on which a loss is looked at
BLOCK = 4096  # rows whose loss curvature is taken at once

HeadTask = ClassificationTask | MultiLabelTask | RegressionTask  # the tasks whose regulariser is known to be L2


@dataclass(frozen=True)
class HeadProblem:
    """``(1/n) sum_i w_i loss(basis coefficients x_i, y_i) + 1/2 sum ridge coefficients^2``.

    Attributes:
        task: Its training loss.
        inputs: Shape ``(n, d)``, float64, the intercept's column of ones included.
        labels: Class indices, shape ``(n,)``, or values or label vectors, shape ``(n,)`` or ``(n, outputs)``.
        row_weights: The rows' own weights, part of their training losses, shape ``(n,)``.
        ridge: Second derivative of the regulariser for each input column, shape ``(d,)``.
        basis: From coefficients to outputs, shape ``(outputs, k)``.
    """

    task: Task
    inputs: Tensor
    labels: Tensor
    row_weights: Tensor
    ridge: Tensor
    basis: Tensor

    def coefficients(self, layer: nn.Linear) -> Tensor:
        """A trained layer in the output basis, shape ``(k, d)``."""
        weight = layer.weight.detach().double()
        if weight.shape[1] < self.inputs.shape[1]:
            weight = torch.cat([weight, layer.bias.detach().double()[:, None]], dim=1)
        return weight if len(weight) == self.basis.shape[1] else self.basis.mT @ weight

    def outputs(self, coefficients: Tensor, inputs: Tensor | None = None) -> Tensor:
        """Raw outputs, shape ``(n, outputs)``, of coefficients ``(k, d)``."""
        return (self.inputs if inputs is None else inputs) @ coefficients.mT @ self.basis.mT

    def residuals(self, outputs: Tensor) -> Tensor:
        """Derivative of each loss by the coefficients' outputs, shape ``(n, k)``."""
        slopes: Tensor = torch.func.grad(lambda z: self.task.losses(z, self._batch).sum())(outputs)
        return slopes @ self.basis

    def objective(self, coefficients: Tensor, weights: Tensor) -> Tensor:
        """The weighted objective, a scalar."""
        losses = self.task.losses(self.outputs(coefficients), self._batch)
        return (weights * losses).mean() + 0.5 * (self.ridge * coefficients.square()).sum()

    def gradient(self, coefficients: Tensor, weights: Tensor) -> Tensor:
        """Gradient of the weighted objective, shape ``(k, d)``."""
        weighted = weights[:, None] * self.residuals(self.outputs(coefficients))
        return weighted.mT @ self.inputs / len(self.inputs) + self.ridge * coefficients

    def curvature_at(self, outputs: Tensor) -> LinearHead:
        """Hessian of the objective with all weights one, at outputs ``(n, c)``."""
        blocks = zip(*(torch.split(rows, BLOCK) for rows in (outputs, self.labels, self.row_weights)), strict=True)
        curved = torch.cat([loss_curvature(self.task, z, ((), *rows)) for z, *rows in blocks])
        return LinearHead(self.inputs, self.basis.mT @ curved @ self.basis, self.ridge)

    def curvature(self, coefficients: Tensor, weights: Tensor) -> LinearHead:
        """Hessian of the weighted objective."""
        head = self.curvature_at(self.outputs(coefficients))
        return LinearHead(head.inputs, weights[:, None, None] * head.output_curvature, head.ridge)

    @property
    def scale(self) -> float:
        """A typical size of the gradient's norm, against which it is judged to be zero."""
        k, d = self.basis.shape[1], self.inputs.shape[1]
        at_zero = self.residuals(self.inputs.new_zeros(len(self.inputs), len(self.basis)))
        typical = torch.linalg.vector_norm(self.inputs) / self.inputs.numel() ** 0.5  # without a copy of the inputs
        return float(typical * (k * d) ** 0.5 * (at_zero.abs().mean() / 2).clamp_min(1.0))

    @property
    def _batch(self) -> Batch:
        return (), self.labels, self.row_weights


def newton_fit(problem: HeadProblem, weights: Tensor | None = None, start: Tensor | None = None) -> Tensor:
    """Coefficients ``(k, d)`` at the optimum, by Newton's method with step halving.

    Raises:
        CurvatureError: If the objective is not strictly convex, or no optimum is reached.
    """
    k, d = problem.basis.shape[1], problem.inputs.shape[1]
    weights = problem.inputs.new_ones(len(problem.inputs)) if weights is None else weights.to(problem.inputs)
    coefficients = problem.inputs.new_zeros(k, d) if start is None else start.clone()

    def step(gradient: Tensor, at: Tensor) -> Tensor:
        factor, failed = torch.linalg.cholesky_ex(problem.curvature(at, weights).matrix())
        if failed:
            msg = "The objective is not strictly convex, so it has no single optimum; use a weight decay above 0."
            raise CurvatureError(msg)
        return torch.cholesky_solve(gradient.reshape(-1, 1), factor).view(k, d)

    return _descend(problem, weights, coefficients, step)


def chord_fit(problem: HeadProblem, weights: Tensor, start: Tensor, solve: Callable[[Tensor], Tensor]) -> Tensor:
    """Refit from a nearby optimum with the inverse curvature at hand: a few gradients, no factorisation.

    Args:
        problem: The objective.
        weights: Of each row, shape ``(n,)``.
        start: Coefficients ``(k, d)`` at the optimum with all weights one.
        solve: Applies the inverse curvature at ``start`` to a ``(k d, 1)`` column.
    """
    return _descend(problem, weights, start, lambda gradient, _: solve(gradient.reshape(-1, 1)).view_as(gradient))


def _descend(
    problem: HeadProblem, weights: Tensor, coefficients: Tensor, step: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Newton-like steps, halved while the objective would rise, until the gradient's norm is down to rounding."""
    enough = TOLERANCE * problem.scale
    last = number(torch.inf)
    for _ in range(MAX_STEPS):
        gradient = problem.gradient(coefficients, weights)
        if gradient.norm() <= enough and gradient.norm() >= last / 2:  # also where both are exactly zero
            return coefficients
        last = gradient.norm()
        coefficients = downhill(problem, weights, coefficients, step(gradient, coefficients))
    msg = (
        f"The refit stopped at a gradient norm of {float(gradient.norm()):.1e} after {MAX_STEPS} steps; "
        "use a larger weight decay or scale the inputs."
    )
    raise CurvatureError(msg)


def ridge_of(task: HeadTask, d: int, layer: str = "", *, intercept: bool) -> Tensor:
    """The L2 penalty's second derivative for each of ``d`` input columns of the layer of that name, intercept last."""
    prefix = f"{layer}." if layer else ""
    weight, bias = (
        decay_of(prefix + name, task.weight_decay, penalise_intercept=task.penalise_intercept)
        for name in ("weight", "bias")
    )
    ridge = torch.full((d,), weight, dtype=torch.float64, device="cpu")
    if intercept:
        ridge[-1] = bias
    return ridge


def output_basis(task: HeadTask, n_outputs: int) -> Tensor:
    """From the coefficients of a linear layer with ``n_outputs`` to the task's outputs, shape ``(outputs, k)``.

    A softmax is blind to a vector that is added to the logits of every class, so it is solved on the class contrasts;
    a single logit ``z`` of a binary model stands for ``-z/2`` and ``z/2``.
    """
    if isinstance(task, ClassificationTask) and task.n_classes == BINARY and n_outputs == 1:
        return torch.tensor([[-0.5], [0.5]], dtype=torch.float64, device="cpu")
    if isinstance(task, ClassificationTask) and _is_shift_invariant(task):
        return contrasts(task.n_classes)
    return torch.eye(n_outputs, dtype=torch.float64, device="cpu")


def _is_shift_invariant(task: ClassificationTask) -> bool:
    """Whether the slopes of the training loss add up to zero over the classes, at outputs of no special form."""
    labels = torch.arange(min(task.n_classes, SEVERAL), device="cpu")
    outputs = normal((len(labels), task.n_classes), seeded(0), number(0))
    slopes: Tensor = torch.func.grad(lambda z: task.losses(z, ((), labels)).sum())(outputs)
    return bool(slopes.sum(dim=1).abs().max() <= 1e-12 * slopes.abs().max())


def linear_module(weight: Tensor, *, intercept: bool) -> nn.Linear:
    """An ``nn.Linear`` in eval mode and float64 from a weight matrix whose last column may be the intercept."""
    outputs, columns = weight.shape
    module = nn.Linear(columns - intercept, outputs, bias=intercept, dtype=torch.float64, device=weight.device)
    with torch.no_grad():
        module.weight.copy_(weight[:, : columns - intercept])
        if intercept:
            module.bias.copy_(weight[:, -1])
    return module.eval()


def fit_head(
    inputs: Tensor,
    labels: Tensor,
    task: HeadTask,
    weights: Tensor | None = None,
    row_weights: Tensor | None = None,
) -> nn.Linear:
    """Train a linear model with intercept to the optimum of the task's objective.

    Args:
        inputs: Shape ``(n, d)``, without a column of ones.
        labels: Shape ``(n,)``, or ``(n, outputs)``.
        task: Loss, weight decay and whether the intercept is penalised.
        weights: Of each row, shape ``(n,)``; ``1/n`` is kept whatever they are.
        row_weights: The rows' own weights, which are part of their losses.

    Returns:
        A float64 ``nn.Linear`` in eval mode.

    Raises:
        CurvatureError: If the objective has no single optimum.
    """
    rows = torch.cat([inputs.double(), inputs.new_ones(len(inputs), 1).double()], dim=1)
    ridge = ridge_of(task, rows.shape[1], intercept=True).to(rows.device)
    basis = output_basis(task, task.n_targets or 1).to(rows.device)
    own = rows.new_ones(len(rows)) if row_weights is None else row_weights.double()
    problem = HeadProblem(task, rows, as_numbers(task, labels), own, ridge, basis)
    return linear_module(basis @ newton_fit(problem, weights), intercept=True)


def as_numbers(task: Task, labels: Tensor) -> Tensor:
    """Class numbers as they are, values and label vectors in float64."""
    return labels if isinstance(task, ClassificationTask) else labels.double()
