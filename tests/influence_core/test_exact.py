"""The number itself: against closed forms, refits and brute force."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from influence_core.errors import CurvatureError
from influence_core.evaluation.agreement import pearson_and_slope
from influence_core.evaluation.leave_one_out import Measured, refitted_scores
from influence_core.heads import find_head
from influence_core.methods import Exact
from influence_core.project import Project, batches
from influence_core.removal.head_fit import fit_head
from influence_core.target import Target
from influence_core.task import ClassificationTask, RegressionTask
from tests import oracles
from tests.influence_core import samples


@pytest.fixture(scope="module")
def ridge() -> oracles.Ridge:
    return oracles.Ridge.make()


def ridge_project(ridge: oracles.Ridge) -> Project:
    items = list(zip(ridge.inputs, ridge.labels.tolist(), strict=True))
    return Project("ridge", ridge.model(), RegressionTask(oracles.RIDGE_PENALTY), items[:100], items[100:])


def test_ridge_influence_equals_the_closed_form(ridge: oracles.Ridge) -> None:
    """First order on six test rows at once: scores are linear in the measurement."""
    assert float(ridge.mean_test_loss(ridge.optimum())) == pytest.approx(oracles.RIDGE_LOSS, rel=1e-11)
    scores = Exact().fit(ridge_project(ridge)).scores([i - 100 for i in oracles.RIDGE_TEST]).values.mean(0)
    assert scores[:5].tolist() == pytest.approx(oracles.RIDGE_INFLUENCE, rel=1e-9)
    assert float(scores.sum()) == pytest.approx(oracles.RIDGE_INFLUENCE_SUM, rel=1e-9)
    assert (int(scores.argmax()), int(scores.argmin())) == (14, 52)


def test_ridge_refits_equal_leave_one_out(ridge: oracles.Ridge) -> None:
    """The engine's own refits give the published leave-one-out changes, and first order its known 22 % shortfall."""
    project = ridge_project(ridge)
    fit = Exact().prepare(project)
    assert fit.head is not None
    seen = fit.head.read(fit.model, project, "train")
    problem = fit.head.problem(seen.inputs, seen.labels)
    tests = fit.tests.read([i - 100 for i in oracles.RIDGE_TEST])
    measured = Measured(tests, project.task, Target())
    changes = refitted_scores(problem, problem.coefficients(fit.head.layer), measured, range(100)).mean(1)
    assert changes[:5].tolist() == pytest.approx(oracles.RIDGE_REFITTED, rel=1e-9)
    brute = [float(ridge.mean_test_loss(ridge.optimum(i))) - oracles.RIDGE_LOSS for i in range(5)]
    assert brute == pytest.approx(oracles.RIDGE_REFITTED, rel=1e-9)
    scores = Exact().fit(project).scores([i - 100 for i in oracles.RIDGE_TEST]).values.mean(0)
    pearson, slope = pearson_and_slope(scores, changes)
    assert pearson == pytest.approx(oracles.RIDGE_PEARSON, abs=1e-7)
    assert slope == pytest.approx(oracles.RIDGE_SLOPE, abs=1e-7)
    assert spearmanr(scores, changes).statistic == pytest.approx(oracles.RIDGE_SPEARMAN, abs=1e-7)


def test_binary_logistic_self_influence() -> None:
    """Self-influence x n = sigma(-y theta.x)^2 x^T H^-1 x, without bias, with L2."""
    x = torch.randn(60, 3)
    y = torch.where(x @ torch.tensor([1.0, -2.0, 0.5]) + torch.randn(60) > 0, 1.0, -1.0)
    theta = torch.zeros(3, requires_grad=True)
    decay = 0.1
    optimiser = torch.optim.LBFGS([theta], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = nn.functional.softplus(-y * (x @ theta)).mean() + decay / 2 * theta.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    theta = theta.detach()
    p = torch.sigmoid(x @ theta)
    hessian = (x * (p * (1 - p))[:, None]).mT @ x / 60 + decay * torch.eye(3)
    expected = torch.sigmoid(-y * (x @ theta)).square() * (x * torch.linalg.solve(hessian, x.mT).mT).sum(1) / 60
    # the same model as two softmax logits +-theta/2, whose penalty is half as large for the same weight decay
    model = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.stack([-theta / 2, theta / 2]))
    items = [(row, int(label > 0)) for row, label in zip(x, y, strict=True)]
    fitted = Exact().fit(Project("binary", model.eval(), ClassificationTask(2, 2 * decay), items, items[:5]))
    assert oracles.relative(fitted.self_influence(), expected) < 1e-9


def test_digits_scores_equal_an_independent_closed_form(digits: Project) -> None:
    scores = Exact().fit(digits).scores(range(len(digits.test))).values
    train, test = list(digits.train), list(digits.test)
    model = digits.model
    assert isinstance(model, nn.Linear)
    expected = oracles.softmax_scores(
        torch.stack([x for x, _ in train]).double(),
        torch.tensor([int(y) for _, y in train]),
        torch.stack([x for x, _ in test]).double(),
        torch.tensor([int(y) for _, y in test]),
        model.weight.detach(),
        model.bias.detach(),
        1 / 1437,
    )
    assert oracles.relative(scores, expected) < 1e-8


@pytest.mark.parametrize("name", samples.NAMES)
@pytest.mark.parametrize("curvature", ["hessian", "gauss-newton"])
def test_scores_equal_brute_force_autograd(name: str, curvature: str) -> None:
    """Dense Hessian and gradients by nested torch.autograd on the model itself, another code path altogether."""
    project = samples.sample(name)
    damping = 20.0 if name == "attention" else 0.5  # its Hessian has an eigenvalue of -7.8
    fitted = Exact(damping, curvature=curvature).fit(project)  # type: ignore[arg-type]
    parameters = [p for p in project.model.parameters() if p.requires_grad]
    train, test = _batch(project.train), _batch(project.test)

    def gradients(batch: object, values: torch.Tensor) -> torch.Tensor:
        return torch.stack(
            [torch.cat([g.flatten() for g in torch.autograd.grad(v, parameters, retain_graph=True)]) for v in values]
        )

    task = project.task
    train_gradients = gradients(train, task.losses(task.outputs(project.model, train), train))
    test_gradients = gradients(test, task.losses(task.outputs(project.model, test), test))
    hessian = _brute_hessian(project, parameters, train)
    if curvature == "gauss-newton" and name not in ("head", "regression"):
        hessian = fitted.curvature  # checked against curvlinops in tests/peers; here only what follows from it
    solved = torch.linalg.solve(hessian + damping * torch.eye(len(hessian)), train_gradients.mT)
    expected = test_gradients @ solved / len(project.train)
    assert oracles.relative(fitted.scores(range(6)).values, expected) < 1e-9
    own = (train_gradients.mT * solved).sum(0) / len(project.train)
    assert oracles.relative(fitted.self_influence(), own) < 1e-9


def _batch(dataset: object) -> object:
    return next(batches(dataset, len(dataset)))[1]  # type: ignore[arg-type]


def _brute_hessian(project: Project, parameters: list[nn.Parameter], batch: object) -> torch.Tensor:
    task = project.task
    objective = task.losses(task.outputs(project.model, batch), batch).mean()
    objective = objective + task.penalty(dict(project.model.named_parameters()))
    first = torch.cat([g.flatten() for g in torch.autograd.grad(objective, parameters, create_graph=True)])
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(f, parameters, retain_graph=True, materialize_grads=True)])
        for f in first
    ]
    return torch.stack(rows)


def test_every_target_is_the_change_of_its_measurement() -> None:
    """Sign and size per target, by finite differences of the row's weight instead of the formula."""
    small = Project("small", nn.Linear(5, 3), ClassificationTask(3, 0.05), samples.rows(25), samples.rows(4))
    small = replace(small, model=_refit(small, torch.ones(25)))
    task = small.task
    step = 1e-5
    weights = torch.ones(25)
    weights[7] = 1 - step
    moved = _refit(small, weights)
    batch = _batch(small.test)
    for target in (
        Target(),
        Target("loss", 2),
        Target("logit"),
        Target("margin", "predicted"),
        Target("logit", 1),
    ):
        before = task.measurements(task.outputs(small.model, batch), batch, target)
        after = task.measurements(task.outputs(moved, batch), batch, target)
        change = (after - before) / step * (-1 if target.larger_is_better else 1)
        score = Exact().fit(small).scores(range(4), target).values[:, 7]
        assert oracles.relative(score, change.detach()) < 1e-3


def _refit(project: Project, weights: torch.Tensor) -> nn.Module:
    inputs = torch.stack([x for x, _ in project.train])
    labels = torch.tensor([y for _, y in project.train])
    return fit_head(inputs, labels, project.task, weights)  # type: ignore[arg-type]


@pytest.mark.parametrize("measure", ["helpful", "harmful"])
def test_removing_the_top_example_moves_the_loss_as_its_word_says(digits: Project, measure: str) -> None:
    fitted = Exact().fit(digits)
    test_id = int(fitted.scores(range(60)).values.abs().max(1).values.argmax())
    scores = fitted.scores([test_id])
    chosen = (scores.top if measure == "helpful" else scores.bottom)(test_id, 1)[0]
    weights = torch.ones(len(digits.train))
    weights[chosen.train_id] = 0
    assert digits.fit is not None
    refitted = digits.fit(digits.train, weights, 0)
    x, y = digits.test[test_id]
    label = torch.tensor([int(y)])
    with torch.no_grad():
        loss = [float(nn.functional.cross_entropy(m(x[None].double()), label)) for m in (digits.model, refitted)]
    assert (loss[1] > loss[0]) == (measure == "helpful")


def test_unpenalised_intercepts_are_solved_on_their_complement() -> None:
    task = ClassificationTask(3, 0.05, penalise_intercept=False)
    rows, tests = samples.rows(30), samples.rows(4)
    inputs, labels = torch.stack([x for x, _ in rows]), torch.tensor([y for _, y in rows])
    model = fit_head(inputs, labels, task)
    project = Project("intercept", model, task, rows, tests)
    closed = Exact().fit(project).scores(range(4)).values
    general = Exact().fit(Project("general", nn.Sequential(nn.Identity(), _Opaque(model)).eval(), task, rows, tests))
    assert find_head(Exact().prepare(project).model, project) is not None
    assert general.rows.__class__.__name__ == "DenseRows"
    assert oracles.relative(general.scores(range(4)).values, closed) < 1e-8
    weights = torch.ones(30)
    weights[3] = 1 - 1e-5
    moved = fit_head(inputs, labels, task, weights)
    batch = _batch(tests)
    change = (task.losses(moved(batch[0]), batch) - task.losses(model(batch[0]), batch)) / 1e-5  # type: ignore[index]
    assert oracles.relative(closed[:, 3], change.detach()) < 1e-3


class _Opaque(nn.Module):
    """The same layer, applied so that the closed form does not recognise it."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.layer.weight, self.layer.bias)


def test_an_indefinite_curvature_is_refused_with_the_damping_that_would_do() -> None:
    project = samples.sample("mlp")
    with torch.no_grad():
        project.model.get_parameter("2.weight").mul_(-3)  # far from the optimum
    with pytest.raises(CurvatureError, match="lowest eigenvalue") as caught:
        Exact().fit(project)
    words = str(caught.value)
    lowest = _number_after(words, "eigenvalue is ")
    enough = _number_after(words, "damping of at least ")
    assert lowest < 0 < enough
    assert Exact(enough).fit(project).factor.lowest_eigenvalue == pytest.approx(lowest, rel=1e-2)
    absolute = Exact(indefinite="absolute").fit(project)
    values, vectors = torch.linalg.eigh(absolute.curvature)
    rows = absolute.rows.dense(0, 30)
    gradients = absolute.tests.gradients(range(6), Target())
    expected = gradients.mT @ vectors @ torch.diag(1 / values.abs()) @ vectors.mT @ rows.mT / 30
    assert oracles.relative(absolute.scores(range(6)).values, expected) < 1e-8


def _number_after(words: str, phrase: str) -> float:
    return float(words.partition(phrase)[2].partition(",")[0])


@pytest.mark.parametrize("damping", [-0.1, float("nan"), float("inf")])
def test_impossible_damping_is_refused(damping: float) -> None:
    with pytest.raises(CurvatureError, match="0 or more"):
        Exact(damping).fit(samples.sample("head"))


def test_damping_is_added_once_and_changes_scores() -> None:
    project = samples.sample("head")
    plain, damped, again = (Exact(d).fit(project).scores([0]).values for d in (0.0, 0.1, 0.1))
    assert torch.equal(damped, again)
    assert oracles.relative(damped, plain) > 1e-2
    curvature = Exact().fit(project).curvature
    assert torch.equal(Exact(0.1).fit(project).curvature, curvature)


def test_numbers_are_plain() -> None:
    scores = Exact().fit(samples.sample("head")).scores([0])
    assert np.isfinite(scores.values.numpy()).all()
    assert scores.unit == "nats"
    assert scores.residual < 1e-10


class Summed(nn.Module):
    """The sum of token vectors; the padding token's is zero and stays so."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.out = nn.Embedding(7, 4, padding_idx=0), nn.Linear(4, 3)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.embedding(tokens).sum(dim=1)))


class WithoutPadding(Summed):
    """The same, with no parameter for the padding token."""

    def __init__(self, twin: Summed) -> None:
        super().__init__()
        self.out, self.embedding = twin.out, nn.Embedding.from_pretrained(twin.embedding.weight[1:].detach().clone())
        self.embedding.weight.requires_grad_(True)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        vectors = torch.cat([torch.zeros(1, 4), self.embedding.weight])
        return self.out(torch.tanh(nn.functional.embedding(tokens, vectors).sum(dim=1)))


@pytest.mark.parametrize("curvature", ["hessian", "gauss-newton"])
def test_a_padding_vector_is_never_trained(curvature: Any) -> None:
    rows = [(torch.randint(7, (5,)), i % 3) for i in range(34)]
    project = samples.trained(Summed(), ClassificationTask(3, 0.05), rows[:30], rows[30:])
    assert float(project.model.embedding.weight[0].detach().norm()) == 0
    twin = replace(project, model=WithoutPadding(project.model).eval())
    method = Exact(damping=3.0, curvature=curvature)
    expected = method.fit(twin).scores(range(4)).values
    assert oracles.relative(method.fit(project).scores(range(4)).values, expected) < 1e-10


class Squeezed(nn.Sequential):
    """One number a row, without a dimension of outputs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)[:, 0]


@pytest.mark.parametrize("curvature", ["hessian", "gauss-newton"])
def test_outputs_without_a_dimension_of_their_own_are_served(curvature: Any) -> None:
    items = [(x, float(x.sum())) for x, _ in samples.rows(20)]
    layers = nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1)
    flat = Project("flat", Squeezed(*layers).eval(), RegressionTask(0.1), items, items[:3])
    method = Exact(damping=5.0, curvature=curvature)
    expected = method.fit(replace(flat, model=nn.Sequential(*layers).eval())).scores(range(3)).values
    assert oracles.relative(method.fit(flat).scores(range(3)).values, expected) < 1e-10


def test_a_named_tuple_with_logits_is_served() -> None:
    class Named(nn.Linear):
        def forward(self, x: torch.Tensor) -> Output:
            return Output(super().forward(x), x)

    project = samples.sample("head")
    named = Named(5, 3)
    named.load_state_dict(project.model.state_dict())
    expected = Exact(0.5).fit(project).scores([0]).values
    assert oracles.relative(Exact(0.5).fit(replace(project, model=named.eval())).scores([0]).values, expected) < 1e-10


class Output(NamedTuple):
    logits: torch.Tensor
    inputs: torch.Tensor
