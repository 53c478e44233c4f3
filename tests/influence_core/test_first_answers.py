"""Answers at once by EK-FAC, the solves that replace them, and what the preconditioner changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from influence_core.errors import MethodError, NewerWorkspaceError, NotSolvedError
from influence_core.methods import ConjugateGradients, Ekfac, Exact, Lissa
from influence_core.solvers.cg import CGSolver
from influence_core.store import OnDemand, Workspace, build
from influence_core.store.manifest import RunRecord, read_record, write_record
from influence_core.target import Target
from tests import oracles
from tests.benchmarks import mlp
from tests.influence_core import samples
from tests.influence_core.test_store import Stopped, digests

CG = ConjugateGradients(damping=0.5, tolerance=1e-4)
LISSA = Lissa(damping=0.5, tolerance=1e-4, batch=8, passes=400)
METHOD = pytest.mark.parametrize("method", [CG, LISSA], ids=["cg", "lissa"])


@METHOD
def test_every_prediction_is_answered_at_once_and_the_solve_takes_its_place(method: Any, tmp_path: Path) -> None:
    project = samples.sample("mlp")
    run = build(project, tmp_path / "w", method, test_limit=2).run()
    assert run.has_first
    ekfac = Ekfac(damping=0.5).fit(project)
    for test_id in range(6):
        found = run.scores(test_id)
        assert found.converged
        assert found.is_first == (test_id not in run.solved)
        assert found.method == ("ekfac" if found.is_first else method.name)
        if found.is_first:
            assert oracles.relative(found.values, ekfac.scores([test_id]).values) < 1e-5
    asked = next(i for i in range(6) if i not in run.solved)
    OnDemand(run, project).solve(asked, Target())
    refined = Workspace(tmp_path / "w").run().scores(asked)
    assert not refined.is_first
    exact = Exact(damping=0.5, curvature="gauss-newton").fit(project).scores([asked]).values
    assert oracles.relative(refined.values, exact) < 1e-3
    assert run.self_influence_by == "ekfac"
    assert np.allclose(run.self_influence(), ekfac.self_influence().numpy(), rtol=1e-4)


def test_another_target_has_no_answer_at_once(tmp_path: Path) -> None:
    run = build(samples.sample("mlp"), tmp_path / "w", CG, test_limit=2).run()
    asked = next(i for i in range(6) if i not in run.solved)
    with pytest.raises(NotSolvedError):
        run.scores(asked, Target("margin", "true"))


def test_only_solved_predictions_count_as_solved(tmp_path: Path) -> None:
    run = build(samples.sample("mlp"), tmp_path / "w", CG, test_limit=2).run()
    ids, column = run.influenced(3)
    assert ids.tolist() == run.solved.tolist()
    assert len(column) == 2
    assert np.isnan(run.rows(0, 6)).all(axis=1).sum() == 4


def test_a_model_without_factors_is_solved_without(tmp_path: Path) -> None:
    project = samples.sample("tied")
    run = build(project, tmp_path / "w", CG, test_limit=1).run()
    assert not run.has_first
    assert run.self_influence() is None
    with pytest.raises(NotSolvedError):
        run.scores(next(i for i in range(6) if i not in run.solved))
    with pytest.raises(MethodError, match=r"'first.weight' is tied"):
        replace(CG, preconditioner="ekfac").fit(project)


def test_a_killed_build_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    project = samples.sample("mlp")
    build(project, tmp_path / "whole", CG, test_limit=3)
    told = 0

    def stop(_: object) -> None:
        nonlocal told
        told += 1
        if told > count:
            raise Stopped

    count = 0
    while True:
        told = 0
        try:
            build(project, tmp_path / "killed", CG, test_limit=3, progress=stop)
            break
        except Stopped:
            count += 9
    assert count > 9
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")


def test_a_run_of_an_older_version_is_read_and_not_added_to(tmp_path: Path) -> None:
    project = samples.sample("mlp")
    run = build(project, tmp_path / "w", replace(CG, preconditioner="none"), test_limit=2).run()
    record = read_record(run.folder / "run.json", RunRecord)
    older = {name: value for name, value in record.hyperparameters.items() if name != "preconditioner"}
    run.__dict__["record"] = record.model_copy(update={"hyperparameters": older})
    write_record(run.folder / "run.json", run.record)
    with pytest.raises(NewerWorkspaceError, match=r"before cg had preconditioner.*build it again"):
        OnDemand(run, project).solve(next(i for i in range(6) if i not in run.solved), Target())


def test_a_preconditioner_that_saves_nothing_is_left_out() -> None:
    """On this tiny net the regulariser is most of the curvature: plain steps are fewer. EK-FAC still answers first."""
    project = samples.sample("mlp")
    method = ConjugateGradients(damping=1e-4, tolerance=1e-6, precision="float64")
    steps = {}
    for choice in ("none", "ekfac", "auto"):
        fitted = replace(method, preconditioner=choice).fit(project)
        steps[choice] = sum(solve.steps for solve in fitted.scores(range(6)).solves)
        assert (fitted.first is None) == (choice == "none")
    assert steps["auto"] == steps["none"] < steps["ekfac"]


class Scaled:
    """A diagonal curvature over six powers of ten."""

    size, n = 200, 1
    values = torch.logspace(-3, 3, 200, dtype=torch.float64)[:, None]

    def matvec(self, vectors: torch.Tensor, rows: object = None) -> torch.Tensor:
        return self.values * vectors


def test_a_good_preconditioner_saves_steps_and_changes_no_answer() -> None:
    curvature = Scaled()
    columns = torch.randn(200, 3, generator=torch.Generator().manual_seed(1))
    near = curvature.values * torch.linspace(0.5, 2, 200)[:, None] + 1e-3
    plain = CGSolver(1e-3, 1e-8, steps=5000).solve(curvature, columns)
    quick = CGSolver(1e-3, 1e-8, preconditioner=lambda v: v / near).solve(curvature, columns)
    expected = columns / (curvature.values + 1e-3)
    for solution in (plain, quick):
        assert all(report.converged for report in solution.reports)
        assert oracles.relative(solution.vectors, expected) < 1e-4
    assert 5 * max(r.steps for r in quick.reports) < min(r.steps for r in plain.reports)


@pytest.mark.parametrize("damping", [1e-2, 1e-3])
def test_ekfac_saves_a_quarter_of_the_steps_on_real_digits(damping: float) -> None:
    project = mlp.project()
    method = ConjugateGradients(damping=damping)
    plain = replace(method, preconditioner="none").fit(project).scores(range(4))
    quick = method.fit(project).scores(range(4))
    assert oracles.relative(quick.values, plain.values) < 0.05  # both are solved to a residual of 0.01
    assert sum(s.steps for s in quick.solves) < 0.75 * sum(s.steps for s in plain.solves)
