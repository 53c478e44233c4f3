"""Truths that do not come from this project: closed forms written out by hand, and brute-force refits."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import logsumexp, softmax
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
    return _solved(project, curvature, gradients, parameters, test_ids)


def damped_hessian_scores(project: Project, damping: float, test_ids: Sequence[int]) -> Tensor:
    """The same with the Hessian of the mean loss, one double backward pass a parameter through the user's module."""
    parameters = [p for p in project.model.parameters() if p.requires_grad]
    n = len(project.train)
    gradients = np.stack([_by_autograd(project, project.train[i], parameters)[0] for i in range(n)])
    losses = [-torch.log_softmax(logits, dim=0)[label] for logits, label in _logits(project)]
    slopes = torch.autograd.grad(sum(losses) / n, parameters, create_graph=True)
    slope = torch.cat([g.flatten() for g in slopes])
    rows = [torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True) for value in slope]
    zeros = [torch.zeros_like(p) for p in parameters]
    hessian = np.stack(
        [torch.cat([(z if g is None else g).flatten() for g, z in zip(row, zeros, strict=True)]) for row in rows]
    )
    curvature = hessian + (project.task.weight_decay + damping) * np.eye(len(hessian))
    return _solved(project, curvature, gradients, parameters, test_ids)


def _solved(
    project: Project, curvature: np.ndarray, gradients: np.ndarray, parameters: list[Tensor], test_ids: Sequence[int]
) -> Tensor:
    tested = np.stack([_by_autograd(project, project.test[i], parameters)[0] for i in test_ids])
    return torch.from_numpy(tested @ np.linalg.solve(curvature, gradients.T) / len(gradients))


def _logits(project: Project) -> Iterator[tuple[Tensor, int]]:
    for i in range(len(project.train)):
        yield _run(project, project.train[i])


def _run(project: Project, item: Any) -> tuple[Tensor, int]:
    """Logits and label of one row, a pair or a dict, through the user's own module."""
    if isinstance(item, dict):
        given = {name: value[None] for name, value in item.items() if name != "labels"}
        return project.model(**given)["logits"][0], int(item["labels"])
    inputs, label = item
    return project.model(inputs[None])[0], label


def _by_autograd(project: Project, item: Any, parameters: list[Tensor]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Loss gradient, logits' Jacobian and probabilities of one row."""
    logits, label = _run(project, item)
    loss = -torch.log_softmax(logits, dim=0)[label]
    rows = [torch.cat([g.flatten() for g in _gradients(value, parameters)]).numpy() for value in (loss, *logits)]
    return rows[0], np.stack(rows[1:]), torch.softmax(logits, dim=0).detach().numpy()


def _gradients(value: Tensor, parameters: list[Tensor]) -> list[Tensor]:
    """Zero for what the value does not depend on."""
    found = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]


def damped_newton_scores(project: Project, damping: float, steps: int, test_ids: Sequence[int]) -> Tensor:
    """Leave-one-out changes of a classifier's test losses by one or two Newton steps, shape ``(test, train)``.

    The Gauss-Newton matrix of ``damped_gauss_newton_scores`` with each row's own part taken out and inverted by itself,
    numpy all through; the gradients at the moved parameters by plain backward passes through the user's own module.
    The same steps with nothing removed are subtracted.
    """
    parameters = [p for p in project.model.parameters() if p.requires_grad]
    n, start = len(project.train), _flat(parameters)
    known = [_by_autograd(project, item, parameters) for item in project.train]
    parts = np.stack([jacobian.T @ (np.diag(p) - np.outer(p, p)) @ jacobian / n for _, jacobian, p in known])
    whole = parts.sum(axis=0) + (project.task.weight_decay + damping) * np.eye(len(start))

    def moved(without: int | None) -> np.ndarray:
        inverse = np.linalg.inv(whole if without is None else whole - parts[without])
        at = start
        for _ in range(steps):
            _put(parameters, at)
            gradients = [_by_autograd(project, project.train[i], parameters)[0] for i in range(n) if i != without]
            at = at - inverse @ (np.sum(gradients, axis=0) / n + project.task.weight_decay * at)
        return at - start

    def losses(at: np.ndarray) -> np.ndarray:
        _put(parameters, at)
        found = [_run(project, project.test[i]) for i in test_ids]
        return np.array([float(-torch.log_softmax(logits.detach(), dim=0)[label]) for logits, label in found])

    try:
        drift, before = moved(None), losses(start)
        changes = [losses(start + moved(i) - drift) - before for i in range(n)]
    finally:
        _put(parameters, start)
    return torch.from_numpy(np.stack(changes, axis=1))


def _flat(parameters: Sequence[Tensor]) -> np.ndarray:
    return torch.cat([p.detach().reshape(-1) for p in parameters]).numpy().copy()


def _put(parameters: Sequence[Tensor], values: np.ndarray) -> None:
    """Write the values into the parameters."""
    with torch.no_grad():
        for p, part in zip(parameters, np.split(values, np.cumsum([p.numel() for p in parameters])[:-1]), strict=True):
            p.copy_(torch.from_numpy(part).view_as(p))


def softmax_refit(project: Project, removed: Sequence[int]) -> Tensor:
    """Test losses of softmax regression without some rows: Newton's method in numpy on all weights, 1/n kept."""
    (x, y), (t, labels) = (_table(split) for split in (project.train, project.test))
    n, decay, kept = len(x), project.task.weight_decay, np.setdiff1d(np.arange(len(x)), list(removed))
    c, d = project.task.n_classes, x.shape[1]
    x, hot = x[kept], np.eye(c)[y[kept]]

    def value(weights: np.ndarray) -> float:
        logits = x @ weights.T
        return float(
            (logsumexp(logits, axis=1) - (logits * hot).sum(axis=1)).sum() / n + decay / 2 * (weights**2).sum()
        )

    weights = _flat(list(project.model.parameters()))  # weight, then bias
    weights = np.hstack([weights[: c * (d - 1)].reshape(c, d - 1), weights[c * (d - 1) :, None]]).astype(np.float64)
    for _ in range(100):
        p = softmax(x @ weights.T, axis=1)
        gradient = (p - hot).T @ x / n + decay * weights
        if np.linalg.norm(gradient) < 1e-12:
            return torch.from_numpy(logsumexp(t @ weights.T, axis=1) - (t @ weights.T)[np.arange(len(t)), labels])
        hessian = decay * np.eye(c * d)
        for a, b in itertools.combinations_with_replacement(range(c), 2):
            spread = p[:, a] * ((a == b) - p[:, b])
            block = x.T @ (spread[:, None] * x) / n
            hessian[a * d : (a + 1) * d, b * d : (b + 1) * d] += block
            hessian[b * d : (b + 1) * d, a * d : (a + 1) * d] += block.T if a != b else 0
        step, size = np.linalg.solve(hessian, gradient.ravel()).reshape(c, d), 1.0
        while value(weights - size * step) > value(weights) + 1e-13 and size > 1e-4:
            size /= 2
        weights = weights - size * step
    msg = f"The refit stopped at a gradient norm of {np.linalg.norm(gradient):.1e}."
    raise RuntimeError(msg)


def _table(dataset: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rows with a last column of ones, and class numbers."""
    inputs = np.stack([np.asarray(x, dtype=np.float64) for x, _ in dataset])
    return np.hstack([inputs, np.ones((len(inputs), 1))]), np.array([int(y) for _, y in dataset])
