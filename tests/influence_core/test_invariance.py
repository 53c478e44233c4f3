"""What must change nothing: order, batches, threads - and what the engine must leave alone: the user's model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from influence_core import predictions
from influence_core.curvature import dense
from influence_core.methods import Exact, exact
from tests import oracles
from tests.influence_core import samples

METHOD = Exact(damping=20.0)  # enough for the Hessian of every sample


@pytest.mark.parametrize("name", samples.NAMES)
def test_permuting_the_training_data_permutes_the_scores(name: str) -> None:
    project = samples.sample(name)
    order = torch.randperm(30).tolist()
    shuffled = replace(project, train=[project.train[i] for i in order])
    plain = METHOD.fit(project).scores(range(6)).values
    assert oracles.relative(METHOD.fit(shuffled).scores(range(6)).values, plain[:, order]) < 1e-10


@pytest.mark.parametrize("name", samples.NAMES)
@pytest.mark.parametrize("curvature", ["hessian", "gauss-newton"])
def test_batches_and_chunks_change_nothing(name: str, curvature: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    project = samples.sample(name)
    method = Exact(damping=20.0, curvature=curvature)
    plain = method.fit(project)
    for module, constant, value in (
        (dense, "ROWS", 7), (dense, "COLUMNS", 3), (predictions, "BATCH", 4), (exact, "ROWS", 11),
    ):  # fmt: skip
        monkeypatch.setattr(module, constant, value)
    chunked = method.fit(project)
    one_by_one = torch.cat([chunked.scores([i]).values for i in range(6)])
    assert oracles.relative(one_by_one, plain.scores(range(6)).values) < 1e-10
    assert oracles.relative(chunked.self_influence(), plain.self_influence()) < 1e-10


@pytest.fixture
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("name", ["mlp", "head", "convolved"])
def test_the_number_of_threads_changes_nothing(name: str) -> None:
    single = METHOD.fit(samples.sample(name)).scores(range(6)).values
    torch.set_num_threads(2)
    assert oracles.relative(METHOD.fit(samples.sample(name)).scores(range(6)).values, single) < 1e-10


@pytest.mark.parametrize("name", samples.NAMES)
def test_directional_derivatives_are_gradients_along_the_directions(name: str) -> None:
    project = samples.sample(name)
    model = METHOD.prepare(project).model
    _, batch = next(model.batches(project.train, 30))
    directions = torch.randn(model.vector.size, 3)
    along = model.loss_gradients(batch) @ directions
    assert oracles.relative(model.directional_losses(batch, directions), along) < 1e-10


def test_frozen_parameters_are_counted_but_not_attributed() -> None:
    fit = METHOD.prepare(samples.sample("normed"))
    assert (fit.model.vector.size, fit.model.vector.total) == (12 + 21, 36 + 12 + 21)
    chosen = METHOD.prepare(replace(samples.sample("mlp"), attributed=("2.*",)))
    assert chosen.model.vector.size == 15
    assert chosen.head is not None  # the last layer on the fixed features of the first


def test_a_tied_weight_counts_once() -> None:
    assert METHOD.prepare(samples.sample("tied")).model.vector.size == 25 + 5 + 15
