"""Damping that nobody has to choose: its rule, the spectral filter against real unfinished training, its record."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from influence_core.errors import CurvatureError, ProjectError
from influence_core.evaluation.agreement import pearson_and_slope
from influence_core.methods import Arnoldi, Exact
from influence_core.project import SGD, Project
from influence_core.solvers.damping import CAP, Damping, MeanEigenvalue, SpectralFilter, choose
from influence_core.solvers.eigen import Eigen
from influence_core.store import OnDemand, Workspace, build
from influence_core.target import Target
from influence_core.task import RegressionTask
from tests import oracles
from tests.influence_core import samples

RECIPES = [SGD(0.05, 0.0, 200), SGD(0.01, 0.9, 200)]
DECAY = 1e-3
ARNOLDI = Arnoldi(krylov=200, kept=200, precision="float64")


# --- the filter ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_filter_is_what_small_steps_add_up_to(momentum: float) -> None:
    """On ``e w^2 / 2 - g w``, gradient descent from zero ends at ``f(e) g``."""
    values = torch.tensor([0.0, 1e-4, 0.01, 0.3, 2.0])
    rate, steps = 1e-3 * (1 - momentum), 5_000
    w, speed = torch.zeros(5), torch.zeros(5)
    for _ in range(steps):
        speed = momentum * speed + values * w - 1
        w = w - rate * speed
    expected = SpectralFilter(rate, momentum, steps).apply(values)
    assert torch.allclose(w, expected, rtol=3e-3)
    assert float(expected[0]) == pytest.approx(5)


def test_a_long_training_inverts_and_a_negative_eigenvalue_is_capped() -> None:
    long = SpectralFilter(0.1, 0.9, 1_000_000)
    values = torch.tensor([-1e12, -3.0, -1e-9, 0.0, 1e-9, 0.5, 7.0])
    found = long.apply(values)
    assert bool((found.isfinite() & (found > 0)).all())
    assert torch.allclose(found[-2:], 1 / values[-2:])
    assert torch.allclose(found[:2], -1 / values[:2])  # as |H| would
    at_cap = -CAP / long.reach
    around = long.apply(torch.tensor([at_cap * (1 + 1e-9), at_cap * (1 - 1e-9)]))
    assert float(around[0]) == pytest.approx(float(around[1]), rel=1e-6)  # no jump where the cap begins


def unfinished(recipe: SGD, inputs: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Ridge by gradient descent from zero, all at once for each column of weights: shapes (n, r) to (p, r)."""
    w = torch.zeros(inputs.shape[1], weights.shape[1])
    speed = torch.zeros_like(w)
    for _ in range(recipe.steps):
        slope = 2 * inputs.mT @ (weights * (inputs @ w - labels[:, None])) / len(inputs) + DECAY * w
        speed = recipe.momentum * speed + slope
        w = w - recipe.learning_rate * speed
    return w


def left_out(recipe: SGD, signal: float, noise: float) -> tuple[Project, Tensor]:
    """A ridge regression whose training stopped early, and how 10 losses change by training without each row."""
    scales = torch.logspace(0, -1.5, 8)
    inputs, tests = torch.randn(300, 8) * scales, torch.randn(10, 8) * scales
    truth = signal * torch.randn(8)
    labels, measured = inputs @ truth + noise * torch.randn(300), tests @ truth + noise * torch.randn(10)
    model = nn.Linear(8, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(unfinished(recipe, inputs, labels, torch.ones(300, 1)).mT)
    train, test = (
        [(x, float(y)) for x, y in zip(*rows, strict=True)] for rows in ((inputs, labels), (tests, measured))
    )
    project = Project("ridge", model.eval(), RegressionTask(DECAY), train, test, recipe=recipe)
    before = (tests @ model.weight.detach().mT - measured[:, None]).square()
    after = (tests @ unfinished(recipe, inputs, labels, 1 - torch.eye(300)) - measured[:, None]).square()
    return project, (after - before).flatten()


def against(change: Tensor, project: Project, damping: Damping) -> tuple[float, float, float]:
    """Pearson, slope and relative error of all scores."""
    values = Exact(damping).fit(project).scores(range(10)).values.flatten()
    return *pearson_and_slope(values, change), oracles.relative(values, change)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_filter_predicts_leaving_a_row_out_of_an_unfinished_training(recipe: SGD, seed: int) -> None:
    """Every row, by really training without it; the solve for a finished training is far off."""
    torch.manual_seed(seed)
    project, change = left_out(recipe, signal=1.0, noise=1.0)
    pearson, slope, error = against(change, project, "auto")
    assert pearson > 0.985
    assert slope == pytest.approx(1, abs=0.05)
    assert error < 0.2
    finished = against(change, project, 0.0)
    assert finished[1] < 0.9
    assert finished[2] > 2 * error
    assert oracles.relative(*(m.fit(project).scores([0]).values for m in (ARNOLDI, Exact("auto")))) < 1e-8


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("recipe", RECIPES)
def test_where_gradients_still_shrink_the_filter_is_closer_than_any_solve_without_damping(
    recipe: SGD, seed: int
) -> None:
    """It takes a row's gradient at the end for that of all steps, which is coarse while the model is still fitting."""
    torch.manual_seed(seed)
    project, change = left_out(recipe, signal=2.0, noise=0.3)
    filtered, finished = (against(change, project, damping) for damping in ("auto", 0.0))
    assert filtered[0] > finished[0]
    assert filtered[2] < finished[2]


# --- the rule -----------------------------------------------------------------------------------------------------


def test_without_a_recipe_it_is_a_tenth_of_the_mean_eigenvalue() -> None:
    project = samples.sample("mlp")
    for curvature in ("gauss-newton", "hessian"):
        chosen: Any = Exact("auto", curvature=curvature)
        fitted = chosen.fit(project)
        damping = 0.1 * float(fitted.curvature.diagonal().mean())
        expected = Exact(damping, curvature=curvature).fit(project).scores(range(6)).values  # type: ignore[arg-type]
        found = fitted.scores(range(6))
        assert found.damping == pytest.approx(damping)
        assert found.damping_rule == f"damping {damping:.3g} = 0.1 × the mean eigenvalue"
        assert oracles.relative(found.values, expected) < 1e-12


def test_arnoldi_knows_the_same_mean_without_the_matrix() -> None:
    project = samples.sample("mlp")
    exact = Exact("auto", "gauss-newton").fit(project).factor.damping
    assert ARNOLDI.fit(project).factor.damping == pytest.approx(exact)
    assert replace(ARNOLDI, kept=10).fit(project).factor.damping == pytest.approx(exact, rel=0.15)


def test_a_recipe_filters_and_says_its_numbers() -> None:
    project = replace(samples.sample("mlp"), recipe=SGD(0.1, 0.9, 2_000))
    fitted = Exact("auto").fit(project)
    found = fitted.scores(range(6))
    assert found.damping_rule == "spectral filter of 2,000 steps of SGD (learning rate 0.1, momentum 0.9)"
    values, vectors = torch.linalg.eigh(fitted.curvature)
    filtered = vectors * SpectralFilter(0.1, 0.9, 2_000).apply(values) @ vectors.mT
    expected = fitted.tests.gradients(range(6), Target()).mT @ filtered @ fitted.rows.dense(0, 30).mT / 30
    assert oracles.relative(found.values, expected) < 1e-10
    own = torch.einsum("np,pq,nq->n", *(fitted.rows.dense(0, 30), filtered, fitted.rows.dense(0, 30))) / 30
    assert oracles.relative(fitted.self_influence(), own) < 1e-10
    assert found.residual < 1e-10


def test_a_recipe_changes_nothing_where_damping_is_a_number() -> None:
    project = samples.sample("mlp")
    plain = Exact(0.5).fit(project).scores([0])
    known = Exact(0.5).fit(replace(project, recipe=RECIPES[0])).scores([0])
    assert torch.equal(plain.values, known.values)
    assert known.damping_rule == ""


def test_the_filter_serves_an_indefinite_hessian() -> None:
    project = replace(samples.sample("attention"), recipe=SGD(0.1, 0.0, 50))
    fitted = Exact("auto").fit(project)
    assert fitted.factor.lowest_eigenvalue < -1
    assert bool(fitted.scores(range(6)).values.isfinite().all())


def test_no_share_of_a_mean_below_zero_is_a_damping() -> None:
    with pytest.raises(CurvatureError, match=r"mean eigenvalue is -0\.5, .* Gauss-Newton"):
        choose("auto", None, -0.5)
    assert MeanEigenvalue(share=0.2).damping(3) == pytest.approx(0.6)


@pytest.mark.parametrize("kind", [Exact, Arnoldi])
def test_a_word_that_is_no_damping_is_refused(kind: Any) -> None:
    with pytest.raises(CurvatureError, match=r"Damping is 'some'; .* or auto\."):
        kind(damping="some").fit(samples.sample("mlp"))


@pytest.mark.parametrize("numbers", [(0.0, 0.0, 5), (-0.1, 0.0, 5), (0.1, 1.0, 5), (0.1, 0.0, 0), (float("nan"), 0, 5)])
def test_a_recipe_that_trains_nothing_is_refused(numbers: tuple[float, float, int]) -> None:
    with pytest.raises(ProjectError, match="trains nothing"):
        SGD(*numbers)


def test_another_damping_takes_the_filter_away() -> None:
    factor = Eigen(filter=SpectralFilter(0.1, 0.0, 3)).factorise(torch.eye(4))
    columns = torch.randn(4, 2)
    assert torch.allclose(factor.with_damping(1.0).solve(columns), columns / 2)
    assert torch.allclose(factor.multiply(factor.solve(columns)), columns)
    assert torch.allclose(factor.whiten(columns).square().sum(0), (columns * factor.solve(columns)).sum(0))


# --- in a workspace -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [Exact("auto"), replace(ARNOLDI, kept=20)], ids=["exact", "arnoldi"])
@pytest.mark.parametrize("recipe", [None, SGD(0.1, 0.9, 40)], ids=["mean", "filter"])
def test_a_run_keeps_what_was_used(tmp_path: Path, method: Any, recipe: SGD | None) -> None:
    project = replace(samples.sample("mlp"), recipe=recipe)
    live = method.fit(project)
    run = build(project, tmp_path / "w", method, test_limit=4).run()
    expected = live.scores([2], Target("margin"))
    assert run.damping == pytest.approx(live.factor.damping, rel=1e-6)
    assert (run.damping_rule, run.is_filtered) == (expected.damping_rule, recipe is not None)
    stored = run.scores(int(run.solved[0]))
    assert stored.damping_rule == run.damping_rule
    OnDemand(run, replace(project, recipe=None)).solve(2, run.target)  # the run's own factor, whatever is known today
    found = run.scores(2, Target("margin"))
    assert oracles.relative(found.values, expected.values) < 1e-5
    assert (found.damping_rule, found.damping) == (run.damping_rule, run.damping)
    other = run.scores(2, damping=0.7)
    assert (other.damping, other.damping_rule) == (0.7, "")
    assert oracles.relative(other.values, replace(method, damping=0.7).fit(project).scores([2]).values) < 1e-5


def test_damping_zero_is_another_question_than_a_filter(tmp_path: Path) -> None:
    project = replace(samples.sample("regression"), recipe=SGD(0.01, 0.0, 20))
    run = build(project, tmp_path / "w", Exact("auto")).run()
    assert run.damping == 0
    plain = run.scores(1, damping=0.0)
    assert oracles.relative(plain.values, Exact().fit(project).scores([1]).values) < 1e-5
    assert oracles.relative(plain.values, run.scores(1).values) > 0.1


def test_another_recipe_is_another_run_where_it_is_used(tmp_path: Path) -> None:
    project = samples.sample("mlp")
    first, second = (replace(project, recipe=SGD(0.1, 0.0, steps)) for steps in (50, 60))
    for one in (project, first, second, first):
        build(one, tmp_path / "w", Exact("auto"))
    runs = Workspace(tmp_path / "w").runs
    assert len({run.id for run in runs}) == 3
    kept = [run.record.recipe for run in runs if run.record.recipe is not None]
    assert sorted(asdict(one)["steps"] for one in kept) == [50, 60]
    for one in (project, first):
        build(one, tmp_path / "w", Exact(0.5))
    assert len(Workspace(tmp_path / "w").runs) == 4
