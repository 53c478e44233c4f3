"""Every mistake a command can meet is one sentence on standard error and an exit code; nothing is lost."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dashboard import cli
from dashboard.cli import main
from dashboard.services import inventory
from influence_core.store import Workspace
from tests.dashboard.test_cli import REGRESSION, built, project_file


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("tiny"))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    """The one sentence of a command that ends with ``code``."""
    capsys.readouterr()
    assert main(list(arguments)) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    sentence = said.err.splitlines()[-1]
    assert sentence.endswith(".")
    return sentence


# --- the project ------------------------------------------------------------------------------------------

PROJECTS = {
    "raises": ("raise ValueError('no data today')", r"tiny_project\.py, line 18, raised ValueError: no data today"),
    "is no Python": ("a b", r"tiny_project\.py, line 18, raised SyntaxError"),
    "leaves": ("import sys; sys.exit(3)", r"line 18, raised SystemExit: 3"),
    "label": ("given['train'][3] = (inputs[3], 7)", r"Row 3 of the train data has label 7; labels run from 0 to 1"),
    "NaN input": ("given['test'][2] = (inputs[2] * float('nan'), 0)", r"Row 2 of the test data holds NaN"),
    "NaN parameter": ("given['model'].weight.data[0, 0] = float('nan')", r"parameter 'weight' holds NaN"),
    "no training": ("given['train'] = []", r"train set is empty"),
    "no tests": ("given['test'] = []", r"test set is empty"),
    "outputs": ("given['task'] = ClassificationTask(5)", r"task has 5 classes, but .* shape \(\d+, 2\)"),
    "train mode": ("given['model'].train()", r"train mode"),
    "batch": (
        "class Centred(torch.nn.Linear):\n"
        "    def forward(self, x):\n"
        "        return super().forward(x - x.mean(0))\n"
        "given['model'] = Centred(3, 2).double().eval()",
        r"when it is evaluated alone",
    ),
    "shapes": ("given['test'] = [(torch.zeros(4).double(), 0)]", r"shape \(3,\) and test inputs \(4,\)"),
    "keys": ("given['train_keys'] = ['one']", r"1 train keys for 40 examples"),
}


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_that_does_not_fit(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, sentence = PROJECTS[name]
    file = project_file(tmp_path, change + "\n")
    assert re.search(sentence, refused(capsys, "build", str(file), "--out", str(tmp_path / "w")))
    assert not (tmp_path / "w" / "runs").exists()


def test_a_project_file_without_a_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "empty.py"
    file.write_text("project = 5")
    out = str(tmp_path / "w")
    assert "of type int; an influence_core.Project is needed" in refused(capsys, "build", str(file), "--out", out)
    assert "has no 'other'" in refused(capsys, "build", f"{file}:other", "--out", out)
    assert "no project file" in refused(capsys, "build", str(tmp_path / "absent.py"), "--out", out)
    assert "no demo 'nothing'; choose one of digits" in refused(capsys, "build", "nothing", "--out", out)
    assert "no demo 'nothing'; choose one of digits" in refused(capsys, "demo", "nothing", "--no-browser")
    assert "no demo '../digits'" in refused(capsys, "demo", "../digits", "--no-browser")


def test_damping_that_cannot_be(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = str(project_file(tmp_path)), str(tmp_path / "w")
    for value in ("-1", "nan", "inf"):
        assert "Damping is" in refused(capsys, "build", file, "--out", out, f"--damping={value}")
        assert "Damping is" in refused(capsys, "explain", str(tiny), "--test", "0", f"--damping={value}")


# --- the command line -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing"], "No such command"),
        (["explain"], "Missing argument 'DIR'"),
        (["explain", "DIR"], "Missing option '--test'"),
        (["explain", "DIR", "--test", "0", "--top", "0"], "--top"),
        (["explain", "DIR", "--test", "0", "--format", "xml"], "'xml' is not one of"),
        (["explain", "DIR", "--test", "0", "--measure", "size"], "'size' is not one of"),
        (["explain", "DIR", "--test", "0", "--measure", "value"], "has no measure 'value'"),
        (["explain", "DIR", "--test", "0", "--run", "nothing"], "no complete run 'nothing'"),
        (["explain", "DIR", "--test", "14"], "no test example '14'; give a row id from 0 to 13"),
        (["explain", "DIR", "--test", "-1"], "no test example '-1'"),
        (
            ["explain", "DIR", "--test", "0", "--target", "cat"],
            "no class 'cat'; choose true, predicted, or one of 0, 1",
        ),
        (["scores", "DIR"], "Missing option '--out'"),
        (["scores", "DIR", "--out", "x.npy", "--run", "nothing"], "no complete run 'nothing'"),
        (["build", "digits", "--out", "x", "--method", "magic"], "no method 'magic'; choose one of exact, "),
        (["build", "digits", "--out", "x", "--test-limit", "0"], "--test-limit"),
        (["demo", "--port", "99999"], "--port"),
        (["methods", "--format", "csv"], "'csv' is not one of"),
    ],
)
def test_a_command_that_makes_no_sense(
    arguments: list[str], sentence: str, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(tiny) if argument == "DIR" else argument for argument in arguments]
    assert sentence in refused(capsys, *given)


def test_a_regression_has_no_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = built(tmp_path, REGRESSION)
    assert "has no classes" in refused(capsys, "explain", str(out), "--test", "0", "--target", "predicted")
    assert "has no classes" in refused(capsys, "explain", str(out), "--test", "0", "--target", "cat")
    assert "has no measure 'logit'" in refused(capsys, "explain", str(out), "--test", "0", "--measure", "logit")


def test_keys_that_do_not_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = built(tmp_path, "given['test_keys'] = ['same'] * 14\n", "--test-limit", "2")
    assert "14 test examples have the key 'same'" in refused(capsys, "explain", str(out), "--test", "same")
    unsolved = str(({*range(14)} - {*Workspace(out).run().solved.tolist()}).pop())
    assert f"--test {unsolved} --project FILE` solves it" in refused(capsys, "explain", str(out), "--test", unsolved)


def test_our_fault_is_one_sentence_and_its_traceback_comes_when_asked(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        msg = "a bug"
        raise KeyError(msg)

    monkeypatch.setattr(inventory, "described", broken)
    assert "our fault" in refused(capsys, "info", str(tiny), code=1)
    for arguments in (["--debug", "info", str(tiny)], ["info", str(tiny), "--debug"]):
        assert main(arguments) == 1
        assert "Traceback" in capsys.readouterr().err


# --- the workspace ----------------------------------------------------------------------------------------


def _first(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


def _truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _alter(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def _newer(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format_version": 99, "new_field": 1}))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (shutil.rmtree, "does not exist"),
    "no workspace": (lambda w: (w / "manifest.json").unlink(), "is not a workspace"),
    "truncated manifest": (lambda w: _truncate(w / "manifest.json"), "truncated or was altered"),
    "truncated table": (lambda w: _truncate(w / "examples" / "test.arrow"), "test.arrow is truncated or was altered"),
    "altered scores": (lambda w: _alter(_first(w, "runs/*/scores-*")), "truncated or was altered"),
    "truncated scores": (lambda w: _truncate(_first(w, "runs/*/scores-*")), "truncated or was altered"),
    "missing scores": (lambda w: _first(w, "runs/*/scores-*").unlink(), "is missing"),
    "altered run": (lambda w: _alter(_first(w, "runs/*/run.json")), "truncated or was altered"),
    "truncated report": (lambda w: _truncate(_first(w, "runs/*/report.json")), "truncated or was altered"),
    "newer": (_newer, "format 99 and this program reads up to"),
    "half built": (lambda w: _first(w, "runs/*/report.json").unlink(), "was not finished"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_workspace_that_cannot_be_used(
    name: str, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(tiny, tmp_path / "copy")
    damage, sentence = DAMAGE[name]
    damage(copy)
    out = tmp_path / "s.npy"
    commands = [["info"], ["open", "--no-browser"], ["explain", "--test", "0"], ["scores", "--out", str(out)]]
    read = {"truncated table": 3}.get(name, 4)  # those that look at what is damaged
    for arguments in commands[:read]:
        assert sentence in refused(capsys, arguments[0], str(copy), *arguments[1:])
    assert not out.exists()


def _failing(number: int, after: int = 0) -> Callable[[int], None]:
    """An fsync that refuses once it was called ``after`` times."""
    calls = iter(range(1000))
    real = os.fsync

    def fsync(file: int) -> None:
        if next(calls) >= after:
            raise OSError(number, os.strerror(number))
        real(file)

    return fsync


def _contents(folder: Path) -> dict[str, bytes]:
    files = [
        file
        for file in folder.rglob("*")
        if file.is_file() and file.name != "report.json" and file.parent.name != "cache"
    ]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.mark.parametrize("after", [0, 2, 6, 9])
def test_a_full_disk_keeps_what_is_done(
    after: int, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["build", str(project_file(tmp_path)), "--out", str(tmp_path / "w")]
    with monkeypatch.context() as patch:
        patch.setattr("influence_core.store.files.os.fsync", _failing(errno.ENOSPC, after))
        assert "The disk is full" in refused(capsys, *command)
    assert not list(tmp_path.rglob("*.tmp"))
    assert main(command) == 0
    assert _contents(tmp_path / "w") == _contents(tiny)


def test_a_disk_that_is_really_full(tiny: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for it: torch's and NumPy's own writing fails, not a function of ours."""
    for arguments in (
        ["build", str(project_file(tmp_path)), "--out", str(tmp_path / "w")],
        ["scores", str(tiny), "--out", str(tmp_path / "s.npy")],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "dashboard", *arguments],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500)),
        )
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert "The disk is full" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "s.npy").exists()


def test_a_read_only_workspace_explains_what_is_stored(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(tiny, tmp_path / "copy")
    monkeypatch.setattr("influence_core.store.files.os.fsync", _failing(errno.EROFS))
    monkeypatch.setattr(inventory.os, "access", lambda path, mode: path.exists() and mode != os.W_OK)
    assert main(["info", str(copy)]) == 0
    assert "read-only" in capsys.readouterr().out
    for options in ([], ["--damping", "0.5"], ["--measure", "margin"]):
        assert main(["explain", str(copy), "--test", "0", *options]) == 0
    assert "cannot be written to" in refused(capsys, "scores", str(copy), "--out", str(tmp_path / "s.npy"))
    command = ["build", str(project_file(tmp_path)), "--out", str(copy), "--damping", "0.5"]
    assert "cannot be written to" in refused(capsys, *command)
    assert "cannot be written to" in refused(capsys, *command[:3], str(tmp_path / "new"))


def test_a_folder_that_holds_something_else(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = str(project_file(tmp_path, "given['model'].weight.data += 0.1\n"))
    assert "holds another project" in refused(capsys, "build", other, "--out", str(tiny))
    assert "is not empty and not a workspace" in refused(capsys, "build", other, "--out", str(tmp_path))
    assert "cannot be written" in refused(capsys, "build", other, "--out", other)
    assert "is not a workspace" in refused(capsys, "info", other)


def test_open_compares_the_project(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = str(project_file(tmp_path, "given['model'].weight.data += 0.1\n"))
    said = refused(capsys, "open", str(tiny), "--no-browser", "--project", other)
    assert "is not the one this workspace was built from" in said


def test_folders_that_may_not_be_read(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def closed(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tiny))

    monkeypatch.setattr(inventory, "described", closed)
    assert "cannot be used (Permission denied)" in refused(capsys, "info", str(tiny))


def test_a_reader_that_has_seen_enough(tiny: Path) -> None:
    command = f"{sys.executable} -m dashboard explain {tiny} --test 0 --format json --top 40 | head -c 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{", "")


def test_ctrl_c_says_that_nothing_is_lost(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(inventory, "described", interrupted)
    assert refused(capsys, "info", str(tiny), code=130) == cli.STOPPED


# --- Ctrl-C -----------------------------------------------------------------------------------------------

SLOW = """
import os, time
class Slow(list):
    def __getitem__(self, i):
        time.sleep(float(os.environ.get("SLOW", 0)))
        return super().__getitem__(i)
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double().eval()
for k, p in enumerate(model.parameters()):
    p.data = torch.linspace(-1, 1, p.numel(), dtype=torch.float64).reshape(p.shape) / (k + 1)
given |= dict(train=Slow(given["train"]), model=model)
"""


@pytest.mark.parametrize("stage", ["Gradients", "Scores"])
def test_ctrl_c_in_a_build_and_on_again(stage: str, tmp_path: Path) -> None:
    file = project_file(tmp_path, SLOW)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    options = ["--damping", "5", "--out"]
    assert main(["build", str(file), *options, str(whole)]) == 0
    child = subprocess.Popen(
        [sys.executable, "-m", "dashboard", "build", str(file), *options, str(stopped)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "SLOW": "0.004"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    assert child.stderr is not None
    with child:
        for line in child.stderr:
            if line.startswith(stage):
                child.send_signal(signal.SIGINT)
                break
        rest = child.stderr.read()
    if child.returncode != 0:  # the last stage may have been quicker than the signal
        assert child.returncode == 130
        assert rest.splitlines()[-1] == cli.STOPPED
        assert "Traceback" not in rest
    assert main(["build", str(file), *options, str(stopped)]) == 0
    assert _contents(stopped) == _contents(whole)
