"""EK-FAC: the per-layer factors, the curvature that they make, and the answers of the method."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from influence_core.curvature.dense import GaussNewton
from influence_core.curvature.ekfac import EKFAC, Factors, Fisher, Settings, fit_ekfac
from influence_core.curvature.factored import FactoredModel
from influence_core.curvature.layers import Layer
from influence_core.errors import CurvatureError, MethodError
from influence_core.gradients import FunctionalModel
from influence_core.methods import Ekfac, Exact
from influence_core.project import Project
from influence_core.target import Target
from influence_core.task import ClassificationTask, RegressionTask
from tests import oracles
from tests.influence_core import samples

SERVED = [name for name in samples.NAMES if name != "tied"]
EKFAC_64 = Ekfac(damping=0.05, precision="float64")


def factored(project: Project) -> FactoredModel:
    return FactoredModel.of(FunctionalModel.of(project), project.train)


def places(layer: Layer) -> Tensor:
    slices = [place for place in (layer.weight, layer.bias) if place is not None]
    return torch.cat([torch.arange(place.start, place.stop) for place in slices])


def block_diagonal(found: FactoredModel, matrix: Tensor) -> Tensor:
    kept = torch.zeros_like(matrix)
    for layer in found.layers:
        rows = places(layer)
        kept[rows[:, None], rows] = matrix[rows[:, None], rows]
    return kept


def curvature(project: Project, factors: Factors = "ekfac", fisher: Fisher = "expected", rows: int = 7) -> EKFAC:
    found = factored(project)
    settings = Settings(factors, fisher, rows, 0)
    return EKFAC.of(found, fit_ekfac(found, project.train, settings, lambda done, total: None), len(project.train))


def dense(operator: EKFAC) -> Tensor:
    return operator.matvec(torch.eye(operator.size))


class Volumes(nn.Module):
    """Convolutions of one and three dimensions with stride, dilation and padding, used after one another and twice."""

    def __init__(self) -> None:
        super().__init__()
        self.three = nn.Conv3d(1, 2, (1, 2, 2), stride=(1, 2, 1), padding=(0, 1, 1))
        self.one = nn.Conv1d(2, 2, 3, dilation=2, padding=2, padding_mode="circular", bias=False)
        self.out = nn.Linear(2, 3)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.act(self.three(x)).flatten(2)
        return self.out(torch.tanh(self.one(torch.tanh(self.one(hidden)))).mean(dim=2))


def volumes() -> Project:
    torch.manual_seed(5)
    return samples.trained(
        Volumes(), ClassificationTask(3, 0.05), samples.rows(20, (1, 2, 4, 4)), samples.rows(4, (1, 2, 4, 4))
    )


def transposed() -> Project:
    """A layer of transformers whose weight is inputs by outputs."""
    torch.manual_seed(5)
    model = nn.Sequential(Conv1D(4, 5), nn.Tanh(), nn.Linear(4, 3))
    return samples.trained(model, ClassificationTask(3, 0.05), samples.rows(20), samples.rows(4))


PROJECTS = {name: (lambda name=name: samples.sample(name)) for name in SERVED}
PROJECTS |= {"volumes": volumes, "transposed": transposed}


@pytest.mark.parametrize("name", PROJECTS)
def test_factors_give_autograds_gradients_and_the_gauss_newton_matrix(name: str) -> None:
    project = PROJECTS[name]()
    found = factored(project)
    ids = range(len(project.train))
    _, batch = next(found.model.batches(project.train, len(ids)))
    gradients = found.model.loss_gradients(batch).mT
    assert oracles.relative(found.vectors(found.loss_rows(batch)), gradients) < 1e-10
    exact = block_diagonal(found, GaussNewton(found.model, project.train).matrix())
    pseudo = found.fisher_rows(batch, ids, 0)
    for layer in found.layers:
        rows = places(layer)
        for one in pseudo[layer.name].dense():
            columns = torch.zeros(found.model.vector.size, len(ids))
            layer.put(one, columns)
            exact[rows[:, None], rows] -= (columns @ columns.mT / len(ids))[rows[:, None], rows]
    penalty = block_diagonal(found, torch.diag(found.model.penalty_diagonal[:, 0]))
    assert oracles.relative(exact, penalty) < 1e-8


@pytest.mark.parametrize("name", PROJECTS)
def test_what_is_asked_of_the_factors_is_what_the_full_gradients_say(name: str) -> None:
    project = PROJECTS[name]()
    found = factored(project)
    _, batch = next(found.model.batches(project.train, 9))
    for key, rows in found.fisher_rows(batch, range(9), 0).items():
        full = rows.dense()
        outputs, inputs = full.shape[-2:]
        weights, left, right = torch.rand(outputs, inputs), torch.randn(outputs, 2), torch.randn(inputs, 3)
        assert oracles.relative(rows.squares(), full.square().sum(dim=(0, 1))) < 1e-10, key
        assert oracles.relative(rows.weighted_squares(weights), (full[0].square() * weights).sum(dim=(1, 2))) < 1e-10
        assert oracles.relative(rows.dot(weights[None]), (full[0] * weights).sum(dim=(1, 2))[:, None]) < 1e-10
        assert oracles.relative(rows.in_basis(right, left).dense(), left.mT @ full @ right) < 1e-10
        assert oracles.relative(rows.in_basis(None, left).dense(), left.mT @ full) < 1e-10


@pytest.mark.parametrize("name", PROJECTS)
def test_ekfac_is_no_further_from_the_gauss_newton_matrix_than_kfac(name: str) -> None:
    project = PROJECTS[name]()
    found = factored(project)
    exact = block_diagonal(found, GaussNewton(found.model, project.train).matrix())
    errors = [float((dense(curvature(project, kind)) - exact).norm()) for kind in ("ekfac", "kfac")]
    assert errors[0] <= errors[1] + 1e-12 * float(exact.norm())
    off_basis = curvature(project, "diagonal")
    assert torch.allclose(dense(off_basis).diagonal(), exact.diagonal(), rtol=1e-8)


def test_on_one_layer_and_one_row_it_is_the_exact_fisher() -> None:
    torch.manual_seed(2)
    project = Project("one", nn.Linear(5, 3).eval(), ClassificationTask(3), samples.rows(1), samples.rows(2))
    exact = GaussNewton(FunctionalModel.of(project), project.train).matrix()
    assert oracles.relative(dense(curvature(project)), exact) < 1e-10


@pytest.mark.parametrize("factors", ["ekfac", "kfac"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_on_a_linear_model_with_squared_error_all_curvatures_coincide(factors: Factors, outputs: int) -> None:
    torch.manual_seed(2)
    rows = [(torch.randn(5), torch.randn(outputs)) for _ in range(30)]
    project = samples.trained(nn.Linear(5, outputs), RegressionTask(0.1, n_outputs=outputs), rows, rows[:4])
    exact = GaussNewton(FunctionalModel.of(project), project.train).matrix()
    assert oracles.relative(dense(curvature(project, factors)), exact) < 1e-10
    method = Ekfac(damping=0.2, factors=factors, precision="float64").fit(project)
    plain = Exact(damping=0.2).fit(project)
    target = Target("value", 0) if outputs > 1 else Target("value")
    for asked in (Target(), target):
        assert oracles.relative(method.scores(range(4), asked).values, plain.scores(range(4), asked).values) < 1e-8
    assert oracles.relative(method.self_influence(), plain.self_influence()) < 1e-8


@pytest.mark.parametrize("name", SERVED)
@pytest.mark.parametrize("damping", [0.05, "auto"])
def test_scores_are_those_of_the_dense_matrix(name: str, damping: Any) -> None:
    project = samples.sample(name)
    fitted = replace(EKFAC_64, damping=damping).fit(project)
    found = factored(project)
    inverse = fitted.solver.solve(fitted.curvature, torch.eye(fitted.curvature.size))
    if damping != "auto":
        expected = torch.linalg.inv(dense(fitted.curvature) + damping * torch.eye(len(inverse)))
        assert oracles.relative(inverse, expected) < 1e-8
    (_, train), (_, test) = (next(found.model.batches(rows, 30)) for rows in (project.train, project.test))
    gradients = found.model.loss_gradients(train)
    expected = found.model.measurement_gradients(test, Target()) @ inverse @ gradients.mT / 30
    scores = fitted.scores(range(6))
    assert oracles.relative(scores.values, expected) < 1e-8
    by_layer = fitted.layer_scores(range(6))
    assert oracles.relative(sum(by_layer.values()), expected) < 1e-8
    measured = found.model.measurement_gradients(test, Target())
    for layer, places in found.model.vector.layers.items():
        at = torch.cat([torch.arange(len(inverse))[place] for place in places])
        assert oracles.relative(by_layer[layer], measured @ inverse[:, at] @ gradients[:, at].mT / 30) < 1e-8
    self_influence = ((gradients @ inverse) * gradients).sum(dim=1) / 30
    assert oracles.relative(fitted.self_influence(), self_influence) < 1e-8
    assert oracles.relative(fitted.norms()["gradient_norms"], gradients.norm(dim=1)) < 1e-8
    assert oracles.relative(fitted.norms()["step_norms"], (gradients @ inverse).norm(dim=1)) < 1e-8


@pytest.mark.parametrize("name", ["mlp", "convolved", "dict"])
def test_order_batches_duplicates_and_memory_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    project = samples.sample(name)
    plain = EKFAC_64.fit(project)
    values = plain.scores(range(6)).values
    order = torch.randperm(30).tolist()
    shuffled = EKFAC_64.fit(replace(project, train=[project.train[i] for i in order]))
    assert oracles.relative(shuffled.scores(range(6)).values, values[:, order]) < 1e-10
    monkeypatch.setattr("influence_core.methods.ekfac_attributor.KEPT", 0)
    in_parts = replace(EKFAC_64, rows=7).fit(project)
    one_by_one = torch.cat([in_parts.scores([i]).values for i in range(6)])
    assert oracles.relative(one_by_one, values) < 1e-10
    assert oracles.relative(in_parts.self_influence(), plain.self_influence()) < 1e-10
    doubled = EKFAC_64.fit(replace(project, train=[*project.train, project.train[4]])).scores(range(6)).values
    assert torch.allclose(doubled[:, 4], doubled[:, 30], rtol=1e-10)


@pytest.mark.parametrize("name", ["mlp", "convolved", "attention"])
def test_fewer_digits_change_late_ones_only(name: str) -> None:
    project = samples.sample(name)
    values = EKFAC_64.fit(project).scores(range(6)).values
    single = replace(EKFAC_64, precision="float32").fit(project).scores(range(6)).values
    half = replace(EKFAC_64, precision="bfloat16").fit(project).scores(range(6)).values
    assert oracles.relative(single, values) < 1e-5
    assert oracles.relative(half, values) < 0.1
    pearson = torch.corrcoef(torch.stack([half.flatten(), values.flatten()]))[0, 1]
    assert pearson > 0.995


def test_damping_is_added_once_and_as_written() -> None:
    project = samples.sample("mlp")
    first, again, other = (replace(EKFAC_64, damping=d).fit(project).scores([1]).values for d in (0.1, 0.1, 0.2))
    assert torch.equal(first, again)
    assert oracles.relative(first, other) > 1e-2


def test_many_outputs_draw_labels_by_seed_and_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("influence_core.curvature.factored.FEW_OUTPUTS", 2)
    project = samples.sample("mlp")
    many = replace(project, train=[project.train[i % 30] for i in range(6000)])
    drawn, again = curvature(many, rows=500), curvature(many, rows=333)
    assert oracles.relative(dense(drawn), dense(again)) < 1e-10
    monkeypatch.undo()
    assert oracles.relative(dense(drawn), dense(curvature(project))) < 0.1


def test_sides_that_are_too_large_have_no_eigenvectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("influence_core.curvature.layer_rows.LARGEST_SIDE", 5)
    project = samples.sample("mlp")  # six inputs with the bias, four outputs
    found = factored(project)
    kept = fit_ekfac(found, project.train, Settings("ekfac", "expected", 30, 0), lambda done, total: None)
    assert "0.inputs" not in kept
    assert kept["0.outputs"].shape == (4, 4)
    exact = block_diagonal(found, GaussNewton(found.model, project.train).matrix())
    rotated = dense(EKFAC.of(found, kept, 30))
    assert float(rotated.trace()) == pytest.approx(float(exact.trace()), rel=1e-10)


def test_progress_counts_the_rows_of_both_passes() -> None:
    project = samples.sample("mlp")
    ticks: list[tuple[int, int]] = []
    fit_ekfac(factored(project), project.train, Settings("ekfac", "expected", 7, 0), lambda *at: ticks.append(at))
    assert ticks[-1] == (60, 60)
    assert all(one < two for (one, _), (two, _) in pairwise(ticks))


class Bilinear(nn.Module):
    """Uses a weight beside its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.first(x)) + x @ self.first.weight)


class Uncalled(nn.Module):
    """Reads a layer's weight and never calls it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(x @ self.first.weight.mT + self.first.bias))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.GRU(5, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.cell(x[:, None])[0][:, 0])


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (samples.Tied, r"'first.weight' is tied to 'second.weight'.*--method cg"),
        (Bilinear, r"layer 'first' is \d+ % off that of autograd.*--method cg"),
        (Uncalled, r"layer 'first' is never called as a module.*--method cg"),
        (Recurrent, r"does not serve the GRU layer 'cell' \(4 parameters in all, the first is 'cell.weight_ih_l0'\)"),
        (lambda: nn.Sequential(nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 4, 2), nn.Conv1d(4, 4, 2, groups=2),
                               nn.Flatten(), nn.Linear(12, 3)), "does not serve the Conv1d layer '2'"),
    ],
)  # fmt: skip
def test_models_without_factors_are_refused_in_a_sentence(model: Any, said: str) -> None:
    torch.manual_seed(0)
    project = Project("p", model().eval(), ClassificationTask(3, 0.1), samples.rows(8), samples.rows(2))
    with pytest.raises(MethodError, match=said):
        Ekfac().prepare(project)


class Coupled(ClassificationTask):
    def penalty(self, parameters: Any) -> Tensor:
        return 0.1 * torch.cat([p.flatten() for p in parameters.values()]).sum().square()


def test_a_regulariser_that_couples_parameters_is_refused() -> None:
    torch.manual_seed(0)
    project = Project("p", samples.mlp().eval(), Coupled(3), samples.rows(8), samples.rows(2))
    with pytest.raises(MethodError, match="couples parameters"):
        Ekfac().fit(project)


def test_a_singular_curvature_is_refused_without_damping() -> None:
    torch.manual_seed(0)
    project = Project("p", samples.mlp().eval(), ClassificationTask(3), samples.rows(2), samples.rows(2))
    with pytest.raises(CurvatureError, match="layer '0' has an eigenvalue of 0 under damping 0"):
        Ekfac(damping=0.0, precision="float64").fit(project)


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
