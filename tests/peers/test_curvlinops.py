"""Curvature operators against curvlinops in float64, on nets with every kind of layer."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
import torch
from curvlinops import GGNLinearOperator, HessianLinearOperator
from torch import nn

from influence_core.curvature.dense import GaussNewton, Hessian
from influence_core.gradients import FunctionalModel
from influence_core.project import batches
from tests import oracles
from tests.influence_core import samples


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["mlp", "tied", "normed", "convolved", "head"])
@pytest.mark.parametrize("kind", ["hessian", "gauss-newton"])
def test_the_dense_curvature_equals_curvlinops(name: str, kind: str) -> None:
    project = samples.sample(name)
    model = FunctionalModel.of(project)
    ours, theirs = (Hessian, HessianLinearOperator) if kind == "hessian" else (GaussNewton, GGNLinearOperator)
    (_, batch), *_ = batches(project.train, 30)
    named = {n: p for n, p in project.model.named_parameters() if p.requires_grad}
    parameters = named if _wants_names() else list(named.values())
    operator = theirs(project.model, nn.CrossEntropyLoss(), parameters, [batch])
    expected = operator @ torch.eye(model.vector.size)
    penalty = 0.05 * torch.eye(model.vector.size)
    matrix = ours(model, project.train).matrix()
    assert oracles.relative(matrix - penalty, expected) < 1e-10
    vectors = torch.randn(model.vector.size, 3)
    assert oracles.relative(ours(model, project.train).matvec(vectors), matrix @ vectors) < 1e-10


def _wants_names() -> bool:
    return "dict" in str(inspect.signature(HessianLinearOperator.__init__).parameters["params"].annotation)
