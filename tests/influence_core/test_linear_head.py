"""The closed-form curvature of linear heads, and the fit that stands on it, against scikit-learn."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as SklearnRidge
from torch import Tensor

from influence_core.curvature.linear_head import contrasts
from influence_core.removal.head_fit import HeadProblem, fit_head, ridge_of
from influence_core.task import ClassificationTask, RegressionTask
from tests import oracles


def problem_of(x: Tensor, y: Tensor, task: ClassificationTask | RegressionTask, basis: Tensor) -> HeadProblem:
    return HeadProblem(task, x, y, torch.ones(len(x)), ridge_of(task, x.shape[1], intercept=False), basis)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 30), d=st.integers(1, 6), c=st.integers(2, 5), seed=st.integers(0, 10**6))
def test_blocks_of_the_softmax_hessian(n: int, d: int, c: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    z = torch.randn(n, c, generator=generator, dtype=torch.float64)
    y, p = torch.randint(c, (n,), generator=generator), z.softmax(1)
    task = ClassificationTask(c, 0.3)
    head = problem_of(x, y, task, torch.eye(c, dtype=torch.float64)).curvature_at(z)
    matrix = head.matrix().view(c, d, c, d)
    for a in range(c):
        for b in range(c):
            expected = x.mT @ torch.diag(p[:, a] * (float(a == b) - p[:, b])) @ x / n
            expected = expected + 0.3 * torch.eye(d, dtype=torch.float64) * (a == b)
            assert torch.allclose(matrix[a, :, b], expected, atol=1e-12)
    vectors = torch.randn(c * d, 3, generator=generator, dtype=torch.float64)
    assert torch.allclose(head.matvec(vectors), head.matrix() @ vectors, atol=1e-12)
    basis = contrasts(c)
    spread = torch.kron(basis, torch.eye(d, dtype=torch.float64))
    reduced = problem_of(x, y, task, basis).curvature_at(z)
    assert torch.allclose(reduced.matrix(), spread.mT @ head.matrix() @ spread, atol=1e-12)


def test_contrasts_are_orthonormal_and_blind_to_a_shift() -> None:
    basis = contrasts(7)
    assert torch.allclose(basis.mT @ basis, torch.eye(6), atol=1e-14)
    assert torch.allclose(basis.sum(0), torch.zeros(6), atol=1e-14)


def test_regression_curvature_is_two_over_n_gram() -> None:
    x, y = torch.randn(20, 4), torch.randn(20)
    head = problem_of(x, y, RegressionTask(0.1), torch.eye(1)).curvature_at(torch.zeros(20, 1))
    assert torch.allclose(head.matrix(), 2 / 20 * x.mT @ x + 0.1 * torch.eye(4))


def test_softmax_fit_equals_scikit_learn() -> None:
    x, y = torch.randn(150, 4), torch.randint(3, (150,))
    weights = torch.rand(150) + 0.5
    model = fit_head(x, y, ClassificationTask(3, 0.02, penalise_intercept=False), weights)
    theirs = LogisticRegression(C=1 / (150 * 0.02), tol=1e-12, max_iter=10_000, solver="newton-cholesky")
    theirs.fit(x.numpy(), y.numpy(), sample_weight=weights.numpy())
    assert oracles.relative(model.weight.detach(), torch.tensor(theirs.coef_)) < 1e-7


def test_ridge_fit_equals_scikit_learn() -> None:
    x, y = torch.randn(50, 4), torch.randn(50)
    model = fit_head(x, y, RegressionTask(0.2, penalise_intercept=False))
    theirs = SklearnRidge(alpha=0.2 * 50 / 2).fit(x.numpy(), y.numpy())
    assert oracles.relative(model.weight.detach()[0], torch.tensor(theirs.coef_)) < 1e-10
    assert oracles.relative(model.bias.detach(), torch.tensor([theirs.intercept_])) < 1e-10
