"""Removing any set at once: against the normal equations, refits in numpy."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from influence_core import remove_group
from influence_core.errors import CurvatureError, UnknownNameError
from influence_core.evaluation.agreement import pearson_and_slope
from influence_core.methods import Exact, Newton
from influence_core.methods.exact import ExactFit
from influence_core.methods.group_removal import GroupRemoval
from influence_core.project import Project
from influence_core.removal import group
from influence_core.removal.head_fit import fit_head
from influence_core.target import Target
from influence_core.task import ClassificationTask, RegressionTask
from tests import oracles
from tests.influence_core import samples
from tests.influence_core.test_newton import Opaque, ridge_project, wine

ALL = range(360)


@pytest.fixture(scope="module")
def fit(digits: Project) -> ExactFit:
    torch.set_default_dtype(torch.float64)
    return Exact().prepare(digits)


@pytest.fixture(scope="module")
def before(digits: Project) -> Tensor:
    return oracles.softmax_refit(digits, [])


def labels(project: Project) -> Tensor:
    return torch.tensor([int(y) for _, y in project.train])


def effects(fit: ExactFit, rows: list[int]) -> tuple[Tensor, Tensor, Tensor, GroupRemoval]:
    """One step, two steps, as many as it takes, and the last removal."""
    one, two, last = (remove_group(fit, rows, steps) for steps in (1, 2, None))
    return one.effects(ALL), two.effects(ALL), last.effects(ALL), last


def slope(predicted: Tensor, actual: Tensor) -> float:
    return pearson_and_slope(predicted, actual)[1]


@pytest.mark.parametrize("head", [True, False])
def test_on_ridge_one_step_is_the_refit(head: bool) -> None:
    project, data = ridge_project(), oracles.Ridge.make()
    project = project if head else replace(project, model=Opaque(project.model).eval())  # type: ignore[arg-type]
    rows = [0, 3, 14, 52, *range(60, 90)]
    kept = torch.tensor([i for i in range(100) if i not in rows])
    x, y = data.inputs[kept], data.labels[kept]
    hessian = 2 / 100 * x.mT @ x + oracles.RIDGE_PENALTY * torch.eye(11)
    expected = torch.linalg.solve(hessian, 2 / 100 * x.mT @ y)
    found = remove_group(project, rows, 1)
    assert oracles.relative(found.parameters, expected) < 1e-9
    assert found.gradient_norm < 1e-9
    after = (data.inputs[100:] @ expected - data.labels[100:]).square()
    now = (data.inputs[100:] @ data.optimum() - data.labels[100:]).square()
    assert oracles.relative(found.effects(range(10)), after - now) < 1e-9
    last = remove_group(project, rows)
    assert last.steps <= 2  # the second only to see that nothing is left
    assert oracles.relative(last.parameters, expected) < 1e-9


@pytest.mark.parametrize("share", [5, pytest.param(10, marks=pytest.mark.slow), 20])
def test_random_groups_of_digits(digits: Project, fit: ExactFit, before: Tensor, share: int) -> None:
    """One step's slope is within 10 %, as the benchmark newton_digits says 7 % on average; two steps' within 1 %."""
    slopes = []
    for seed in range(2):
        order = torch.randperm(1437, generator=torch.Generator().manual_seed(seed)).tolist()
        rows = order[: 1437 * share // 100]
        actual = oracles.softmax_refit(digits, rows) - before
        one, two, last, removal = effects(fit, rows)
        slopes.append(abs(slope(one, actual) - 1))
        assert slope(two, actual) == pytest.approx(1, abs=0.01)
        assert oracles.relative(two, actual) < 0.01
        assert oracles.relative(last, actual) < 1e-3
        assert oracles.relative(removal.added_up(ALL), actual) > 0.2
    assert max(slopes) < 0.1


@pytest.mark.parametrize("digit", [0, *(pytest.param(d, marks=pytest.mark.slow) for d in (3, 8))])
def test_a_whole_class_of_digits(digits: Project, fit: ExactFit, before: Tensor, digit: int) -> None:
    """One step is off by three times, adding up by ten and more; the iterated step is the refit."""
    rows = (labels(digits) == digit).nonzero()[:, 0].tolist()
    actual = oracles.softmax_refit(digits, rows) - before
    one, two, last, removal = effects(fit, rows)
    assert slope(one, actual) > 3
    assert slope(two, actual) > 1.5
    assert slope(removal.added_up(ALL), actual) > 10
    assert oracles.relative(last, actual) < 0.01
    assert removal.gradient_norm < 1e-9
    assert 4 <= removal.steps <= 12


def test_half_classes_and_the_most_helpful_rows_of_digits(digits: Project, fit: ExactFit, before: Tensor) -> None:
    scores = fit.fitted.scores(ALL).values
    worst = int(scores.abs().amax(1).argmax())
    groups = [
        (labels(digits) == 8).nonzero()[::2, 0].tolist(),
        scores.sum(0).argsort(descending=True)[:100].tolist(),
        scores[worst].argsort(descending=True)[:50].tolist(),
    ]
    for rows in groups:
        actual = oracles.softmax_refit(digits, rows) - before
        one, two, last, removal = effects(fit, rows)
        added = removal.added_up(ALL)
        assert oracles.relative(added, actual) > 0.45
        assert slope(added, actual) > 1.7
        assert oracles.relative(one, actual) < oracles.relative(added, actual) / 2
        assert oracles.relative(two, actual) < 0.02
        assert oracles.relative(last, actual) < 0.01


def test_one_row_alone_is_the_newton_score(digits: Project, fit: ExactFit) -> None:
    newton = Newton().fit(digits).scores(ALL).values
    for row in (5, 700):
        assert oracles.relative(remove_group(fit, [row], 1).effects(ALL), newton[:, row]) < 1e-8


@pytest.mark.parametrize("steps", [1, 2, None])
@pytest.mark.parametrize("curvature", ["hessian", "gauss-newton"])
def test_a_head_and_the_same_layer_as_any_model_agree(steps: group.Steps, curvature: str) -> None:
    """The latter has a null space, so it is damped; on a softmax both curvatures are one."""
    project = samples.sample("head")
    opaque = replace(project, model=Opaque(project.model).eval())  # type: ignore[arg-type]
    method = Exact(0.1, curvature=curvature)  # type: ignore[arg-type]
    rows = [1, 5, 6, 22]
    head, general = (remove_group(method.prepare(each), rows, steps) for each in (project, opaque))
    assert head.steps == general.steps
    for target in (Target(), Target("margin", "predicted")):
        assert oracles.relative(general.effects(range(6), target), head.effects(range(6), target)) < 1e-6


def test_a_network_is_moved_to_the_optimum_that_the_rest_leaves() -> None:
    """Against many steps of plain gradient descent on the remaining objective, from the network's own optimum."""
    project = samples.sample("mlp")
    project = replace(project, model=descended(project, list(range(30))))
    rows = [2, 9, 17]
    found = remove_group(Exact(0.05).prepare(project), rows)
    expected = descended(project, [i for i in range(30) if i not in rows])
    assert found.gradient_norm < 1e-6
    flat = torch.cat([p.detach().reshape(-1) for p in expected.parameters()])
    assert oracles.relative(found.parameters, flat) < 1e-3


def descended(project: Project, rows: list[int]) -> nn.Module:
    """The network at the minimum of its objective over some rows, 1/n kept."""
    model = copy.deepcopy(project.model)
    inputs, classes = (
        torch.stack([project.train[i][0] for i in rows]),
        torch.tensor([project.train[i][1] for i in rows]),
    )
    optimiser = torch.optim.LBFGS(
        model.parameters(), max_iter=4000, tolerance_grad=1e-11, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), classes, reduction="sum") / len(project.train)
        loss = loss + project.task.penalty(dict(model.named_parameters()))
        loss.backward()
        return loss

    optimiser.step(closure)
    return model


def test_order_and_repeats_of_the_ids_change_nothing(fit: ExactFit) -> None:
    first, again = remove_group(fit, [3, 1, 2]), remove_group(fit, [2, 3, 1, 1, 3])
    assert torch.equal(first.parameters, again.parameters)
    assert first.train_ids == again.train_ids == (1, 2, 3)


def test_nothing_removed_is_no_change(fit: ExactFit) -> None:
    nothing = remove_group(fit, [])
    assert (nothing.steps, float(nothing.effects(ALL).abs().max())) == (0, 0.0)


def test_a_project_and_a_prepared_newton_are_taken_too() -> None:
    project = wine(1)
    found = [remove_group(given, [4, 5], 1) for given in (project, Newton().prepare(project))]
    assert torch.equal(found[0].parameters, found[1].parameters)


def test_a_damping_that_is_chosen_is_the_one_of_the_scores() -> None:
    project = wine(1)
    fit = Exact("auto").prepare(project)
    chosen = fit.fitted.factor.damping
    assert chosen > 0
    same = remove_group(Exact(chosen).prepare(project), [4, 5], 1)
    assert torch.equal(remove_group(fit, [4, 5], 1).parameters, same.parameters)
    assert not torch.equal(remove_group(project, [4, 5], 1).parameters, same.parameters)


def test_a_group_that_holds_a_direction_alone_is_refused() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(20, 3)
    inputs[5:, 2] = 0
    rows = [(x, float(x.sum())) for x in inputs]
    project = Project("alone", nn.Linear(3, 1, bias=False).eval(), RegressionTask(), rows, rows[:2])
    with pytest.raises(
        CurvatureError, match=r"Without 5 of the 20 training examples .* use damping of at least"
    ) as caught:
        remove_group(project, range(5), 1)
    enough = float(str(caught.value).partition("at least ")[2].partition(",")[0])
    assert remove_group(Exact(enough).prepare(project), range(5), 1).parameters.isfinite().all()
    assert remove_group(project, range(4), 1).parameters.isfinite().all()


def test_an_indefinite_curvature_is_refused() -> None:
    project = samples.sample("mlp")
    with torch.no_grad():
        project.model.get_parameter("2.weight").mul_(-3)  # far from the optimum
    with pytest.raises(CurvatureError, match="lowest eigenvalue is -"):
        remove_group(project, [1, 2], 1)


def test_an_end_that_is_not_reached_is_said(fit: ExactFit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "MAX_STEPS", 2)
    with pytest.raises(CurvatureError, match=r"without 200 training examples stopped at a gradient norm of .* 2 steps"):
        remove_group(fit, range(200))


def test_an_id_that_is_none_is_named(fit: ExactFit) -> None:
    with pytest.raises(UnknownNameError, match="no training example 1437; ids run from 0 to 1436"):
        remove_group(fit, [0, 1437])
    with pytest.raises(UnknownNameError, match="no test example 360"):
        remove_group(fit, [0], 1).effects([360])


def test_an_unpenalised_intercept_of_a_head_is_moved_as_well() -> None:
    task = ClassificationTask(3, 0.05, penalise_intercept=False)
    rows = samples.rows(40)
    inputs, classes = torch.stack([x for x, _ in rows]), torch.tensor([y for _, y in rows])
    project = Project("intercept", fit_head(inputs, classes, task), task, rows, rows[:5])
    weights = torch.ones(40)
    weights[:10] = 0
    expected = fit_head(inputs, classes, task, weights)
    moved = remove_group(project, range(10)).effects(range(5))
    logits = [m(inputs[:5]).detach() for m in (project.model, expected)]
    before, after = (nn.functional.cross_entropy(z, classes[:5], reduction="none") for z in logits)
    assert oracles.relative(moved, after - before) < 1e-6
