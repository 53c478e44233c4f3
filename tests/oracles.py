"""Truths that do not come from this project: closed forms written out by hand, and brute-force refits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import make_regression
from torch import Tensor, nn

from influence_core.project import Project

RIDGE_PENALTY = 0.01
RIDGE_TEST = range(103, 109)
RIDGE_LOSS = 3.767637834984
RIDGE_INFLUENCE = (0.05088122205537, 0.01976028984756, 0.01595672539518, 0.01613747549889, 0.06117345333287)
RIDGE_INFLUENCE_SUM = 4.736366133422
RIDGE_REFITTED = (0.06132770646230, 0.02345255372589, 0.02230117821415, 0.01971875547754, 0.07029156499447)
RIDGE_PEARSON, RIDGE_SPEARMAN, RIDGE_SLOPE = 0.9942001, 0.9984879, 1.2890051


@dataclass(frozen=True)
class Ridge:
    """Rows 0..99 train, 100..109 test; the last column is ones; loss (x.w - y)^2, penalty 0.005 |w|^2."""

    inputs: Tensor
    labels: Tensor

    @classmethod
    def make(cls) -> Ridge:
        """The data set of the oracle."""
        x, y = make_regression(n_samples=110, n_features=10, n_informative=10, random_state=12345, noise=1)
        return cls(torch.tensor(np.hstack([x, np.ones((110, 1))])), torch.tensor(y))

    def optimum(self, without: int | None = None) -> Tensor:
        """Weights that minimise the objective, 1/n kept, by the normal equations."""
        x, y = self.inputs[:100], self.labels[:100]
        kept = torch.arange(100) != (-1 if without is None else without)
        hessian = 2 / 100 * x[kept].mT @ x[kept] + RIDGE_PENALTY * torch.eye(11)
        return torch.linalg.solve(hessian, 2 / 100 * x[kept].mT @ y[kept])

    def mean_test_loss(self, weights: Tensor) -> Tensor:
        """The oracle's measurement."""
        rows = list(RIDGE_TEST)
        return (self.inputs[rows] @ weights - self.labels[rows]).square().mean()

    def model(self) -> nn.Linear:
        """The fitted model; its eleven weights include the bias."""
        module = nn.Linear(11, 1, bias=False, dtype=torch.float64)
        with torch.no_grad():
            module.weight.copy_(self.optimum()[None])
        return module.eval()


def softmax_scores(
    train: Tensor,
    labels: Tensor,
    test: Tensor,
    test_labels: Tensor,
    weight: Tensor,
    bias: Tensor,
    ridge: float,
) -> Tensor:
    """All exact scores of softmax regression from explicit blocks of the Hessian, shape (test, train)."""
    x = torch.cat([train, torch.ones(len(train), 1)], dim=1).double()
    t = torch.cat([test, torch.ones(len(test), 1)], dim=1).double()
    w = torch.cat([weight, bias[:, None]], dim=1).double()
    (n, d), c = x.shape, len(w)
    p = (x @ w.mT).softmax(dim=1)
    hessian = ridge * torch.eye(c * d)
    for a in range(c):
        for b in range(c):
            scale = p[:, a] * (float(a == b) - p[:, b])
            hessian[a * d : (a + 1) * d, b * d : (b + 1) * d] += x.mT @ torch.diag(scale) @ x / n
    hot = torch.eye(c)
    train_gradients = torch.stack([torch.outer(p[i] - hot[labels[i]], x[i]).flatten() for i in range(n)])
    q = (t @ w.mT).softmax(dim=1)
    test_gradients = torch.stack([torch.outer(q[j] - hot[test_labels[j]], t[j]).flatten() for j in range(len(t))])
    return test_gradients @ torch.linalg.solve(hessian, train_gradients.mT) / n


def relative(got: Tensor, expected: Tensor) -> float:
    """Relative difference in norm."""
    return float((got.double() - expected.double()).norm() / expected.double().norm())


def damped_gauss_newton_scores(project: Project, damping: float, test_ids: Sequence[int]) -> Tensor:
    """Scores of a classifier's losses with an L2 penalty on all parameters, shape ``(test, train)``.

    Dense (1/n) sum_i J_i^T (diag(p_i) - p_i p_i^T) J_i + (weight_decay + damping) I, one plain backward pass a
    logit and row through the user's own module, solved by numpy.
    """
    parameters = [p for p in project.model.parameters() if p.requires_grad]
    size, n = sum(p.numel() for p in parameters), len(project.train)
    curvature = (project.task.weight_decay + damping) * np.eye(size)
    gradients = np.empty((n, size))
    for i in range(n):
        gradients[i], jacobian, p = _by_autograd(project, project.train[i], parameters)
        curvature += jacobian.T @ (np.diag(p) - np.outer(p, p)) @ jacobian / n
    tested = np.stack([_by_autograd(project, project.test[i], parameters)[0] for i in test_ids])
    return torch.from_numpy(tested @ np.linalg.solve(curvature, gradients.T) / n)


def _by_autograd(
    project: Project, item: tuple[Tensor, int], parameters: list[Tensor]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Loss gradient, logits' Jacobian and probabilities of one row."""
    inputs, label = item
    logits = project.model(inputs[None])[0]
    loss = -torch.log_softmax(logits, dim=0)[label]
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(value, parameters, retain_graph=True)]).numpy()
        for value in (loss, *logits)
    ]
    return rows[0], np.stack(rows[1:]), torch.softmax(logits, dim=0).detach().numpy()
