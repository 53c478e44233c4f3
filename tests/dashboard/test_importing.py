"""A project file that takes its time: it is said that it is imported, and for how long, and Ctrl-C is clean."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dashboard import cli, terminal
from dashboard.cli import main
from dashboard.services.jobs import State
from tests.dashboard.test_cli import built, project_file

SLOW = "import os, time\ntime.sleep(float(os.environ.get('SLOW', 0)))\n"


@pytest.mark.parametrize("command", ["check", "build", "explain", "open"])
def test_an_import_is_told_and_its_prints_are_no_result(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(project_file(tmp_path))
    out = str(tmp_path / "workspace")
    if command in ("explain", "open"):
        built(tmp_path, "", "--test-limit", "2", "--method", "cg")
    arguments = {
        "check": [file, "--format", "json"],
        "build": [file, "--out", out],
        "explain": [out, "--test", "row:0", "--project", file, "--format", "json"],
        "open": [out, "--project", file, "--no-browser"],
    }[command]
    monkeypatch.setattr("dashboard.services.serve.serve", lambda *_, **__: None)
    monkeypatch.setattr(terminal, "LONG", 0.0)
    capsys.readouterr()
    assert main([command, *arguments]) == 0
    said = capsys.readouterr()
    lines = said.err.splitlines()
    at = lines.index("Importing tiny_project.py ...")
    assert lines[at + 1] == "a line of the user's own"
    assert re.fullmatch(r"Importing tiny_project\.py took \d+ s\.", lines[at + 2])
    assert "a line of the user's own" not in said.out
    if "json" in arguments:
        json.loads(said.out)


def test_a_terminal_counts_the_seconds_of_an_import(tmp_path: Path) -> None:
    """A real terminal: what the bar says is only drawn there."""
    file = project_file(tmp_path, SLOW)
    outer, inner = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "dashboard", "check", str(file)],
        stdout=subprocess.DEVNULL,
        stderr=inner,
        env={**os.environ, "SLOW": "2.5", "COLUMNS": "100", "TERM": "xterm"},
    ) as child:
        os.close(inner)
        drawn = _read(outer)
        assert child.wait() == 0
    assert re.search(r"Importing tiny_project\.py.*1 s so far", drawn)
    assert re.search(r"Importing tiny_project\.py.*2 s so far", drawn)


def _read(terminal: int) -> str:
    parts = []
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other end was closed
            part = b""
        if not part:
            os.close(terminal)
            return b"".join(parts).decode("utf-8", "replace").replace("\r", "\n")
        parts.append(part)


@pytest.mark.parametrize("command", ["check", "build"])
def test_ctrl_c_in_an_import(command: str, tmp_path: Path) -> None:
    file = project_file(tmp_path, SLOW)
    options = ["--out", str(tmp_path / "w")] if command == "build" else []
    child = subprocess.Popen(
        [sys.executable, "-m", "dashboard", command, str(file), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "SLOW": "60"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    assert child.stderr is not None
    assert child.stdout is not None
    with child:
        for line in child.stderr:
            if line.startswith("a line of the user's own"):
                time.sleep(0.2)
                child.send_signal(signal.SIGINT)
                break
        rest, printed = child.stderr.read(), child.stdout.read()
    assert child.returncode == 130
    assert printed == ""
    assert rest.splitlines()[-1] == cli.STOPPED
    assert "Traceback" not in rest
    assert not (tmp_path / "w").exists()


def test_a_stage_of_a_job_says_how_long_it_has_been_running() -> None:
    assert State("running", "Loading the project", since=time.monotonic() - 12).seconds == pytest.approx(12, abs=1)
