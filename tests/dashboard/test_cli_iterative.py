"""Commands on runs of iterative methods: solved when asked for, refused with the reason, stopped without loss."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dashboard.cli import main
from influence_core.store import Workspace
from tests.dashboard.test_cli import built, project_file
from tests.dashboard.test_cli_mistakes import refused

CG = ("--method", "cg", "--damping", "0.1")


@pytest.fixture
def partly(tmp_path: Path) -> tuple[Path, str, str]:
    """A workspace of conjugate gradients with 2 of 14 predictions solved, its project file, and an unsolved id."""
    out = built(tmp_path, "", *CG, "--test-limit", "2")
    unsolved = next(i for i in range(14) if i not in Workspace(out).run().solved)
    return out, str(tmp_path / "tiny_project.py"), str(unsolved)


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    capsys.readouterr()
    assert main(["explain", *arguments, "--format", "json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_an_unsolved_row_has_a_first_answer_is_solved_with_the_project_and_then_known(
    partly: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    out, file, unsolved = partly
    at_once = answer(capsys, str(out), "--test", unsolved)
    assert [at_once[name] for name in ("method", "is_first", "validated", "residual")] == ["ekfac", True, False, None]
    assert answer(capsys, str(out), "--test", unsolved, "--project", file, "--first") == at_once
    assert main(["explain", str(out), "--test", unsolved]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "First answer by EK-FAC, an approximation that was not compared with refits." in said
    assert f"--test {unsolved} --project PROJECT` refines it" in said
    first = answer(capsys, str(out), "--test", unsolved, "--project", file)
    assert (first["method"], first["damping"], first["validated"], first["is_first"]) == ("cg", 0.1, True, False)
    assert first["helpful"]
    assert 0 < float(str(first["residual"])) <= 0.01
    assert answer(capsys, str(out), "--test", unsolved) == first


def test_another_target_is_solved_too_and_names_its_command(
    partly: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    out, file, unsolved = partly
    asked = ("--test", unsolved, "--measure", "margin", "--target", "1")
    assert "--measure margin --target 1 --project FILE`" in refused(capsys, "explain", str(out), *asked)
    assert answer(capsys, str(out), *asked, "--project", file)["measure"] == "margin"
    assert answer(capsys, str(out), *asked)["unit"] == "logits"


def test_a_demo_needs_no_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "w"
    assert main(["build", "diabetes", "--out", str(out), *CG, "--test-limit", "2"]) == 0
    unsolved = next(i for i in range(20) if i not in Workspace(out).run().solved)
    assert answer(capsys, str(out), "--test", str(unsolved))["method"] == "cg"
    assert "squared" in str(answer(capsys, str(out), "--test", str(unsolved))["unit"])


def test_another_project_does_not_solve_it(
    partly: tuple[Path, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _, unsolved = partly
    other = tmp_path / "other"
    other.mkdir()
    file = project_file(other, "given['model'].weight.data += 1\n")
    said = refused(capsys, "explain", str(out), "--test", unsolved, "--project", str(file))
    assert "is not the one this workspace was built from" in said


def test_another_damping_takes_another_run(partly: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    out, file, _ = partly
    solved = str(int(Workspace(out).run().solved[0]))
    for project in ((), ("--project", file)):
        said = refused(capsys, "explain", str(out), "--test", solved, "--damping", "1", *project)
        assert re.search(
            r"solved with damping 0\.1, .*`influence build PROJECT --out .* --method cg --damping X`", said
        )


def test_what_did_not_converge_shows_no_ranking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weak damping and a tolerance at the end of float32 are beyond LiSSA's passes."""
    out = built(tmp_path, "", "--method", "lissa", "--damping", "1e-9", "--tolerance", "1e-5", "--test-limit", "3")
    run = Workspace(out).run()
    first = str(run.record.order[0])
    if run.scores(int(first)).converged:
        pytest.fail("the test needs an answer that does not converge")
    found = answer(capsys, str(out), "--test", first)
    assert (found["helpful"], found["harmful"], found["validated"]) == ([], [], False)
    assert main(["explain", str(out), "--test", first]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "do not rely: No ranking is shown" in said
    assert "LiSSA reached" in said
    assert "let conjugate gradients finish it (--set finish=cg)" in said
    assert main(["scores", str(out), "--out", str(tmp_path / "s.npy")]) == 0
    assert np.isnan(np.load(tmp_path / "s.npy")).all()
    assert main(["info", str(out)]) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--method", "cg", "--tolerance", "1e-9"), "in float32 a residual means something from 1e-05"),
        (("--method", "lissa", "--tolerance", "0"), "Tolerance is 0"),
        (("--method", "cg", "--damping", "-1"), "Damping is -1"),
        (
            ("--method", "exact", "--tolerance", "0.1"),
            "The method exact has no tolerance; leave it out",
        ),
        (("--rows", "7"), "The method exact has no rows"),
        (("--method", "cg", "--rows", "0"), "--rows"),
        (("--method", "nonsense"), "nonsense"),
        (("--method", "cg", "--set", "damping"), "'damping' is no setting; write --set NAME=VALUE"),
        (("--method", "cg", "--set", "=1"), "'=1' is no setting"),
        (("--damping", "1", "--set", "damping=2"), "The setting damping is given twice, as 1 and as 2"),
        (("--method", "cg", "--set", "dampng=2"), "has no dampng; leave it out, choose another method, or set one of"),
        (("--method", "cg", "--set", "steps=many"), "'many' is no value for steps of the method cg (most passes over"),
        (
            ("--method", "cg", "--set", "curvature=fisher"),
            "it may be one of gauss-newton, hessian, and is",
        ),
    ],
)
def test_options_that_cannot_be(
    options: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "build", str(project_file(tmp_path)), "--out", str(tmp_path / "w"), *options)
    assert words in said
    assert not (tmp_path / "w" / "runs").exists()


SLOW = """
import time
class Slow(torch.nn.Linear):
    def forward(self, x):
        time.sleep(0.02)
        return super().forward(x)
slow = Slow(3, 2).double().eval()
slow.load_state_dict(given["model"].state_dict())
given["model"] = slow
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGKILL", -9)])
def test_a_build_stopped_in_the_middle_of_a_solve_loses_nothing(name: str, code: int, tmp_path: Path) -> None:
    """The first shard is kept, the second is stopped while it is being solved, and the same command goes on."""
    file, out = project_file(tmp_path, SLOW), tmp_path / "w"
    command = [sys.executable, "-m", "dashboard", "build", str(file), "--out", str(out), "--test-limit", "14", *CG]
    command += ["--rows", "4", "--tolerance", "1e-5"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(out.glob("runs/*/scores-*.safetensors")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.Signals[name])
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert ("what is done is kept" in said) == (name == "SIGINT")
    (kept,) = out.glob("runs/*/scores-*.safetensors")
    before = kept.read_bytes()
    assert main(command[3:]) == 0
    assert kept.read_bytes() == before
    assert len(Workspace(out).run().solved) == 14
