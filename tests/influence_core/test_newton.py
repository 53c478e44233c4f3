"""The leave-one-out Newton step: against closed forms, real refits and steps written out in numpy."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_wine
from torch import Tensor, nn

import demo_models
from influence_core.errors import CurvatureError, MethodError
from influence_core.evaluation.agreement import pearson_and_slope, sample_rows
from influence_core.evaluation.first_order import first_order_gap
from influence_core.evaluation.leave_one_out import Measured, refitted_scores
from influence_core.methods import Exact, Newton, newton, newton_attributor, newton_examples
from influence_core.methods.base import run_stages
from influence_core.methods.newton import newton_beside
from influence_core.project import Project
from influence_core.removal.head_fit import fit_head
from influence_core.target import Target
from influence_core.task import ClassificationTask, RegressionTask
from tests import oracles
from tests.influence_core import samples

GAUSS_NEWTON = Newton(0.3, curvature="gauss-newton")


def ridge_project() -> Project:
    data = oracles.Ridge.make()
    items = list(zip(data.inputs, data.labels.tolist(), strict=True))
    return Project("ridge", data.model(), RegressionTask(oracles.RIDGE_PENALTY), items[:100], items[100:])


def wine(split: int) -> Project:
    """z-scored columns, a bias column, mean loss, weight decay 0.01 on all weights."""
    data = load_wine()
    inputs, labels = torch.tensor(data.data), torch.tensor(data.target)
    inputs = (inputs - inputs.mean(0)) / inputs.std(0, unbiased=False)
    order = torch.randperm(178, generator=torch.Generator().manual_seed(split))
    task = ClassificationTask(3, 0.01)
    train, test = order[:142], order[142:]
    rows = [[(inputs[i], int(labels[i])) for i in part] for part in (train, test)]
    return Project("wine", fit_head(inputs[train], labels[train], task), task, *rows)


def refitted(project: Project, removed: list[int]) -> Tensor:
    """Changes of every test loss by real refits, shape ``(test, removed)``."""
    fit = Exact().prepare(project)
    problem, coefficients = fit.objective
    measured = Measured(fit.tests.read(range(len(project.test))), project.task, Target())
    return refitted_scores(problem, coefficients, measured, removed).mT  # type: ignore[arg-type]


def scored(method: Exact | Newton, project: Project) -> Tensor:
    return method.fit(project).scores(range(len(project.test))).values


def compared(predicted: Tensor, actual: Tensor) -> tuple[float, float, float]:
    """Pooled correlation, slope and relative error."""
    return *pearson_and_slope(predicted.flatten(), actual.flatten()), oracles.relative(predicted, actual)


@pytest.mark.parametrize("steps", [1, 2])
def test_on_ridge_it_equals_the_published_leave_one_out_changes(steps: int) -> None:
    fitted = Newton(steps=steps).fit(ridge_project())  # type: ignore[arg-type]
    changes = fitted.scores([i - 100 for i in oracles.RIDGE_TEST]).values.mean(0)
    assert changes[:5].tolist() == pytest.approx(oracles.RIDGE_REFITTED, rel=1e-9)


@pytest.mark.parametrize("split", range(4))
def test_on_wine_the_slope_is_right_where_first_order_is_half_too_small(split: int) -> None:
    project = wine(split)
    actual = refitted(project, list(range(142)))
    first, one, two = (compared(scored(m, project), actual) for m in (Exact(), Newton(), Newton(steps=2)))
    assert first[1] > 1.5
    assert one[0] >= 0.996
    assert one[1] == pytest.approx(1, abs=0.04)
    assert two[0] >= 0.9996
    assert two[1] == pytest.approx(1, abs=0.045)
    assert two[2] < one[2] < first[2] / 3


def test_on_digits_it_equals_refits_without_a_sample_of_rows(digits: Project) -> None:
    removed = sample_rows(len(digits.train), 150)
    _check_digits(digits, refitted(digits, removed), removed)


@pytest.mark.slow
def test_on_digits_it_equals_refits_without_each_of_all_rows(digits: Project) -> None:
    removed = list(range(len(digits.train)))
    actual = refitted(digits, removed)
    _check_digits(digits, actual, removed)
    _check_gap(digits, actual)


def _check_digits(digits: Project, actual: Tensor, removed: list[int]) -> None:
    for steps, correlation, slope, error in ((1, 0.999, 0.04, 0.06), (2, 0.9999, 0.015, 0.02)):
        found = compared(scored(Newton(steps=steps), digits)[:, removed], actual)  # type: ignore[arg-type]
        assert found[0] >= correlation
        assert found[1] == pytest.approx(1, abs=slope)
        assert found[2] <= error


def test_on_breast_cancer_the_gap_to_first_order_ranks_rows_as_their_true_error_does() -> None:
    torch.set_default_dtype(torch.float32)
    project = demo_models.load("breast-cancer")
    _check_gap(project, refitted(project, list(range(len(project.train)))))


def _check_gap(project: Project, actual: Tensor) -> None:
    """The certificate, in the size of the error and relative to the change, over test predictions of a build."""
    fitted = Newton().fit(project)
    gap = first_order_gap(fitted, range(len(project.test)), Target())
    error = (scored(Exact(), project) - actual).square().mean(0).sqrt()
    size = actual.square().mean(0).sqrt()
    assert spearmanr(gap.gap, error).statistic > 0.99
    moving = gap.relative > 0  # the others move nothing beyond rounding
    assert moving.double().mean() > 0.95
    assert spearmanr(gap.relative[moving], (error / size)[moving]).statistic > 0.99
    assert oracles.relative(gap.relative[moving], (error / size)[moving]) < 0.15


@pytest.mark.parametrize("name", ["mlp", "tied", "normed", "convolved", "dict", "head"])
@pytest.mark.parametrize("steps", [1, 2])
def test_any_small_model_equals_steps_written_out_in_numpy(name: str, steps: int) -> None:
    """Not at its optimum, so that the step with nothing removed is no zero either."""
    project = samples.sample(name)
    found = scored(replace(GAUSS_NEWTON, steps=steps), project)
    assert oracles.relative(found, oracles.damped_newton_scores(project, 0.3, steps, range(6))) < 1e-9


@pytest.mark.parametrize("steps", [1, 2])
def test_a_head_and_the_same_layer_as_any_model_agree(steps: int) -> None:
    project = samples.sample("head")
    opaque = replace(project, model=Opaque(project.model).eval())  # type: ignore[arg-type]
    method = Newton(0.1, steps=steps)  # type: ignore[arg-type]
    assert method.prepare(opaque).head is None
    for target in (Target(), Target("margin", "predicted"), Target("logit", 2), Target("loss", "predicted")):
        head, general = (method.fit(each).scores(range(6), target).values for each in (project, opaque))
        assert oracles.relative(general, head) < 1e-8
    assert oracles.relative(method.fit(opaque).self_influence(), method.fit(project).self_influence()) < 1e-8


class Opaque(nn.Module):
    """A linear layer, applied so that the closed form does not recognise it."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.layer.weight, self.layer.bias)


@pytest.mark.parametrize("target", [Target("logit"), Target("margin", "predicted"), Target("loss", 1)])
def test_every_target_has_its_sign_and_size(target: Target) -> None:
    project = wine(1)
    fit = Exact().prepare(project)
    problem, coefficients = fit.objective
    removed = sample_rows(142, 20)
    measured = Measured(fit.tests.read(range(36)), project.task, target)
    actual = refitted_scores(problem, coefficients, measured, removed).mT  # type: ignore[arg-type]
    found = Newton(steps=2).fit(project).scores(range(36), target).values[:, removed]
    assert oracles.relative(found, actual) < 0.03


def test_self_influence_is_the_leave_one_out_change_of_an_examples_own_loss() -> None:
    project = wine(1)
    own = replace(project, test=project.train)
    actual = refitted(own, list(range(142))).diagonal()
    assert oracles.relative(Newton().fit(project).self_influence(), actual) < 0.06
    assert oracles.relative(Newton(steps=2).fit(project).self_influence(), actual) < 0.03
    assert oracles.relative(Exact().fit(project).self_influence(), actual) > 0.2


@pytest.mark.parametrize("name", ["head", "mlp"])
@pytest.mark.parametrize("steps", [1, 2])
def test_order_blocks_and_duplicates_change_nothing(name: str, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    project, method = samples.sample(name), replace(GAUSS_NEWTON, steps=steps)
    plain = method.fit(project)
    expected = plain.scores(range(6)).values
    order = torch.randperm(30).tolist()
    shuffled = method.fit(replace(project, train=[project.train[i] for i in order]))
    assert oracles.relative(shuffled.scores(range(6)).values, expected[:, order]) < 1e-10
    monkeypatch.setattr(newton_examples, "NUMBERS", 400)
    monkeypatch.setattr(newton_examples, "THETAS", 3)
    monkeypatch.setattr(newton_attributor, "NUMBERS", 400)
    monkeypatch.setattr(newton_attributor, "THETAS", 4)
    small = method.fit(project)
    assert oracles.relative(torch.cat([small.scores([i]).values for i in range(6)]), expected) < 1e-10
    assert oracles.relative(small.scores(range(6)).values, expected) < 1e-10
    assert oracles.relative(small.self_influence(), plain.self_influence()) < 1e-10
    doubled = method.fit(replace(project, train=[*project.train, project.train[4]])).scores(range(6)).values
    assert torch.allclose(doubled[:, 4], doubled[:, 30], rtol=1e-9, atol=1e-15)


def test_damping_is_used_once_and_changes_the_answer() -> None:
    """On a linear model with squared error, Newton is the exact minimum of the damped quadratic without the row."""
    project = ridge_project()
    data, damping = oracles.Ridge.make(), 0.5
    x, y = data.inputs[:100], data.labels[:100]
    start = data.optimum()
    expected = []
    for i in range(5):
        kept = torch.arange(100) != i
        hessian = 2 / 100 * x[kept].mT @ x[kept] + (oracles.RIDGE_PENALTY + damping) * torch.eye(11)
        gradient = 2 / 100 * x[kept].mT @ (x[kept] @ start - y[kept]) + oracles.RIDGE_PENALTY * start
        expected.append(float(data.mean_test_loss(start - torch.linalg.solve(hessian, gradient))) - oracles.RIDGE_LOSS)
    rows = [i - 100 for i in oracles.RIDGE_TEST]
    first, again = (Newton(damping).fit(project).scores(rows).values.mean(0)[:5] for _ in range(2))
    assert torch.equal(first, again)
    assert first.tolist() == pytest.approx(expected, rel=1e-8)


def test_an_example_that_alone_holds_a_direction_is_named() -> None:
    """Without weight decay nothing but row 3 bends the objective along the last input."""
    torch.manual_seed(0)
    inputs = torch.randn(20, 3)
    inputs[:, 2] = 0
    inputs[3, 2] = 1
    rows = [(x, float(x.sum())) for x in inputs]
    project = Project("alone", nn.Linear(3, 1, bias=False).eval(), RegressionTask(), rows, rows[:2])
    with pytest.raises(CurvatureError, match="Without training example 3 the curvature is not positive definite"):
        Newton().fit(project)
    fit = Exact().prepare(project)
    assert newton_beside(fit, run_stages(fit.stages)) is None
    assert Newton(0.1).fit(project).scores([0]).values.isfinite().all()


def test_what_it_cannot_serve_is_told_what_can(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = nn.Sequential(nn.Linear(5, 2000), nn.Tanh(), nn.Linear(2000, 3)).eval()
    project = replace(samples.sample("mlp"), model=wide)
    with pytest.raises(MethodError, match=r"newton method serves up to 10,000; .* or use the method cg"):
        Newton().fit(project)
    with pytest.raises(MethodError, match="newton's steps is 3; it must be 1 or 2"):
        Newton(steps=3).fit(samples.sample("mlp"))  # type: ignore[arg-type]
    monkeypatch.setattr(newton, "LARGEST_MOVES", 500)
    with pytest.raises(MethodError, match=r"39 parameters' moves for each of 30 training examples .* use steps=1"):
        Newton(0.3, steps=2).fit(samples.sample("mlp"))
    assert scored(GAUSS_NEWTON, samples.sample("mlp")).isfinite().all()
