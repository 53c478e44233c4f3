"""The small relative of mnist-cnn, and the second way to its damped Gauss-Newton scores."""

from __future__ import annotations

import pytest
import torch

from influence_core.gradients import FunctionalModel
from influence_core.methods import Exact
from tests import oracles
from tests.influence_core import samples
from tests.influence_core.cousin import cousin


@pytest.mark.parametrize("damping", [0.0, 1e-2])
def test_the_oracle_agrees_with_the_exact_method(damping: float) -> None:
    project = samples.sample("mlp")
    expected = oracles.damped_gauss_newton_scores(project, damping, [0, 3, 5])
    scores = Exact(damping=damping, curvature="gauss-newton").fit(project).scores([0, 3, 5]).values
    assert oracles.relative(scores, expected) < 1e-9


def test_the_cousin_is_small_and_near_its_optimum() -> None:
    project = cousin()
    assert sum(p.numel() for p in project.model.parameters()) == 2034
    assert {p.dtype for p in project.model.parameters()} == {torch.float64}
    assert (len(project.train), len(project.test)) == (600, 20)
    assert float(FunctionalModel.of(project).objective_gradient(project.train).norm()) < 1e-2
    inputs = torch.stack([x for x, _ in project.train])
    labels = torch.tensor([y for _, y in project.train])
    assert float((project.model(inputs).argmax(dim=1) == labels).double().mean()) > 0.95


def test_the_cousin_is_the_same_on_every_run() -> None:
    again = cousin.__wrapped__()
    for one, two in zip(cousin().model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, two)
