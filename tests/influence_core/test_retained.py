"""Products that keep what they share are the products that do not, and only where they fit into memory."""

from __future__ import annotations

import pytest
import torch

from influence_core.curvature import retained
from influence_core.curvature.dense import Blocks, GaussNewton
from influence_core.curvature.retained import RetainedGaussNewton, gauss_newton
from influence_core.gradients import FunctionalModel
from tests import oracles
from tests.influence_core import samples


@pytest.mark.parametrize("name", samples.NAMES)
def test_products_are_those_of_the_plain_curvature(name: str) -> None:
    project = samples.sample(name)
    model = FunctionalModel.of(project)
    for blocks in (Blocks(512, 4096), Blocks(5, 7)):
        kept = gauss_newton(model, project.train, blocks)
        assert isinstance(kept, RetainedGaussNewton)
        assert (kept.size, kept.n) == (model.vector.size, 30)
        dense = GaussNewton(model, project.train).matrix()
        vectors = torch.randn(model.vector.size, 3)
        for _ in range(2):  # what is kept is used again
            assert oracles.relative(kept.matvec(vectors), dense @ vectors) < 1e-10
        some = [3, 1, 20]
        assert torch.equal(kept.matvec(vectors, some), GaussNewton(model, project.train, blocks).matvec(vectors, some))


def test_the_model_is_run_once_for_all_products(monkeypatch: pytest.MonkeyPatch) -> None:
    project = samples.sample("mlp")
    runs: list[int] = []
    outputs = FunctionalModel.outputs

    def counted(self: FunctionalModel, *arguments: torch.Tensor) -> torch.Tensor:
        runs.append(1)
        return outputs(self, *arguments)

    kept = gauss_newton(FunctionalModel.of(project), project.train, Blocks(512, 4096))
    monkeypatch.setattr(FunctionalModel, "outputs", counted)
    for _ in range(5):
        kept.matvec(torch.ones(kept.size, 2))
    assert len(runs) == 1


def test_without_the_memory_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    project = samples.sample("mlp")
    model = FunctionalModel.of(project)
    monkeypatch.setattr(retained, "free_bytes", lambda _: 1_000)
    assert isinstance(gauss_newton(model, project.train, Blocks(512, 4096)), GaussNewton)
    monkeypatch.setattr(retained, "free_bytes", lambda _: None)
    assert isinstance(gauss_newton(model, project.train, Blocks(512, 4096)), RetainedGaussNewton)
