"""Softmax regression written out once more, sharing nothing with the engine: all ``c d`` weights, no class contrasts.

``J(W) = (1/n) sum_i w_i (logsumexp(W x_i) - (W x_i)_{y_i}) + decay / 2 ||W||^2`` with the intercept as last column.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import logsumexp, softmax

Array = np.ndarray
FLAT = 1e-13  # gradient norm of an optimum in float64
STEPS = 500


@dataclass(frozen=True)
class Softmax:
    """One training set and a point at or near its optimum.

    Attributes:
        inputs: Shape ``(n, d)``, float64, with the column of ones.
        labels: Class indices, shape ``(n,)``.
        decay: Weight decay of every weight.
        weights: Shape ``(c, d)``.
    """

    inputs: Array
    labels: Array
    decay: float
    weights: Array

    def gradients(self, inputs: Array, labels: Array) -> Array:
        """Gradient of each row's loss, ``(p - onehot(y)) (x) x``, shape ``(rows, c d)``."""
        residuals = _residuals(self.weights, inputs, labels)
        gradients: Array = (residuals[:, :, None] * inputs[:, None, :]).reshape(len(inputs), -1)
        return gradients

    def hessian(self) -> Array:
        """Block ``(a, b)`` is ``(1/n) X^T diag(p_a ([a=b] - p_b)) X + decay [a=b] I``, shape ``(c d, c d)``."""
        (n, d), c = self.inputs.shape, len(self.weights)
        p = softmax(self.inputs @ self.weights.T, axis=1)
        full = self.decay * np.eye(c * d)
        for a in range(c):
            for b in range(c):
                spread = p[:, a] * ((a == b) - p[:, b])
                full[a * d : (a + 1) * d, b * d : (b + 1) * d] += self.inputs.T @ (spread[:, None] * self.inputs) / n
        return full

    @cached_property
    def factor(self) -> tuple[Array, bool]:
        """The Hessian's Cholesky factor."""
        factor: tuple[Array, bool] = cho_factor(self.hessian())
        return factor

    def optimum(self, without: int | None = None) -> Array:
        """Weights at the optimum, or at the optimum without one row; ``1/n`` is kept.

        Newton's steps with the curvature of all rows at ``weights``: many, but each costs one gradient.
        """
        row_weights = np.ones(len(self.inputs))
        if without is not None:
            row_weights[without] = 0.0
        weights = self.weights
        for _ in range(STEPS):
            residuals = row_weights[:, None] * _residuals(weights, self.inputs, self.labels)
            gradient = residuals.T @ self.inputs / len(self.inputs) + self.decay * weights
            if np.linalg.norm(gradient) <= FLAT:
                return weights
            weights = weights - cho_solve(self.factor, gradient.ravel()).reshape(weights.shape)
        msg = f"The refit stopped at a gradient norm of {np.linalg.norm(gradient):.1e}."
        raise RuntimeError(msg)

    def scores(self, inputs: Array, labels: Array) -> Array:
        """``(1/n) g_t^T H^-1 g_i`` of the loss, shape ``(tests, n)``."""
        solved = cho_solve(self.factor, self.gradients(inputs, labels).T)
        scores: Array = (self.gradients(self.inputs, self.labels) @ solved).T / len(self.inputs)
        return scores


def losses(weights: Array, inputs: Array, labels: Array) -> Array:
    """Cross-entropy of each row in nats."""
    logits = inputs @ weights.T
    values: Array = logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels]
    return values


def _residuals(weights: Array, inputs: Array, labels: Array) -> Array:
    """``p - onehot(y)``, shape ``(rows, c)``."""
    residuals: Array = softmax(inputs @ weights.T, axis=1) - np.eye(len(weights))[labels]
    return residuals
