"""Weighted sums of measurements and sums over layers: both are what they are made of, for every method."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from influence_core.combination import Combination, Term
from influence_core.errors import MethodError, NotSolvedError, TargetError, UnknownNameError
from influence_core.gradients import FunctionalModel
from influence_core.methods import METHODS, ConjugateGradients, Exact, combined
from influence_core.project import Project
from influence_core.store import Workspace, build
from influence_core.target import Target
from tests import oracles
from tests.influence_core.every_method import DAMPING, RANGE, error_of, has, precise, project_of

EVERY = pytest.mark.parametrize("name", METHODS)
MIXED = Combination(
    (Term(2), Term(4, Target("margin", 1), -0.5), Term(2, Target("logit", 0), 3.0), Term(1, Target(), 0.25))
)


@EVERY
def test_a_combination_has_the_sum_of_its_terms_scores(name: str) -> None:
    fitted = precise(name).fit(project_of())
    found = combined(fitted, MIXED)
    expected = sum(t.weight * fitted.scores([t.test_id], t.target).values[0].double() for t in MIXED.terms)
    assert oracles.relative(found.values, expected) < 10 * error_of(name, 1e-8)  # type: ignore[arg-type]
    assert found.converged
    assert found.method == name
    assert "nats" in found.unit or not METHODS[name].is_estimate
    top, bottom = found.top(3), found.bottom(3)
    assert top[0].score == float(found.values.max()) or not top
    assert bottom[0].score == float(found.values.min()) or not bottom


def test_a_combination_is_solved_once() -> None:
    """By brute force too: the summed gradient of the user's own module, one dense solve."""
    project = project_of()
    fitted = precise("cg").fit(project)
    found = combined(fitted, MIXED)
    assert len(found.solves) == 1
    parameters = list(project.model.parameters())
    x = torch.stack([row for row, _ in project.test])
    logits = project.model(x)
    losses = torch.nn.functional.cross_entropy(logits, torch.tensor([y for _, y in project.test]), reduction="none")
    others = torch.stack([logits[4, 0], logits[4, 2]]).logsumexp(dim=0)
    # a larger margin or logit is better, so that both are negated
    measured = losses[2] - -0.5 * (logits[4, 1] - others) - 3.0 * logits[2, 0] + 0.25 * losses[1]
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(measured, parameters)])
    exact = Exact(DAMPING, "gauss-newton").fit(project)
    damped = exact.curvature + DAMPING * torch.eye(len(gradient))
    rows = FunctionalModel.of(project).loss_gradients(_batch(project))
    assert oracles.relative(found.values, rows @ torch.linalg.solve(damped, gradient) / 30) < 1e-8


def test_a_mean_helps_the_group_and_a_difference_the_first_of_two() -> None:
    """The sign, by what a step without the training example does to the measurement itself."""
    fitted = precise("exact").fit(project_of())
    losses = fitted.scores(RANGE).values
    mean = combined(fitted, Combination.mean_of(RANGE))
    assert oracles.relative(mean.values, losses.mean(dim=0)) < 1e-12
    assert mean.unit == "nats"
    difference = combined(fitted, Combination.difference(Term(1), Term(3)))
    assert oracles.relative(difference.values, losses[1] - losses[3]) < 1e-12
    logit = combined(fitted, Combination((Term(0, Target("logit", 2)),)))
    assert oracles.relative(logit.values, fitted.scores([0], Target("logit", 2)).values[0]) < 1e-12
    assert logit.unit == "logits"


def test_what_a_projection_leaves_out_is_stated_of_a_combination_too() -> None:
    fitted = precise("arnoldi", kept=5).fit(project_of())
    ids = [1, 4]
    assert combined(fitted, Combination.mean_of(ids)).outside == fitted.scores(ids).outside


def test_a_combination_that_cannot_be_is_refused_in_a_sentence() -> None:
    fitted = precise("exact").fit(project_of())
    with pytest.raises(TargetError, match="A combination of no measurements measures nothing; name at least one"):
        Combination.mean_of([])
    with pytest.raises(TargetError, match="The weight of test example 3 is nan; it must be a finite number"):
        Combination((Term(3, weight=float("nan")),))
    with pytest.raises(UnknownNameError, match="no test example 9"):
        combined(fitted, Combination.mean_of([0, 9]))
    with pytest.raises(TargetError, match="has no measure 'value'"):
        combined(fitted, Combination.mean_of([0], Target("value")))


def test_a_combination_that_is_not_solved_is_no_answer() -> None:
    fitted = ConjugateGradients(damping=1e-4, tolerance=1e-11, steps=2, precision="float64").fit(project_of())
    assert not combined(fitted, MIXED).converged


@pytest.mark.parametrize("name", ["exact", "logra", "cg", "similarity"])
def test_a_folder_adds_up_what_it_holds(name: str, tmp_path: Path) -> None:
    project = project_of()
    build(project, tmp_path / "w", precise(name))
    run = Workspace(tmp_path / "w").run()
    live = precise(name).fit(project)
    mean = Combination.mean_of([1, 4, 5])
    assert oracles.relative(run.combined(mean).values, combined(live, mean).values) < 1e-5
    if METHODS[name].is_direct:  # any target is answered from the folder
        assert oracles.relative(run.combined(MIXED).values, combined(live, MIXED).values) < 1e-5
        assert run.combined(MIXED).unit == "nats and logits"
    elif METHODS[name].is_estimate:
        with pytest.raises(NotSolvedError, match="for the margin of '1'"):
            run.combined(MIXED)


# --- layers ---------------------------------------------------------------------------------------------------

LAYERED = ("exact", "cg", "lissa", "ekfac", "logra")


@pytest.mark.parametrize("net", ["mlp", "convolved", "normed", "head", "dict"])
@pytest.mark.parametrize("name", LAYERED)
def test_layers_add_up_and_each_is_the_solved_gradient_times_its_own(name: str, net: str) -> None:
    project = project_of(net)
    steep = {"damping": 20.0} if net == "dict" else {}
    fitted = precise(name, **steep).fit(project)
    target = Target("margin", 1)
    by_layer, whole = fitted.layer_scores([0, 3], target), fitted.scores([0, 3], target).values
    error = error_of(name, 1e-10)
    assert oracles.relative(sum(by_layer.values()), whole) < (1e-10 if name != "lissa" else 1e-9)  # type: ignore[arg-type]
    if name == "ekfac":
        return  # its own curvature; compared layer by layer with the dense matrix in test_ekfac.py
    exact = Exact(steep.get("damping", DAMPING), "gauss-newton").fit(replace(project, task=project.task))
    model = FunctionalModel.of(project)
    curvature = _general_curvature(project, model)
    columns = model.measurement_gradients(_batch(project, "test"), target)[[0, 3]].mT
    solved = torch.linalg.solve(curvature + exact.factor.damping * torch.eye(model.vector.size), columns)
    rows = model.loss_gradients(_batch(project))
    assert list(by_layer) == list(model.vector.layers)
    for layer, places in model.vector.layers.items():
        at = torch.cat([torch.arange(model.vector.size)[place] for place in places])
        expected = -(rows[:, at] @ solved[at]).mT / 30  # a larger margin is better
        assert oracles.relative(by_layer[layer], expected) < max(1e-7, 10 * error), layer


@pytest.mark.parametrize("name", [name for name in METHODS if name not in LAYERED])
def test_methods_without_layers_name_some_that_have_them(name: str) -> None:
    fitted = precise(name).fit(project_of())
    with pytest.raises(MethodError, match=f"Scores of the method {name} are no sum over layers; use exact, logra, cg"):
        fitted.layer_scores([0])


def test_a_solve_that_stalled_gives_no_layers() -> None:
    fitted = precise("cg", damping=1e-4, steps=2).fit(project_of())
    assert has("cg", "steps")
    with pytest.raises(MethodError, match="The residual stayed above the tolerance of 1e-11"):
        fitted.layer_scores([0])


def _batch(project: Project, split: Any = "train") -> Any:
    rows = project.split(split)
    return next(FunctionalModel.of(project).batches(rows, len(rows)))[1]


def _general_curvature(project: Project, model: FunctionalModel) -> torch.Tensor:
    """Dense sum of ``J^T H_z J``, one row after the other, and the L2 penalty."""
    batch = _batch(project)
    jacobian, curved = model.output_jacobians(batch), model.output_curvature(batch)
    total = sum(j.mT @ c @ j for j, c in zip(jacobian, curved, strict=True)) / 30
    return total + 0.05 * torch.eye(model.vector.size)
