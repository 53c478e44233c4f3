"""Fit a linear head to the optimum of its convex objective, with every row's weight.

Used by the demos to train and to refit, and by the built-in check. Newton's method on the class contrasts, where
softmax regression is strictly convex up to a flat intercept direction that has been taken out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from influence_core.curvature.linear_head import LinearHead, contrasts, regression_head, softmax_head
from influence_core.errors import CurvatureError
from influence_core.task import ClassificationTask, RegressionTask

TOLERANCE = 1e-11  # of the gradient's norm, per square root of the coefficients' number times the inputs' scale
MAX_STEPS = 100
SMALLEST_STEP = 1e-6


@dataclass(frozen=True)
class HeadProblem:
    """``(1/n) sum_i w_i loss(coefficients x_i, y_i) + 1/2 sum ridge coefficients^2``.

    Attributes:
        inputs: Shape ``(n, d)``, float64, the intercept's column of ones included.
        labels: Class indices, or values in regression; shape ``(n,)``.
        ridge: Second derivative of the regulariser for each input column, shape ``(d,)``.
        basis: Orthonormal output basis, shape ``(outputs, k)``.
        is_softmax: Softmax cross-entropy, else squared error.
    """

    inputs: Tensor
    labels: Tensor
    ridge: Tensor
    basis: Tensor
    is_softmax: bool

    @classmethod
    def softmax(cls, inputs: Tensor, labels: Tensor, ridge: Tensor, n_classes: int) -> HeadProblem:
        """Softmax regression on ``n_classes`` classes."""
        return cls(inputs.double(), labels, ridge.double(), contrasts(n_classes), is_softmax=True)

    @classmethod
    def regression(cls, inputs: Tensor, labels: Tensor, ridge: Tensor) -> HeadProblem:
        """Least squares with loss ``(x^T w - y)^2``."""
        one = torch.ones(1, 1, dtype=torch.float64)
        return cls(inputs.double(), labels.double(), ridge.double(), one, is_softmax=False)

    def coefficients(self, layer: nn.Linear) -> Tensor:
        """A trained layer in the output basis, shape ``(k, d)``."""
        weight = layer.weight.detach().double()
        if weight.shape[1] < self.inputs.shape[1]:
            weight = torch.cat([weight, layer.bias.detach().double()[:, None]], dim=1)
        return self.basis.mT @ weight

    def outputs(self, coefficients: Tensor, inputs: Tensor | None = None) -> Tensor:
        """Raw outputs, shape ``(n, outputs)``, of coefficients ``(k, d)``."""
        return (self.inputs if inputs is None else inputs) @ coefficients.mT @ self.basis.mT

    def residuals(self, outputs: Tensor) -> Tensor:
        """Derivative of each loss in the output basis, shape ``(n, k)``."""
        if not self.is_softmax:
            return 2 * (outputs - self.labels[:, None])
        hot = nn.functional.one_hot(self.labels, outputs.shape[1])
        return (outputs.softmax(dim=1) - hot) @ self.basis

    def objective(self, coefficients: Tensor, weights: Tensor) -> Tensor:
        """The weighted objective, a scalar."""
        z = self.outputs(coefficients)
        if self.is_softmax:
            losses = nn.functional.cross_entropy(z, self.labels, reduction="none")
        else:
            losses = (z[:, 0] - self.labels).square()
        return (weights * losses).mean() + 0.5 * (self.ridge * coefficients.square()).sum()

    def gradient(self, coefficients: Tensor, weights: Tensor) -> Tensor:
        """Gradient of the weighted objective, shape ``(k, d)``."""
        weighted = weights[:, None] * self.residuals(self.outputs(coefficients))
        return weighted.mT @ self.inputs / len(self.inputs) + self.ridge * coefficients

    def curvature_at(self, outputs: Tensor) -> LinearHead:
        """Hessian of the objective with all weights one, at outputs ``(n, c)``."""
        if self.is_softmax:
            return softmax_head(self.inputs, outputs.softmax(dim=1), self.ridge, self.basis)
        return regression_head(self.inputs, self.ridge)

    def curvature(self, coefficients: Tensor, weights: Tensor) -> LinearHead:
        """Hessian of the weighted objective."""
        head = self.curvature_at(self.outputs(coefficients))
        return LinearHead(head.inputs, weights[:, None, None] * head.output_curvature, head.ridge)


def newton_fit(problem: HeadProblem, weights: Tensor | None = None, start: Tensor | None = None) -> Tensor:
    """Coefficients ``(k, d)`` at the optimum, by Newton's method with step halving.

    Raises:
        CurvatureError: If the objective is not strictly convex, or no optimum is reached.
    """
    k, d = problem.basis.shape[1], problem.inputs.shape[1]
    weights = torch.ones(len(problem.inputs), dtype=torch.float64) if weights is None else weights.double()
    coefficients = torch.zeros(k, d, dtype=torch.float64) if start is None else start.clone()

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
    scale = problem.inputs.square().mean().sqrt() * coefficients.numel() ** 0.5
    scale = scale * (1 if problem.is_softmax else problem.labels.abs().mean().clamp_min(1.0))
    last = torch.tensor(torch.inf, dtype=torch.float64)
    for _ in range(MAX_STEPS):
        gradient = problem.gradient(coefficients, weights)
        if gradient.norm() <= TOLERANCE * scale and gradient.norm() > last / 2:
            return coefficients
        last = gradient.norm()
        direction = step(gradient, coefficients)
        before, size = problem.objective(coefficients, weights), 1.0
        slack = 1e-12 * before.abs() + 1e-300
        while problem.objective(coefficients - size * direction, weights) > before + slack and size > SMALLEST_STEP:
            size /= 2
        coefficients = coefficients - size * direction
    msg = (
        f"The refit stopped at a gradient norm of {float(gradient.norm()):.1e} after {MAX_STEPS} steps; "
        "use a larger weight decay or scale the inputs."
    )
    raise CurvatureError(msg)


def ridge_of(d: int, weight_decay: float, *, intercept: bool, penalise_intercept: bool) -> Tensor:
    """The L2 penalty's second derivative for each of ``d`` input columns, the intercept last."""
    ridge = torch.full((d,), weight_decay, dtype=torch.float64)
    if intercept and not penalise_intercept:
        ridge[-1] = 0.0
    return ridge


def linear_module(weight: Tensor, *, intercept: bool) -> nn.Linear:
    """An ``nn.Linear`` in eval mode and float64 from a weight matrix whose last column may be the intercept."""
    outputs, columns = weight.shape
    module = nn.Linear(columns - intercept, outputs, bias=intercept, dtype=torch.float64)
    with torch.no_grad():
        module.weight.copy_(weight[:, : columns - intercept])
        if intercept:
            module.bias.copy_(weight[:, -1])
    return module.eval()


def fit_head(
    inputs: Tensor, labels: Tensor, task: ClassificationTask | RegressionTask, weights: Tensor | None = None
) -> nn.Linear:
    """Train a linear model with intercept to the optimum of the task's objective.

    Args:
        inputs: Shape ``(n, d)``, without a column of ones.
        labels: Shape ``(n,)``.
        task: Loss, weight decay and whether the intercept is penalised.
        weights: Of each row, shape ``(n,)``; ``1/n`` is kept whatever they are.

    Returns:
        A float64 ``nn.Linear`` in eval mode.

    Raises:
        CurvatureError: If the objective has no single optimum.
    """
    rows = torch.cat([inputs.double(), torch.ones(len(inputs), 1, dtype=torch.float64)], dim=1)
    ridge = ridge_of(rows.shape[1], task.weight_decay, intercept=True, penalise_intercept=task.penalise_intercept)
    if isinstance(task, ClassificationTask):
        problem = HeadProblem.softmax(rows, labels, ridge, task.n_classes)
    else:
        problem = HeadProblem.regression(rows, labels, ridge)
    return linear_module(problem.basis @ newton_fit(problem, weights), intercept=True)
