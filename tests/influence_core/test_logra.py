"""LoGra: exact at full rank, exact in its subspace at any rank, and true about what it loses."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import demo_models
from influence_core.adapters.hugging_face import from_huggingface
from influence_core.curvature.dense import GaussNewton
from influence_core.curvature.factored import FactoredModel
from influence_core.curvature.projection import Subspace, coordinates
from influence_core.errors import CurvatureError, MethodError
from influence_core.gradients import FunctionalModel
from influence_core.methods import Exact, Logra, logra
from influence_core.methods.attributor import ExactAttributor
from influence_core.methods.base import run_stages
from influence_core.project import SGD, Project
from influence_core.store import Workspace, build, files
from influence_core.target import Target
from influence_core.task import ClassificationTask
from tests import oracles
from tests.influence_core import samples
from tests.influence_core import tiny_transformers as tiny

SERVED = tuple(name for name in samples.NAMES if name != "tied")
FULL = Logra(damping=0.01, rank=50, precision="float64")
LOW = replace(FULL, rank=3)
PROJECTIONS: tuple[Any, ...] = ("pca", "random")


def in_parts(method: Logra, project: Project) -> tuple[dict[str, Tensor], Subspace]:
    """What the stages make, and the projections."""
    fit = method.prepare(project)
    tensors = run_stages(fit.stages)
    return tensors, Subspace.of(fit.factored, tensors)


def columns(subspace: Subspace) -> Tensor:
    """The basis of the subspace in full, column by column, shape ``(p, K)``: no factors are made use of."""
    found = []
    for part in subspace.parts:
        outputs, inputs = (
            torch.eye(size) if basis is None else basis
            for size, basis in zip(part.layer.shape, (part.outputs, part.inputs), strict=True)
        )
        for left in outputs.unbind(1):
            for right in inputs.unbind(1):
                column = torch.zeros(subspace.factored.model.vector.size, 1)
                part.layer.put((left[:, None] * right)[None], column)
                found.append(column)
    return torch.cat(found, dim=1)


def batch_of(model: FunctionalModel, project: Project, split: Any = "train") -> Any:
    rows = project.split(split)
    return next(model.batches(rows, len(rows)))[1]


@pytest.mark.parametrize("name", SERVED)
@pytest.mark.parametrize("damping", [0.01, 3.0])
def test_full_rank_is_the_exact_answer(name: str, damping: float) -> None:
    project = samples.sample(name)
    exact = Exact(damping, "gauss-newton").fit(project)
    found = replace(FULL, damping=damping).fit(project)
    scores = found.scores(range(6))
    assert oracles.relative(scores.values, exact.scores(range(6)).values) < 1e-8
    assert oracles.relative(found.self_influence(), exact.self_influence()) < 1e-8
    assert scores.outside is not None
    assert scores.outside < 1e-12
    assert scores.residual < 1e-10
    for target in (Target("value"),) if name == "regression" else (Target("margin", "predicted"), Target("logit", 1)):
        assert oracles.relative(found.scores([2], target).values, exact.scores([2], target).values) < 1e-8


@pytest.mark.parametrize("name", SERVED)
@pytest.mark.parametrize("projection", PROJECTIONS)
def test_any_rank_is_exact_in_its_subspace(name: str, projection: Any) -> None:
    project = samples.sample(name)
    method = replace(LOW, projection=projection)
    tensors, subspace = in_parts(method, project)
    basis, model = columns(subspace), subspace.factored.model
    assert torch.allclose(basis.mT @ basis, torch.eye(basis.shape[1]), atol=1e-12)
    rows = model.loss_gradients(batch_of(model, project)) @ basis
    assert oracles.relative(subspace.project(subspace.factored.loss_rows(batch_of(model, project)))[0], rows) < 1e-10
    curvature = basis.mT @ GaussNewton(model, project.train).matrix() @ basis
    assert oracles.relative(tensors["curvature"], curvature) < 1e-10

    target = Target("value") if name == "regression" else Target("loss")
    whole = model.measurement_gradients(batch_of(model, project, "test"), target)
    inside = whole @ basis
    solved = torch.linalg.solve(curvature + 0.01 * torch.eye(len(curvature)), inside.mT)
    sign = 1 if target.measure == "loss" else -1  # removing what raises a value lowers it
    found = method.fit(project).scores(range(6), target)
    assert oracles.relative(found.values, sign * (rows @ solved).mT / 30) < 1e-8
    lost = 1 - inside.square().sum(dim=1) / whole.square().sum(dim=1)
    assert found.outside == pytest.approx(float(lost.max()), abs=1e-10)
    tests = method.fit(project).tests
    assert torch.allclose(tests.outside(range(6), target), lost, atol=1e-10)  # type: ignore[arg-type]
    assert torch.allclose(tests.read(range(6)).outside(project.task, target), lost, atol=1e-5)  # type: ignore[arg-type]


def test_a_whole_language_model_is_served_with_its_positions_that_are_looked_up_once_for_all_rows() -> None:
    train, test = tiny.text_rows(24), tiny.text_rows(5, seed=1)
    project = tiny.settle(from_huggingface(tiny.bert(), tiny.tokenizer(), train, test, weight_decay=0.02))
    exact = Exact(0.05, "gauss-newton").fit(project).scores(range(5))
    assert oracles.relative(replace(FULL, damping=0.05).fit(project).scores(range(5)).values, exact.values) < 1e-8
    tests = replace(LOW, damping=0.05).fit(project).tests
    batchwise = torch.cat([tests.read([i]).gram for i in range(5)])
    assert oracles.relative(tests.read(range(5)).gram, batchwise) < 1e-10


class Categories(nn.Module):
    """An embedding of one category an example, beside numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds = nn.Embedding(4, 2)
        self.out = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.cat([x, self.kinds((x[:, 0].abs() * 9).long() % 4)], dim=1).tanh())


def test_an_embedding_of_one_category_an_example_is_served() -> None:
    torch.manual_seed(0)
    task = ClassificationTask(3, weight_decay=0.05)
    project = samples.trained(Categories(), task, samples.rows(30), samples.rows(6))
    exact = Exact(0.01, "gauss-newton").fit(project).scores(range(6))
    assert oracles.relative(FULL.fit(project).scores(range(6)).values, exact.values) < 1e-8


class Placed(nn.Module):
    """An embedding of positions that is looked up without a dimension for the rows."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length
        self.places = nn.Embedding(length, 2)
        self.out = nn.Linear(2 * length, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out((x[:, :, None] * self.places(torch.arange(self.length))).flatten(1))


@pytest.mark.parametrize("length", [3, 5])
def test_a_layer_whose_rows_are_not_the_examples_is_refused_by_name(length: int) -> None:
    """Three is as many as the rows on which the layers are tried."""
    torch.manual_seed(0)
    rows = samples.rows(12, (length,))
    project = Project("placed", Placed(length).eval(), ClassificationTask(3, weight_decay=0.1), rows, rows[:4])
    with pytest.raises(MethodError, match=rf"The layer 'places' gives {length} rows for a batch of .*--method cg"):
        LOW.fit(project)


def test_a_penalty_that_spares_the_biases_is_projected_as_it_is() -> None:
    task = ClassificationTask(3, weight_decay={"*.weight": 0.5, "*.bias": 0.0})
    project = replace(samples.sample("mlp"), task=task)
    tensors, subspace = in_parts(LOW, project)
    basis = columns(subspace)
    expected = basis.mT @ GaussNewton(subspace.factored.model, project.train).matrix() @ basis
    assert oracles.relative(tensors["curvature"], expected) < 1e-10


@pytest.mark.parametrize("name", SERVED)
def test_the_empirical_fisher_is_that_of_the_training_gradients(name: str) -> None:
    project = samples.sample(name)
    tensors, subspace = in_parts(replace(LOW, fisher="empirical"), project)
    rows = tensors["rows/000000000"]
    decay = 0.1 if name == "regression" else 0.05
    expected = rows.mT @ rows / 30 + decay * torch.eye(rows.shape[1])
    assert oracles.relative(tensors["curvature"], expected) < 1e-10
    assert oracles.relative(subspace.regulariser(), decay * torch.eye(rows.shape[1])) < 1e-12


def test_the_kronecker_form_is_whole_on_a_linear_model_with_squared_error() -> None:
    """Its curvature is a product: of the inputs' second moment and of 2."""
    project = samples.sample("regression")
    whole, product = (in_parts(replace(FULL, curvature=form), project)[0] for form in ("full", "kronecker"))
    assert oracles.relative(product["curvature"], whole["curvature"]) < 1e-12


@pytest.mark.parametrize("name", ["mlp", "normed", "dict"])
@pytest.mark.parametrize("rank", [2, 50])
def test_the_kronecker_form_of_one_row_is_the_block_diagonal_of_the_whole(name: str, rank: int) -> None:
    sample = samples.sample(name)
    tokens = {**sample.train[0], "tokens": torch.tensor([2]), "mask": torch.ones(1)} if name == "dict" else None
    project = replace(sample, train=[tokens or sample.train[0]], test=[tokens or sample.test[0]])
    whole, product = (
        in_parts(replace(FULL, rank=rank, curvature=form, projection="random"), project)[0]["curvature"]
        for form in ("full", "kronecker")
    )
    layers = FULL.prepare(project).factored.layers
    expected, start = torch.zeros_like(whole), 0
    for layer in layers:
        stop = start + coordinates([layer], rank)
        expected[start:stop, start:stop] = whole[start:stop, start:stop]
        start = stop
    assert oracles.relative(product, expected) < 1e-10
    assert len(layers) == 1 or oracles.relative(product, whole) > 1e-3


def test_of_an_embedding_the_tokens_of_the_largest_gradients_are_kept() -> None:
    project = samples.sample("dict")
    tensors, subspace = in_parts(replace(LOW, fisher="empirical"), project)
    model = subspace.factored.model
    layer = next(one for one in subspace.factored.layers if one.kind == "embedding")
    gradients = layer.matrices(model.loss_gradients(batch_of(model, project)).mT)
    largest = gradients.square().sum(dim=(0, 1)).topk(3).indices
    kept = tensors["embedding.inputs"]
    assert kept.shape == (7, 3)
    assert kept.argmax(dim=0).tolist() == largest.tolist()
    assert torch.equal(kept.sum(dim=0), torch.ones(3))


def test_a_norm_layer_is_kept_whole_up_to_the_numbers_of_other_layers() -> None:
    layers = FactoredModel.of(FunctionalModel.of(samples.sample("dict")), samples.sample("dict").train).layers
    norm = next(one for one in layers if one.kind == "norm")
    assert norm.shape == (4, 2)
    assert [coordinates([norm], rank) for rank in (1, 2, 3, 9)] == [2, 4, 8, 8]


@pytest.fixture(scope="module")
def network() -> Project:
    """64-16-10, tanh, on 400 of the digits."""
    torch.set_default_dtype(torch.float32)
    digits = demo_models.load("digits")
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10))
    train, test = (
        [(split[i][0].double(), int(split[i][1])) for i in range(count)]
        for split, count in ((digits.train, 400), (digits.test, 40))
    )
    return samples.trained(model, ClassificationTask(10, weight_decay=1e-3), train, test, steps=150)


def test_pca_loses_less_than_random_and_a_higher_rank_less_than_a_lower_one(network: Project) -> None:
    exact = Exact(0.05, "gauss-newton").fit(network).scores(range(40)).values.flatten()
    lost, agreement = {}, {}
    for projection in PROJECTIONS:
        for rank in (4, 8, 16):
            found = Logra(damping=0.05, rank=rank, projection=projection).fit(network)
            lost[projection, rank] = float(found.tests.outside(range(40), Target()).mean())  # type: ignore[union-attr]
            values = found.scores(range(40)).values.flatten().double()
            agreement[projection, rank] = float(torch.corrcoef(torch.stack([values, exact]))[0, 1])
    for rank in (4, 8, 16):
        assert lost["pca", rank] < lost["random", rank]
        assert agreement["pca", rank] > agreement["random", rank]
    for projection in PROJECTIONS:
        assert lost[projection, 16] < lost[projection, 8] < lost[projection, 4]
        assert agreement[projection, 16] > agreement[projection, 4]


@pytest.mark.parametrize(("precision", "within"), [("float32", 1e-4), ("bfloat16", 0.1)])
def test_lower_precisions_are_close(network: Project, precision: Any, within: float) -> None:
    full = Logra(damping=0.05, rank=8, precision="float64").fit(network)
    low = Logra(damping=0.05, rank=8, precision=precision).fit(network)
    assert oracles.relative(low.scores(range(40)).values, full.scores(range(40)).values) < within
    assert oracles.relative(low.self_influence(), full.self_influence()) < within


@pytest.mark.parametrize("name", SERVED)
@pytest.mark.parametrize("projection", PROJECTIONS)
def test_order_and_batches_change_nothing(name: str, projection: Any) -> None:
    project = samples.sample(name)
    method = replace(LOW, projection=projection)
    plain = method.fit(project)
    scores = plain.scores(range(6)).values
    order = torch.randperm(30).tolist()
    shuffled = replace(project, train=[project.train[i] for i in order])
    assert oracles.relative(method.fit(shuffled).scores(range(6)).values, scores[:, order]) < 1e-10
    small = replace(method, rows=7).fit(project)
    assert oracles.relative(torch.cat([small.scores([i]).values for i in range(6)]), scores) < 1e-10
    assert oracles.relative(small.self_influence(), plain.self_influence()) < 1e-10


def test_shards_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    project = samples.sample("convolved")
    plain = LOW.fit(project).scores(range(6)).values
    monkeypatch.setattr(logra, "SHARD", 11 * LOW.prepare(project).size)
    assert oracles.relative(LOW.fit(project).scores(range(6)).values, plain) < 1e-10


def test_the_seed_decides_a_random_projection() -> None:
    project = samples.sample("mlp")
    first, again, other = (replace(LOW, projection="random", seed=seed).fit(project) for seed in (1, 1, 2))
    assert torch.equal(first.scores([0]).values, again.scores([0]).values)
    assert oracles.relative(other.scores([0]).values, first.scores([0]).values) > 1e-3


def test_damping_left_to_the_method_is_a_tenth_of_the_mean_eigenvalue() -> None:
    found = Logra(rank=3, precision="float64").fit(samples.sample("mlp"))
    expected = 0.1 * float(torch.linalg.eigvalsh(found.curvature).mean())
    assert found.scores([0]).damping == pytest.approx(expected)
    assert "mean eigenvalue" in found.damping_rule


def test_a_known_training_filters_the_projected_curvature() -> None:
    recipe = SGD(learning_rate=0.5, momentum=0.9, steps=20)
    project = replace(samples.sample("mlp"), recipe=recipe)
    method = replace(LOW, damping="auto")
    tensors, subspace = in_parts(method, project)
    basis, model = columns(subspace), subspace.factored.model
    values, vectors = torch.linalg.eigh(tensors["curvature"])
    inverse = vectors @ (-torch.expm1(-0.5 / (1 - 0.9) * 20 * values) / values).diag() @ vectors.mT
    inside = model.measurement_gradients(batch_of(model, project, "test"), Target()) @ basis
    expected = inside @ inverse @ (model.loss_gradients(batch_of(model, project)) @ basis).mT / 30
    found = method.fit(project)
    assert oracles.relative(found.scores(range(6)).values, expected) < 1e-8
    assert "spectral filter of 20 steps" in found.damping_rule


@pytest.mark.parametrize("form", ["full", "kronecker"])
@pytest.mark.parametrize("name", ["mlp", "convolved", "regression", "dict", "head"])
def test_the_folder_answers_without_code(name: str, form: Any, tmp_path: Path) -> None:
    project = samples.sample(name)
    method = Logra(rank=3, curvature=form)
    build(project, tmp_path / name, method)
    run = Workspace(tmp_path / name).run()
    live = method.fit(project)
    own = live.scores([2])
    assert run.damping == pytest.approx(own.damping)
    assert run.scores(2).outside == pytest.approx(float(live.tests.outside([2], Target())), abs=1e-5)  # type: ignore[arg-type]
    for target in (Target(), Target("value") if name == "regression" else Target("margin", "predicted")):
        for damping in (None, 0.7):
            expected = (live if damping is None else replace(method, damping=damping).fit(project)).scores([2], target)
            stored = run.scores(2, target, damping)
            assert oracles.relative(stored.values, expected.values) < 1e-4
            assert stored.outside == pytest.approx(expected.outside, abs=1e-5)
    assert oracles.relative(torch.from_numpy(run.self_influence()), live.self_influence()) < 1e-4


class Stopped(BaseException):
    """A kill at a chosen moment."""


def test_a_build_stopped_anywhere_ends_byte_identical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, method = samples.sample("mlp"), Logra(rank=3)
    monkeypatch.setattr(logra, "SHARD", 11 * method.prepare(project).size)  # three shards of rows

    def digests(path: Path) -> dict[str, bytes]:
        found = sorted(p for p in path.rglob("*") if p.is_file() and p.name != "report.json")
        return {str(p.relative_to(path)): p.read_bytes() for p in found}

    build(project, tmp_path / "plain", method)
    expected = digests(tmp_path / "plain")
    assert len([name for name in expected if Path(name).name.startswith("train-")]) == 3
    writes: list[int] = []
    real = files.os.fsync
    for number in range(1, len(expected) + 3):
        writes.clear()

        def fsync(handle: int, number: int = number) -> None:
            writes.append(number)
            if len(writes) == number:
                raise Stopped
            real(handle)

        monkeypatch.setattr(files.os, "fsync", fsync)
        with suppress(Stopped):
            build(project, tmp_path / f"{number}", method)
        monkeypatch.setattr(files.os, "fsync", real)
        build(project, tmp_path / f"{number}", method)
        assert digests(tmp_path / f"{number}") == expected, number


def test_impossible_settings_are_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    project = samples.sample("mlp")
    with pytest.raises(MethodError, match=r"logra's rank is 0; it must be 1 or more"):
        Logra(rank=0).prepare(project)
    with pytest.raises(MethodError, match=r"no projection 'svd'; choose one of pca, random"):
        Logra(projection="svd").prepare(project)  # type: ignore[arg-type]
    with pytest.raises(MethodError, match=r"is tied to 'second.weight'"):
        Logra().prepare(samples.sample("tied"))
    monkeypatch.setattr(logra, "LARGEST", 20)
    with pytest.raises(MethodError, match=r"Rank 16 makes 39 numbers an example, .* up to 20 on .*rank=3\."):
        Logra().prepare(project)
    assert coordinates(Logra(rank=3).prepare(project).factored.layers, 3) == 18
    monkeypatch.setattr(logra, "LARGEST", 1)
    with pytest.raises(MethodError, match=r"attribute fewer layers"):
        Logra().prepare(project)


def test_a_rank_above_what_the_data_span_needs_damping() -> None:
    sample = samples.sample("mlp")
    project = replace(sample, task=ClassificationTask(3), train=sample.train[:4])
    with pytest.raises(CurvatureError, match=r"39 projected directions is singular under damping 0: .* 4 trai"):
        Logra(damping=0.0, fisher="empirical").fit(project)
    assert isinstance(Logra(fisher="empirical").fit(project), ExactAttributor)
