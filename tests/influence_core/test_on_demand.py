"""Runs of iterative methods in a workspace: what is stored, what is solved when it is asked for, and what is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from influence_core.errors import (
    DamagedWorkspaceError,
    MethodError,
    NewerWorkspaceError,
    NotSolvedError,
    TargetError,
    UnknownNameError,
    UnwritableWorkspaceError,
)
from influence_core.methods import ConjugateGradients, Exact, Lissa
from influence_core.store import OnDemand, Progress, Workspace, build
from influence_core.store import answers as answers_file
from influence_core.store import tensors as tensors_file
from influence_core.store.files import write_sums
from influence_core.store.manifest import write_record
from influence_core.target import Target
from tests import oracles
from tests.influence_core import samples
from tests.influence_core.test_store import Stopped, digests

LISSA = Lissa(damping=0.5, tolerance=1e-4, batch=8, passes=400, preconditioner="none")
CG = ConjugateGradients(damping=0.5, tolerance=1e-4, preconditioner="none")
LOSS = Target()


def exact_scores(test_id: int, target: Target = LOSS) -> torch.Tensor:
    project = samples.sample("mlp")
    return Exact(0.5, curvature="gauss-newton").fit(project).scores([test_id], target).values


@pytest.mark.parametrize("method", [LISSA, CG], ids=["lissa", "cg"])
def test_what_the_build_solved_is_stored_and_says_how(method: Any, tmp_path: Path) -> None:
    run = build(samples.sample("mlp"), tmp_path / "w", method, test_limit=2).run()
    assert len(run.solved) == 2
    solved = int(run.solved[1])
    found = Workspace(tmp_path / "w").run().scores(solved)
    assert found.converged
    assert oracles.relative(found.values, exact_scores(solved)) < 1e-3
    solve = found.solves[0]
    assert (solve.legs[0].solver, solve.tolerance) == (method.name, 1e-4)
    assert solve.trace[-1][1] == pytest.approx(found.residual, rel=1e-2)
    assert run.report.residual >= found.residual > 0
    assert run.report.steps >= solve.steps > 0
    assert run.report.largest_eigenvalue is not None
    assert run.self_influence() is None
    ids, column = run.influenced(3)
    assert ids.tolist() == run.solved.tolist()
    assert column[1] == pytest.approx(float(found.values[0, 3]))


def test_what_is_not_solved_is_solved_on_demand_and_kept(tmp_path: Path) -> None:
    project = samples.sample("mlp")
    run = build(project, tmp_path / "w", LISSA, test_limit=2).run()
    test_id = next(i for i in range(6) if i not in run.solved)
    with pytest.raises(NotSolvedError, match=rf"2 of 6 are.*influence explain .* --test {test_id} --project FILE"):
        run.scores(test_id)
    steps: list[Progress] = []
    OnDemand(run, project).solve(test_id, Target(), steps.append)
    assert list(dict.fromkeys(step.stage for step in steps)) == ["Looking at the model", "Solving this prediction"]
    assert steps[-1].done == steps[-1].total
    assert any(step.seconds_left is not None for step in steps)
    for again in (run, Workspace(tmp_path / "w").run()):
        assert oracles.relative(again.scores(test_id).values, exact_scores(test_id)) < 1e-3
        assert again.answered == [test_id]
        assert np.isfinite(again.rows(test_id, test_id + 1)).all()
    in_a_build = build(project, tmp_path / "all", LISSA).run().scores(test_id).values
    assert oracles.relative(Workspace(tmp_path / "w").run().scores(test_id).values, in_a_build) < 1e-5


def test_another_target_is_another_answer(tmp_path: Path) -> None:
    project = samples.sample("mlp")
    run = build(project, tmp_path / "w", CG, test_limit=2).run()
    test_id, target = int(run.solved[0]), Target("margin", 2)
    with pytest.raises(NotSolvedError, match=r"for the margin of '2'.*--measure margin --target 2"):
        run.scores(test_id, target)
    OnDemand(run, project).solve(test_id, target)
    assert oracles.relative(run.scores(test_id, target).values, exact_scores(test_id, target)) < 1e-3
    assert run.answered == []  # it was not the stored measurement
    with pytest.raises(TargetError):
        OnDemand(run, project).solve(test_id, Target("value"))
    with pytest.raises(UnknownNameError):
        OnDemand(run, project).solve(99, Target())


def test_an_exact_run_solves_on_demand_too(tmp_path: Path) -> None:
    project = samples.sample("mlp")
    run = build(project, tmp_path / "w", Exact(damping=0.5), test_limit=2).run()
    test_id = next(i for i in range(6) if i not in run.solved)
    OnDemand(run, project).solve(test_id, Target())
    target = Target("logit", 1)
    for again in (run, Workspace(tmp_path / "w").run()):
        live = Exact(damping=0.5).fit(project)
        assert oracles.relative(again.scores(test_id).values, live.scores([test_id]).values) < 1e-6
        assert oracles.relative(again.scores(test_id, target).values, live.scores([test_id], target).values) < 1e-6


def test_another_damping_takes_another_run(tmp_path: Path) -> None:
    run = build(samples.sample("mlp"), tmp_path / "w", CG, test_limit=2).run()
    with pytest.raises(MethodError, match=r"solved with damping 0\.5, .*--method cg --damping X"):
        run.scores(int(run.solved[0]), damping=0.1)


def test_a_solve_that_is_stopped_loses_nothing(tmp_path: Path) -> None:
    project = samples.sample("mlp")
    path = tmp_path / "w"
    run = build(project, path, LISSA, test_limit=2).run()
    before = digests(path)
    test_id = next(i for i in range(6) if i not in run.solved)

    def stop(step: Progress) -> None:
        if step.stage.startswith("Solving") and step.done:
            raise Stopped

    with pytest.raises(Stopped):
        OnDemand(run, project).solve(test_id, Target(), stop)
    assert digests(path) == before
    with pytest.raises(NotSolvedError):
        run.scores(test_id)
    OnDemand(run, project).solve(test_id, Target())
    assert run.scores(test_id).converged


def test_a_build_that_is_stopped_in_the_middle_of_a_solve_ends_byte_identical(tmp_path: Path) -> None:
    project = samples.sample("mlp")
    build(project, tmp_path / "plain", LISSA)
    ticks = 0

    def stop(step: Progress) -> None:
        nonlocal ticks
        ticks += step.stage.startswith("Scores")
        if ticks == 20:
            raise Stopped

    with pytest.raises(Stopped):
        build(project, tmp_path / "stopped", LISSA, progress=stop)
    build(project, tmp_path / "stopped", LISSA)
    assert digests(tmp_path / "stopped") == digests(tmp_path / "plain")


def test_a_damaged_answer_counts_as_not_solved(tmp_path: Path) -> None:
    project = samples.sample("mlp")
    path = tmp_path / "w"
    run = build(project, path, CG, test_limit=2).run()
    test_id = next(i for i in range(6) if i not in run.solved)
    OnDemand(run, project).solve(test_id, Target())
    (file,) = (run.folder / "answers").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\0")
    again = Workspace(path).run()
    with pytest.raises(NotSolvedError):
        again.scores(test_id)
    OnDemand(again, project).solve(test_id, Target())
    assert Workspace(path).run().scores(test_id).converged


def test_a_new_answer_does_not_vouch_for_a_damaged_one(tmp_path: Path) -> None:
    project = samples.sample("mlp")
    run = build(project, tmp_path / "w", CG, test_limit=2).run()
    first, second = [i for i in range(6) if i not in run.solved][:2]
    OnDemand(run, project).solve(first, Target())
    (file,) = (run.folder / "answers").glob("*.safetensors")
    whole = file.read_bytes()
    file.write_bytes(whole[:-4] + b"\0\0\0\0")
    OnDemand(Workspace(tmp_path / "w").run(), project).solve(second, Target())
    again = Workspace(tmp_path / "w").run()
    assert again.scores(second).converged
    with pytest.raises(NotSolvedError):
        again.scores(first)


def test_no_file_holds_two_answers(tmp_path: Path) -> None:
    """So that two processes that answer at once never write the same file."""
    project = samples.sample("mlp")
    run = build(project, tmp_path / "w", CG, test_limit=2).run()
    asked = [i for i in range(6) if i not in run.solved][:2]
    for test_id in asked:
        OnDemand(run, project).solve(test_id, Target())
    expected = {f"loss-true-{i:07d}.{kind}" for i in asked for kind in ("safetensors", "sha256")}
    assert {path.name for path in (run.folder / "answers").iterdir()} == expected


@pytest.mark.parametrize("method", [LISSA, Exact(damping=0.5)], ids=["lissa", "exact"])
def test_what_the_fit_stored_is_compared_with_its_digest_before_it_is_used(method: Any, tmp_path: Path) -> None:
    project = samples.sample("mlp")
    run = build(project, tmp_path / "w", method, test_limit=2).run()
    name = "factor" if method.name == "exact" else "spectrum"
    file = run.folder / f"{name}.safetensors"
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    test_id = next(i for i in range(6) if i not in run.solved)
    with pytest.raises(DamagedWorkspaceError, match=name):
        OnDemand(run, project).solve(test_id, Target())


def test_a_stage_that_is_damaged_before_the_build_ends_is_made_again(tmp_path: Path) -> None:
    project = samples.sample("mlp")
    plain = build(project, tmp_path / "plain", LISSA)

    def stop(step: Progress) -> None:
        if step.stage.startswith("Scores"):
            raise Stopped

    with pytest.raises(Stopped):
        build(project, tmp_path / "w", LISSA, progress=stop)
    (file,) = (tmp_path / "w").rglob("spectrum.safetensors")
    file.write_bytes(file.read_bytes()[:20])
    build(project, tmp_path / "w", LISSA)
    assert digests(tmp_path / "w") == digests(plain.path)


def test_rows_are_stored_in_the_order_of_the_build_that_began(tmp_path: Path) -> None:
    """What is worth explaining first may change between two builds: a user's wish, or a tie of two losses."""
    project = samples.sample("mlp")
    first = build(project, tmp_path / "w", CG, test_limit=1).run()
    unwanted = first.record.order[-1]
    run = build(replace(project, test_first=[unwanted]), tmp_path / "w", CG, test_limit=4).run()
    assert run.id == first.id
    for test_id in run.solved.tolist():
        assert oracles.relative(run.scores(test_id).values, exact_scores(test_id)) < 1e-3


def test_other_attributed_parameters_are_another_project(tmp_path: Path) -> None:
    project = samples.sample("mlp")
    build(project, tmp_path / "w", CG, test_limit=1)
    with pytest.raises(UnwritableWorkspaceError, match="another state of it"):
        build(replace(project, attributed=("2.*",)), tmp_path / "w", CG, test_limit=4)


@pytest.mark.parametrize(
    ("method", "more", "words"),
    [
        ("arnoldi", {}, "the method 'arnoldi'"),
        ("cg", {"sketch": 3}, "'cg' with sketch"),
        ("cg", {"curvature": "x"}, "has no curvature 'x'"),
    ],
)
def test_a_run_of_a_newer_program_is_read_and_not_added_to(
    method: str, more: dict[str, Any], words: str, tmp_path: Path
) -> None:
    project = samples.sample("mlp")
    run = build(project, tmp_path / "w", CG, test_limit=2).run()
    record = run.record
    newer = record.model_copy(update={"method": method, "hyperparameters": {**record.hyperparameters, **more}})
    write_record(run.folder / "run.json", newer)
    write_sums(run.folder)
    again = Workspace(tmp_path / "w").run()
    assert again.title
    assert again.scores(int(again.solved[0])).converged
    test_id = next(i for i in range(6) if i not in again.solved)
    with pytest.raises((NewerWorkspaceError, MethodError), match=words):
        OnDemand(again, project).solve(test_id, Target())


def test_a_read_only_folder_keeps_the_answer_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = samples.sample("mlp")
    run = build(project, tmp_path / "w", CG, test_limit=2).run()
    test_id = next(i for i in range(6) if i not in run.solved)
    real = answers_file.write_tensors

    def refuse(path: Path, tensors: Any) -> None:
        monkeypatch.setattr(tensors_file, "_save", lambda *_: (_ for _ in ()).throw(PermissionError(13, "denied")))
        real(path, tensors)

    monkeypatch.setattr(answers_file, "write_tensors", refuse)
    OnDemand(run, project).solve(test_id, Target())
    assert run.scores(test_id).converged
    assert run.answered == [test_id]
    with pytest.raises(NotSolvedError):
        Workspace(tmp_path / "w").run().scores(test_id)


def test_an_answer_that_did_not_converge_is_kept_but_is_no_answer(tmp_path: Path) -> None:
    hopeless = Lissa(damping=1e-3, tolerance=1e-5, batch=8, passes=1)
    run = build(samples.sample("mlp"), tmp_path / "w", hopeless, test_limit=3).run()
    assert run.solved.tolist() == []
    first = run.record.order[0]
    found = run.scores(first)
    assert not found.converged
    assert "ran out of steps" in found.solves[0].sentence
    assert "--set finish=cg" in found.solves[0].advice
    assert np.isnan(run.rows(first, first + 1)).all()
    assert run.influenced(0)[1].tolist() == []


def test_a_run_beside_an_exact_one_leaves_the_project_as_it_is(tmp_path: Path) -> None:
    """A linear head is one whatever the method: its manifest must not change, so that refits stay on offer."""
    project = samples.sample("head")
    first = build(project, tmp_path / "w", Exact(damping=0.5))
    manifest = (tmp_path / "w" / "manifest.json").read_bytes()
    second = build(project, tmp_path / "w", CG)
    assert (tmp_path / "w" / "manifest.json").read_bytes() == manifest
    assert second.run().method == "cg"
    assert {run.method for run in second.runs} == {"exact", "cg"}
    exact, found = first.run().scores(1), second.run().scores(1)
    assert oracles.relative(found.values, exact.values) < 1e-3
