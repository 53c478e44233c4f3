"""A Newton run in a workspace: the numbers in memory, any target without code, and the gap to first order."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from influence_core.errors import MethodError, NotSolvedError
from influence_core.methods import ConjugateGradients, Exact, Newton
from influence_core.methods import newton as newton_module
from influence_core.store import OnDemand, Workspace, build
from influence_core.target import Target
from tests import oracles
from tests.influence_core import samples
from tests.influence_core.test_newton import wine

TARGETS = [Target(), Target("logit", 2), Target("margin", "predicted"), Target("loss", 1)]


@pytest.mark.parametrize("steps", [1, 2])
def test_a_run_on_a_head_answers_every_target_without_code(steps: int, tmp_path: Path) -> None:
    project = wine(1)
    method = Newton(steps=steps)  # type: ignore[arg-type]
    build(project, tmp_path / "w", method)
    shutil.move(tmp_path / "w", tmp_path / "elsewhere")
    run, live = Workspace(tmp_path / "elsewhere").run(), method.fit(project)
    assert (run.method, run.hyperparameters["steps"]) == ("newton", steps)
    assert len(run.solved) == 36
    for target in TARGETS:
        assert oracles.relative(run.scores(7, target).values, live.scores([7], target).values) < 1e-5
    own = torch.from_numpy(run.self_influence())
    assert oracles.relative(own, live.self_influence()) < 1e-9
    with pytest.raises(MethodError, match=r"another takes another run: .* --method newton --damping"):
        run.scores(7, damping=0.5)


def test_the_check_by_refits_finds_its_slope_right(tmp_path: Path) -> None:
    project = wine(1)
    first, newton = (build(project, tmp_path / m.name, m).run() for m in (Exact(), Newton()))
    assert first.check is not None
    assert newton.check is not None
    assert first.check.slope > 1.3
    assert newton.check.slope == pytest.approx(1, abs=0.04)
    assert newton.check.median_relative_error < first.check.median_relative_error / 3
    assert newton.report.residual < 1e-10


def test_a_run_on_any_other_model_keeps_its_measurement_and_solves_more_with_the_code(tmp_path: Path) -> None:
    project = samples.sample("mlp")
    method = Newton(0.3, curvature="gauss-newton")
    run = build(project, tmp_path / "w", method, test_limit=2).run()
    live = method.fit(project)
    solved = int(run.solved[0])
    assert oracles.relative(run.scores(solved).values, live.scores([solved]).values) < 1e-6
    with pytest.raises(NotSolvedError):
        run.scores(solved, Target("margin"))
    other = next(i for i in range(6) if i not in run.solved)
    OnDemand(run, project).solve(other, Target("margin"))
    assert (
        oracles.relative(run.scores(other, Target("margin")).values, live.scores([other], Target("margin")).values)
        < 1e-6
    )
    gap = run.first_order_gap
    assert gap is not None
    ids = run.solved.tolist()
    expected = (live.first_order.scores(ids).values - live.scores(ids).values).square().mean(0).sqrt()
    assert oracles.relative(gap.gap, expected) < 1e-9


def test_an_exact_run_on_a_head_keeps_the_same_gap(tmp_path: Path) -> None:
    project = wine(1)
    gaps = [build(project, tmp_path / "w", method).run().first_order_gap for method in (Exact(), Newton())]
    assert gaps[0] is not None
    assert gaps[1] is not None
    assert oracles.relative(gaps[0].relative, gaps[1].relative) < 1e-9
    assert 0.01 < float(gaps[0].relative.median()) < 0.1 < float(gaps[0].relative.max()) < 0.9


@pytest.mark.parametrize("method", [Exact(0.3, curvature="gauss-newton"), ConjugateGradients(0.3)])
def test_runs_without_a_newton_step_at_hand_keep_none(method: Exact | ConjugateGradients, tmp_path: Path) -> None:
    assert build(samples.sample("mlp"), tmp_path / "w", method).run().first_order_gap is None


def test_a_run_whose_damping_is_chosen_keeps_none(tmp_path: Path) -> None:
    assert build(wine(1), tmp_path / "w", Exact("auto")).run().first_order_gap is None


def test_a_head_whose_steps_would_take_long_keeps_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newton_module, "QUICK", 1000)
    assert build(wine(1), tmp_path / "w").run().first_order_gap is None
