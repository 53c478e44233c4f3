"""The workspace: whole or absent, resumed byte for byte, opened without code, every damage named."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from influence_core.errors import (
    CurvatureError,
    DamagedWorkspaceError,
    MissingWorkspaceError,
    NewerWorkspaceError,
    NotSolvedError,
    ProjectError,
    UnfinishedWorkspaceError,
    UnknownNameError,
    UnwritableWorkspaceError,
)
from influence_core.methods import Exact
from influence_core.project import Project
from influence_core.store import Progress, Workspace, build, files
from influence_core.target import Target
from influence_core.views import ImageView, TextView
from tests import oracles
from tests.influence_core import samples


@pytest.fixture(scope="session")
def built(digits: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "digits"
    build(digits, path, project_ref="demo:digits")
    return path


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copy"))


def digests(path: Path) -> dict[str, str]:
    """Of every file that is promised to be byte-identical."""
    found = sorted(p for p in path.rglob("*") if p.is_file() and p.name != "report.json")
    return {str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


def test_the_file_holds_the_scores_in_memory(digits: Project, built: Path) -> None:
    run = Workspace(built).run()
    expected = Exact().fit(digits).scores(range(len(digits.test))).values
    assert oracles.relative(torch.from_numpy(run.rows(0, len(digits.test))), expected) < 1e-6
    assert oracles.relative(run.scores(17).values[0], expected[17]) < 1e-6
    ids, column = run.influenced(5)
    assert oracles.relative(torch.from_numpy(column), expected[ids.tolist(), 5]) < 1e-6
    assert run.report.residual < 1e-10
    assert run.check is not None
    assert run.check.state == "checked"


@pytest.mark.parametrize("target", [Target("logit"), Target("margin", "predicted"), Target("loss", 3)])
@pytest.mark.parametrize("damping", [None, 0.01])
def test_any_target_and_damping_is_answered_from_the_folder(
    digits: Project, built: Path, target: Target, damping: float | None
) -> None:
    stored = Workspace(built).run().scores(3, target, damping)
    live = Exact(damping or 0.0).fit(digits).scores([3], target)
    assert oracles.relative(stored.values, live.values) < 1e-5
    assert (stored.damping, stored.unit) == (live.damping, live.unit)


@pytest.mark.parametrize("name", ["mlp", "regression", "dict"])
def test_a_general_model_is_answered_from_the_folder_too(name: str, tmp_path: Path) -> None:
    project = samples.sample(name)
    run = build(project, tmp_path / name, Exact(damping=0.5)).run()
    target = Target("value") if name == "regression" else Target("margin")
    for damping in (0.5, 0.7):
        live = Exact(damping).fit(project).scores([2], target)
        assert oracles.relative(run.scores(2, target, damping).values, live.values) < 1e-5
    own = torch.from_numpy(run.self_influence())
    assert oracles.relative(own, Exact(0.5).fit(project).self_influence()) < 1e-9


def test_an_indefinite_curvature_takes_any_damping_that_is_enough(tmp_path: Path) -> None:
    """Another damping than the run's must not be refused because damping 0 would be."""
    project = samples.sample("mlp")
    with torch.no_grad():
        project.model.get_parameter("2.weight").mul_(-3)
    run = build(project, tmp_path / "w", Exact(damping=20.0)).run()
    assert run.report.lowest_eigenvalue < 0
    live = Exact(30.0).fit(project).scores([2])
    assert oracles.relative(run.scores(2, damping=30.0).values, live.values) < 1e-5
    with pytest.raises(CurvatureError, match="leaves it indefinite"):
        run.scores(2, damping=1e-6)


class Stopped(BaseException):
    """A kill at a chosen moment."""


def test_a_build_stopped_anywhere_ends_byte_identical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop at every single write in turn, then resume."""
    project = samples.sample("head")
    build(project, tmp_path / "plain")
    expected = digests(tmp_path / "plain")
    writes: list[Path] = []
    real = files.os.fsync

    def stop_at(number: int) -> Any:
        def fsync(handle: int) -> None:
            writes.append(tmp_path)
            if len(writes) == number:
                raise Stopped
            real(handle)

        return fsync

    for number in range(1, len(expected) + 3):
        writes.clear()
        path = tmp_path / f"stopped {number}"
        monkeypatch.setattr(files.os, "fsync", stop_at(number))
        try:
            build(project, path)
        except Stopped:
            with pytest.raises((UnfinishedWorkspaceError, MissingWorkspaceError)):
                Workspace(path)
        monkeypatch.setattr(files.os, "fsync", real)
        build(project, path)
        assert digests(path) == expected, number


@pytest.mark.slow
def test_a_killed_process_leaves_a_build_that_resumes(tmp_path: Path) -> None:
    """SIGKILL from outside at several moments of a real build in another process."""
    path, plain = tmp_path / "killed", tmp_path / "plain"
    script = textwrap.dedent(
        """
        import sys, torch, demo_models
        torch.set_num_threads(1)
        from influence_core.store import build
        def slow(progress):
            import time; print(progress.stage, flush=True); time.sleep(0.05)
        build(demo_models.load("digits"), sys.argv[1], project_ref="demo:digits", progress=slow)
        """
    )
    for stages in (3, 8, 12):
        process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(stages):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate()
    for folder in (path, plain):
        subprocess.run([sys.executable, "-c", script, str(folder)], check=True, capture_output=True)
    assert digests(path) == digests(plain)
    assert Workspace(path).run().scores(3).values.isfinite().all()


def test_progress_counts_up_to_its_end(tmp_path: Path) -> None:
    seen: list[Progress] = []
    build(samples.sample("mlp"), tmp_path / "w", Exact(damping=0.5), progress=seen.append)
    assert {p.stage for p in seen} >= {"Curvature", "Factorisation", "Scores of the test predictions"}
    assert all(0 <= p.done <= p.total for p in seen)
    assert all(p.seconds_left == 0 for p in seen if p.done == p.total)


def test_a_limit_solves_the_worst_predictions_and_can_be_raised(digits: Project, tmp_path: Path) -> None:
    path = tmp_path / "limited"
    run = build(digits, path, test_limit=10, project_ref="demo:digits").run()
    table = Workspace(path).test.frame()
    assert len(run.solved) == 10
    assert not table.correct[run.solved].any()
    unsolved = next(i for i in range(360) if i not in set(run.solved.tolist()))
    with pytest.raises(NotSolvedError, match=rf"10 of 360 are\); `influence explain .* --test {unsolved}` solves it"):
        run.scores(unsolved)
    assert np.isnan(run.rows(unsolved, unsolved + 1)).all()
    more = build(digits, path, test_limit=200, project_ref="demo:digits").run()
    assert (more.id, len(more.solved)) == (run.id, 200)
    assert more.scores(int(more.solved[150])).values.isfinite().all()


def test_another_damping_is_another_run_of_the_same_workspace(tmp_path: Path) -> None:
    project = samples.sample("head")
    first = build(project, tmp_path / "w").run()
    second = build(project, tmp_path / "w", Exact(damping=0.1)).run()
    workspace = Workspace(tmp_path / "w")
    assert {run.id for run in workspace.runs} == {first.id, second.id}
    assert workspace.run().id == second.id
    assert workspace.run(first.id).damping == 0.0
    with pytest.raises(UnknownNameError, match="no complete run 'nope'"):
        workspace.run("nope")


def test_another_project_is_not_built_over_this_one(copied: Path) -> None:
    before = digests(copied)
    with pytest.raises(UnwritableWorkspaceError, match="holds another project"):
        build(samples.sample("head"), copied)
    assert digests(copied) == before


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UnwritableWorkspaceError, match="not a workspace"):
        build(samples.sample("head"), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingWorkspaceError, match="does not exist"):
        Workspace(tmp_path / "nowhere")
    with pytest.raises(MissingWorkspaceError, match=r"no manifest\.json"):
        Workspace(tmp_path)


def test_newer(copied: Path) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps({**manifest, "format_version": 99, "future": 1}))
    with pytest.raises(NewerWorkspaceError, match="format 99"):
        Workspace(copied)


@pytest.mark.parametrize("damage", ["truncate", "alter", "remove"])
@pytest.mark.parametrize("name", ["manifest.json", "test.arrow", "run.json", "scores", "report.json", "self-influence"])
def test_damage_is_named(copied: Path, damage: str, name: str) -> None:
    path = next(p for p in sorted(copied.rglob("*")) if p.name.startswith(name))
    content = path.read_bytes()
    if damage == "remove":
        path.unlink()
    elif damage == "truncate":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.write_bytes(content[:-40] + bytes(40))
    if damage == "remove" and name in {"manifest.json", "report.json"}:
        with pytest.raises((MissingWorkspaceError, UnfinishedWorkspaceError)):
            Workspace(copied)
        return
    with pytest.raises(DamagedWorkspaceError, match=name):
        read_everything(copied)


def read_everything(path: Path) -> None:
    workspace = Workspace(path)
    run = workspace.run()
    workspace.test.frame()
    run.scores(int(run.solved[-1]))
    run.rows(0, 360)
    run.self_influence()


def test_a_build_mends_what_was_damaged(digits: Project, copied: Path) -> None:
    before = digests(copied)
    for pattern in ("scores-0000128*", "factor*", "test.arrow"):
        path = next(copied.rglob(pattern))
        path.write_bytes(path.read_bytes()[:-40] + bytes(40))
    build(digits, copied, project_ref="demo:digits")
    read_everything(copied)
    after = digests(copied)
    assert after.keys() == before.keys()
    modes = {path.stat().st_mode & 0o777 for path in copied.rglob("*.safetensors")}
    assert modes == {next(copied.rglob("test.arrow")).stat().st_mode & 0o777}


def test_a_tensor_file_that_does_not_fit(tmp_path: Path) -> None:
    """A real limit on the size of files, in a process of its own."""
    script = (
        "import resource, signal, torch; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
        "from pathlib import Path; from influence_core.store.tensors import write_tensors;"
        f"write_tensors(Path({str(tmp_path / 'big.safetensors')!r}), dict(x=torch.randn(100_000)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "UnwritableWorkspaceError: The disk is full" in done.stderr
    assert not list(tmp_path.iterdir())


def test_half_built(digits: Project, copied: Path) -> None:
    next(copied.rglob("report.json")).unlink()
    with pytest.raises(UnfinishedWorkspaceError, match="influence build digits --out"):
        Workspace(copied)
    build(digits, copied, project_ref="demo:digits")
    read_everything(copied)


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "cannot be written"), (errno.EIO, "cannot be")]
)
def test_a_disk_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str) -> None:
    """Fails at the fifth write; what was written before is kept and the build goes on from there."""
    project = samples.sample("head")
    real, count = files.os.fsync, iter(range(100))

    def full(handle: int) -> None:
        if next(count) >= 4:
            raise OSError(code, "simulated")
        real(handle)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(UnwritableWorkspaceError, match=words):
        build(project, tmp_path / "w")
    kept = digests(tmp_path / "w")
    assert len(kept) == 4
    monkeypatch.setattr(files.os, "fsync", real)
    build(project, tmp_path / "w")
    assert kept.items() <= digests(tmp_path / "w").items()


def test_a_read_only_folder_explains_all_that_is_stored(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests(copied)

    def refuse(handle: int) -> None:
        raise OSError(errno.EROFS, "read-only file system")

    monkeypatch.setattr(files.os, "fsync", refuse)
    read_everything(copied)
    run = Workspace(copied).run()
    assert run.scores(3, Target("margin"), damping=0.1).values.isfinite().all()
    assert digests(copied) == before


def test_opening_runs_no_code_and_needs_no_project(built: Path) -> None:
    assert not list(built.rglob("*.pkl")) + list(built.rglob("*.pt"))
    script = (
        "import sys; from influence_core.store import Workspace;"
        f"w = Workspace({str(built)!r}); w.run().scores(3); print(w.train[5].key, 'demo_models' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.split()[-1] == "False"


def test_examples_show_what_the_user_gave(digits: Project, built: Path) -> None:
    workspace = Workspace(built)
    example = workspace.test[3]
    assert example.key == digits.test_keys[3]
    assert example.image is not None
    assert example.image.startswith(b"\x89PNG")
    assert example.probabilities is not None
    assert sum(example.probabilities) == pytest.approx(1)
    assert workspace.test.search(example.key).tolist() == [3]
    with pytest.raises(UnknownNameError, match="from 0 to 359"):
        workspace.test[360]


def test_hostile_texts_are_kept_as_they_are(tmp_path: Path) -> None:
    texts = ["<script>alert(1)</script>", "[x](http://a)", "\u202eabc", "\ud800 lone", "", "=1+1", ":smile:", "$x$"]
    project = replace(samples.sample("head"), test=samples.rows(8))
    view = TextView(["plain"] * 30, texts)
    workspace = build(replace(project, view=view), tmp_path / "w")
    shown = [workspace.test[i].text for i in range(8)]
    assert shown == [*texts[:3], "? lone", *texts[4:]]


def test_a_second_open_is_quick(built: Path) -> None:
    start = time.perf_counter()
    Workspace(built).run().scores(5)
    assert time.perf_counter() - start < 5


class Drifting(list[Any]):
    """A data set whose first row changes once ``has_changed`` is set, as a file that somebody writes to."""

    has_changed = False

    def __getitem__(self, index: Any) -> Any:
        x, y = super().__getitem__(index)
        return (x + 1 if self.has_changed and index == 0 else x), y


def test_a_run_whose_data_changed_in_between_is_dropped(tmp_path: Path) -> None:
    project = samples.sample("head")
    train = Drifting([project.train[i] for i in range(len(project.train))])
    project = replace(project, train=train)

    def drift(progress: Progress) -> None:
        train.has_changed |= progress.stage == "Curvature"

    with pytest.raises(
        ProjectError, match=r"changed while this run was built, so the run is dropped; .* build again\.$"
    ):
        build(project, tmp_path / "w", progress=drift)
    assert not list(tmp_path.glob("w/runs/*"))
    train.has_changed = False
    again = build(project, tmp_path / "w").run()
    assert again.scores(0).of(0).numpy() == pytest.approx(Exact().fit(project).scores([0]).of(0).numpy(), rel=1e-4)


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    project = samples.sample("head")
    missing = [tmp_path / "absent.png"] * len(project.train)

    class Opened(list[Path]):
        def __getitem__(self, index: Any) -> Any:
            return Image.open(super().__getitem__(index))

    shown = ImageView(Opened(missing), [np.zeros((2, 2))] * len(project.test))
    with pytest.raises(ProjectError, match=r"Picture 0 of the view cannot be read \(FileNotFoundError"):
        build(replace(project, view=shown), tmp_path / "w")
