"""Products with the Hessian against plain double backward and finite differences, where torch.func can be wrong.

``jacrev`` inside another derivative differentiates a layer norm wrongly (torch 2.13), so ``torch.func.hessian`` is no
truth for nets that have one.
"""

from __future__ import annotations

import pytest
import torch

from influence_core.curvature.dense import Blocks, Hessian
from influence_core.gradients import FunctionalModel
from influence_core.project import batches
from influence_core.task import Batch
from tests import oracles
from tests.influence_core import samples


@pytest.mark.parametrize("name", samples.NAMES)
def test_hessian_products_equal_double_backward_and_finite_differences(name: str) -> None:
    project = samples.sample(name)
    model = FunctionalModel.of(project)
    _, batch = next(batches(project.train, 30))
    vectors = torch.randn(model.vector.size, 3)
    products = Hessian(model, project.train, Blocks(30, 60)).matvec(vectors)
    for vector, product in zip(vectors.mT, products.mT, strict=True):
        assert oracles.relative(product, _double_backward(model, batch, vector)) < 1e-10
        step = 1e-5 / float(vector.norm())
        ahead, behind = (_gradient(model, batch, model.theta + s * step * vector) for s in (1, -1))
        assert oracles.relative(product, (ahead - behind) / (2 * step)) < 1e-5


def _objective(model: FunctionalModel, batch: Batch, theta: torch.Tensor) -> torch.Tensor:
    return model.losses(theta, batch).mean() + model.penalty(theta)


def _gradient(model: FunctionalModel, batch: Batch, theta: torch.Tensor) -> torch.Tensor:
    theta = theta.clone().requires_grad_()
    return torch.autograd.grad(_objective(model, batch, theta), theta)[0]


def _double_backward(model: FunctionalModel, batch: Batch, vector: torch.Tensor) -> torch.Tensor:
    theta = model.theta.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(_objective(model, batch, theta), theta, create_graph=True)
    return torch.autograd.grad(gradient @ vector, theta)[0]
