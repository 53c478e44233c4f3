"""The regulariser's curvature: read off where it is diagonal, differentiated where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from influence_core.gradients import FunctionalModel
from influence_core.task import ClassificationTask, RegressionTask, Task, inputs_and_labels
from tests import oracles
from tests.influence_core import samples


@dataclass(frozen=True)
class Coupled(Task):
    """A regulariser that ties every parameter to every other, and is not quadratic."""

    def losses(self, outputs: Tensor, batch: object) -> Tensor:
        return torch.nn.functional.cross_entropy(outputs, inputs_and_labels(batch)[1], reduction="none")

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor:
        total = torch.stack([p.sum() for p in parameters.values()]).sum()
        return total.square() / 2 + torch.stack([p.pow(4).sum() for p in parameters.values()]).sum()


@dataclass(frozen=True)
class Curved(Coupled):
    """Diagonal, but different for every parameter."""

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor:
        return torch.stack([p.pow(4).sum() for p in parameters.values()]).sum()


@dataclass(frozen=True)
class Faint(Coupled):
    """Ties a few parameters a millionth as strongly as it shrinks the others."""

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor:
        return 1e4 * parameters["0.weight"].square().sum() + 0.01 * parameters["2.bias"].sum().square()


@pytest.mark.parametrize(
    ("task", "diagonal"),
    [
        (ClassificationTask(3, 0.05), True),
        (ClassificationTask(3, 0.05, penalise_intercept=False), True),
        (ClassificationTask(3), True),
        (RegressionTask(0.1), True),
        (Curved(), True),
        (Coupled(), False),
        (Faint(), False),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_products_equal_the_dense_hessian(task: Task, diagonal: bool, dtype: torch.dtype) -> None:
    model = FunctionalModel.of(replace(samples.sample("mlp"), task=task), dtype)
    dense = torch.func.hessian(model.penalty)(model.theta)
    directions = torch.randn(model.vector.size, 3, dtype=dtype)
    products = model.penalty_hessian_products(directions)
    expected = dense @ directions
    assert float((products - expected).norm()) <= (1e-12 if dtype is torch.float64 else 1e-4) * float(expected.norm())
    assert (model.penalty_diagonal is not None) == diagonal
    assert oracles.relative(products + 1, expected + 1) < 1e-4
