"""What must change nothing: order, batches, threads - and what the engine must leave alone: the user's model."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from influence_core import predictions
from influence_core.curvature import dense
from influence_core.methods import Exact, exact
from influence_core.methods.exact import Exact as ExactMethod
from influence_core.project import Project
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


@pytest.mark.parametrize("name", ["mlp", "head"])
def test_a_duplicate_row_gets_the_same_score(name: str) -> None:
    project = samples.sample(name)
    doubled = replace(project, train=[*project.train, project.train[4]])
    scores = METHOD.fit(doubled).scores(range(6)).values
    assert torch.allclose(scores[:, 4], scores[:, 30], rtol=1e-12)


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


class Fragile(nn.Module):
    """Raises in the middle of a pass, as a bug or Ctrl-C would."""

    def __init__(self, error: type[BaseException] | None, after: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(5)
        self.out = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
        self.error, self.left = error, [after]
        self.out[0].weight.requires_grad_(False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Fragile:
        twin = Fragile(self.error, 0)
        twin.left = self.left
        twin.load_state_dict(copy.deepcopy(self.state_dict(), memo))
        for mine, theirs in zip(self.parameters(), twin.parameters(), strict=True):
            theirs.requires_grad_(mine.requires_grad)
        return twin.train(self.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left[0] -= 1
        if self.error is not None and self.left[0] < 0:
            msg = "in the middle"
            raise self.error(msg)
        return self.out(self.norm(x))


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("after", [0, 3, 9])
def test_the_users_model_is_never_modified(error: type[BaseException] | None, after: int) -> None:
    torch.manual_seed(1)
    model = Fragile(error, after).eval()
    calls: list[int] = []
    model.out.register_forward_hook(lambda *_: calls.append(1))
    project = Project("fragile", model, samples.sample("mlp").task, samples.rows(12), samples.rows(3))
    before = _snapshot(model)
    try:
        ExactMethod(damping=5.0).fit(project).scores(range(3))
    except BaseException as caught:
        if error is None:
            raise caught from None
    assert _same(before, _snapshot(model))
    assert not calls


def _snapshot(model: nn.Module) -> dict[str, Any]:
    return {
        "state": copy.deepcopy(model.state_dict()),
        "identity": [id(p) for p in model.parameters()] + [id(b) for b in model.buffers()],
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "grad": [p.grad is None for p in model.parameters()],
        "mode": [m.training for m in model.modules()],
        "hooks": [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()],
        "types": [type(m) for m in model.modules()],
    }


def _same(before: dict[str, Any], after: dict[str, Any]) -> bool:
    states = before.pop("state"), after.pop("state")
    return before == after and all(torch.equal(states[0][name], states[1][name]) for name in states[0])


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
