"""A frozen trunk is run once, and nothing changes but the time; in doubt it is run every time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from influence_core import from_huggingface
from influence_core.gradients import FunctionalModel
from influence_core.methods import ConjugateGradients, Exact, Lissa
from influence_core.project import Project
from influence_core.replay import Trunked
from influence_core.task import ClassificationTask
from influence_core.trunk import with_trunk
from tests import oracles
from tests.influence_core import samples
from tests.influence_core import tiny_transformers as tiny

TASK = ClassificationTask(3, weight_decay=0.05)


class Pictures(nn.Module):
    """A convolutional trunk with batch norm, whose ReLU works in place, and two layers behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.Flatten())
        self.top = nn.Sequential(nn.Linear(12, 4), nn.Tanh(), nn.Linear(4, 3))
        self.calls = 0
        self.trunk.register_forward_hook(self.count)

    def count(self, *_: Any) -> None:
        self.calls += 1

    def forward(self, x: Tensor) -> Tensor:
        return self.top(self.trunk(x))


class Wired(nn.Module):
    """A frozen layer, an attributed one and a head, wired as the test says."""

    def __init__(self, wire: Callable[[Wired, Tensor], Tensor]) -> None:
        super().__init__()
        self.frozen = nn.Linear(5, 5)
        self.first = nn.Linear(5, 5)
        self.out = nn.Linear(5, 3)
        self.wire = wire

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.wire(self, x)))


class Summed(nn.Module):
    """Over the batch: no row an example."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=0)


def pictures() -> Project:
    model = Pictures()
    model.trunk.requires_grad_(requires_grad=False)
    return samples.trained(model, TASK, samples.rows(30, (1, 3, 3)), samples.rows(6, (1, 3, 3)), steps=60)


def texts(*attributed: str) -> Project:
    train, test = tiny.text_rows(24), tiny.text_rows(5, seed=1)
    return from_huggingface(
        tiny.bert(), tiny.tokenizer(), train, test, weight_decay=0.05, attributed=attributed or ("*pooler*", "class*")
    )


def wired(wire: Callable[[Wired, Tensor], Tensor], frozen: nn.Module | None = None) -> Project:
    model = Wired(wire)
    if frozen is not None:
        model.frozen = frozen
    project = samples.trained(model, TASK, samples.rows(20), samples.rows(4), steps=5)
    return replace(project, attributed=("first*", "out*"))


def kept(project: Project) -> dict[str, list[str]]:
    """Modules that are replayed, and what is kept of their tensors."""
    model, _ = with_trunk(FunctionalModel.of(project), project.train)
    return {replayed.name: [part.keep for part in replayed.parts] for replayed in model.trunk}


PROJECTS = {
    "pictures": pictures,
    "BERT's head": texts,
    "BERT's last layer": lambda: texts("bert.encoder.layer.1*", "bert.pooler*"),
    "wired": lambda: wired(lambda m, x: m.first(m.frozen(x))),
}


def test_what_is_read_of_a_trunk_is_all_that_is_kept() -> None:
    assert kept(pictures()) == {"trunk": ["all"]}
    assert kept(texts()) == {"bert.embeddings": ["nothing"], "bert.encoder": ["first"]}
    assert kept(texts("bert.encoder.layer.1*")) == {"bert.embeddings": ["nothing"], "bert.encoder.layer.0": ["all"]}


@pytest.mark.parametrize("name", PROJECTS)
@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_every_derivative_is_the_same_with_and_without_it(name: str, dtype: torch.dtype, rounding: float) -> None:
    project = PROJECTS[name]()
    plain = FunctionalModel.of(project, dtype)
    model, train = with_trunk(plain, project.train)
    assert model.trunk
    (_, batch), (_, given) = next(plain.batches(project.train, 9)), next(model.batches(train, 9))
    assert isinstance(given, Trunked)
    directions = torch.randn(plain.vector.size, 3, dtype=dtype)
    for product in ("loss_hessian_products", "loss_gauss_newton_products", "directional_losses"):
        expected = getattr(plain, product)(batch, directions)
        assert oracles.relative(getattr(model, product)(given, directions), expected) < rounding
    for derivative in ("loss_gradients", "output_jacobians", "output_curvature"):
        assert oracles.relative(getattr(model, derivative)(given), getattr(plain, derivative)(batch)) < rounding
    expected = plain.objective_gradient(project.train)
    assert oracles.relative(model.objective_gradient(train), expected) < rounding


@pytest.mark.parametrize("name", PROJECTS)
@pytest.mark.parametrize(
    ("method", "rounding"),
    [
        (Exact(damping=0.1, curvature="gauss-newton"), 1e-10),
        (ConjugateGradients(damping=0.1, tolerance=1e-12, precision="float64"), 1e-10),
        (ConjugateGradients(damping=0.1, tolerance=1e-5), 1e-5),
        (Lissa(damping=0.1, tolerance=1e-12, precision="float64", finish="cg"), 1e-10),
    ],
    ids=["exact", "cg in float64", "cg in float32", "lissa"],
)
def test_every_score_is_the_same_with_and_without_it(
    name: str, method: Any, rounding: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = PROJECTS[name]()
    found = method.fit(project).scores(range(4)).values
    for home in ("exact", "iterative"):
        monkeypatch.setattr(f"influence_core.methods.{home}.with_trunk", lambda model, rows: (model, rows))
    assert oracles.relative(found, method.fit(project).scores(range(4)).values) < rounding


def test_the_trunk_runs_no_more_once_it_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    project = pictures()
    fitted = ConjugateGradients(damping=0.1).prepare(project)
    convolutions: list[int] = []
    model, _ = fitted.trunked
    inner = model.module.get_submodule("trunk.0")
    inner.register_forward_hook(lambda _, args, __: convolutions.append(len(args[0])))
    fitted.curvature.matvec(torch.randn(model.vector.size, 4, dtype=torch.float32))
    assert convolutions == []
    fitted.model.outputs(fitted.model.theta, next(fitted.model.batches(project.train, 5))[1])
    assert convolutions == [5]


def test_a_layer_behind_an_attributed_one_is_never_stored() -> None:
    assert kept(wired(lambda m, x: m.frozen(m.first(x)))) == {}
    both = kept(texts("bert.encoder.layer.0*"))
    assert not any("layer.1" in name or "pooler" in name for name in both)


def test_a_dependence_that_gradients_do_not_see_is_seen() -> None:
    assert kept(wired(lambda m, x: m.first(m.frozen(m.first(x).detach())))) == {}


def test_a_weight_that_is_tied_to_an_attributed_one_is_not_frozen() -> None:
    project = replace(wired(lambda m, x: m.first(m.frozen(x))), attributed=("first*", "out*"))
    project.model.wire = lambda m, x: m.first(m.late(x))
    project.model.late = nn.Linear(5, 5)
    assert kept(project) == {"late": ["all"]}
    project.model.late.weight = project.model.first.weight
    assert [name for name, _ in project.model.named_parameters() if "late" in name] == ["late.bias"]
    assert kept(project) == {}


DOUBTS: dict[str, Callable[[], Project]] = {
    "called twice": lambda: wired(lambda m, x: m.first(m.frozen(m.frozen(x)))),
    "random": lambda: wired(lambda m, x: m.first(m.frozen(x) + 0 * torch.randn(5))),
    "no row an example": lambda: wired(
        lambda m, x: m.first(x + 0 * m.frozen(x)), nn.Sequential(nn.Linear(5, 5), Summed())
    ),
    "changed in place": lambda: wired(lambda m, x: m.first(m.frozen(x).mul_(2))),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_in_doubt_nothing_is_stored(doubt: str) -> None:
    project = DOUBTS[doubt]()
    if doubt == "no row an example":  # its first layer is fine, and read by the sum
        assert kept(project) == {"frozen.0": ["all"]}
    else:
        assert kept(project) == {}
    expected = FunctionalModel.of(project).objective_gradient(project.train)
    model, train = with_trunk(FunctionalModel.of(project), project.train)
    assert oracles.relative(model.objective_gradient(train), expected) < 1e-10


def test_a_row_that_reads_more_than_the_sample_did_is_noticed() -> None:
    def wire(model: Wired, x: Tensor) -> Tensor:
        tokens = model.frozen(x[:, None] + torch.arange(3.0)[:, None])
        return model.first(torch.where(x[:, :1] > 5, tokens[:, 1], tokens[:, 0]))

    project = wired(wire)
    assert kept(project) == {"frozen": ["first"]}
    inputs, label = project.train[17]
    project.train[17] = (inputs + torch.eye(5)[0] * 10, label)
    assert kept(project) == {}


def test_nothing_is_stored_where_all_is_attributed_or_memory_does_not_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept(samples.sample("mlp")) == {}
    assert kept(samples.sample("attention")) == {}
    monkeypatch.setattr("influence_core.trunk.STACKED_BYTES", 24 * 8 * 8 - 1)
    assert kept(texts()) == {}
    monkeypatch.setattr("influence_core.trunk.STACKED_BYTES", 24 * 8 * 8)
    assert kept(texts())


def test_the_users_model_is_left_as_it_was() -> None:
    project = texts()
    before, forwards = tiny.state(project.model), [vars(layer).get("forward") for layer in project.model.modules()]
    with_trunk(FunctionalModel.of(project), project.train)
    assert tiny.same(before, tiny.state(project.model))
    assert forwards == [vars(layer).get("forward") for layer in project.model.modules()] == [None] * len(forwards)
