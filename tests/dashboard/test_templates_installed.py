"""Every template as a user meets it: installed from a wheel, in a virtual environment and a folder of its own."""

from __future__ import annotations

import http.client
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import time
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dashboard.test_templates import ALL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
PACKAGES = ("influence_core", "demo_models", "dashboard")
UP_WITHIN = 60.0  # seconds
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `influence` command of a fresh virtual environment, so that package data that is missing shows."""
    folder = tmp_path_factory.mktemp("fresh")
    source = folder / "source"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    venv.create(folder / "venv", with_pip=True)
    pip = [folder / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", f"{source}[huggingface]"]
    done = subprocess.run(pip, capture_output=True, text=True, check=False, env=_environment(folder))
    assert done.returncode == 0, done.stderr
    shutil.rmtree(source)
    return folder / "venv" / "bin" / "influence"


@pytest.fixture
def influence(installed: Path, tmp_path: Path) -> Run:
    """Runs the command in an empty folder."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [installed, *arguments],
            cwd=tmp_path,
            env=_environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    return run


def test_the_installed_package_is_a_wheels(installed: Path, tmp_path: Path) -> None:
    command = [installed.with_name("python"), "-c", "import dashboard; print(dashboard.__file__)"]
    done = subprocess.run(command, cwd=tmp_path, env=_environment(tmp_path), capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_relative_to(installed.parents[1])


@pytest.mark.parametrize(("source", "modality"), ALL)
def test_init_check_build_explain_and_open(
    source: str, modality: str, influence: Run, installed: Path, tmp_path: Path
) -> None:
    influence("init", "my_project.py", "--from", source, "--modality", modality)
    checked = json.loads(influence("check", "my_project.py", "--format", "json").stdout)
    assert checked["would_build"] is True
    assert [finding for finding in checked["findings"] if finding["mark"] != "ok"] == []
    influence("build", "my_project.py", "--out", "my-workspace")
    answer = json.loads(influence("explain", "my-workspace", "--test", "3", "--format", "json").stdout)
    assert answer["n_train"] > 100
    for side, sign in (("helpful", 1), ("harmful", -1)):
        scores = [row["score"] for row in answer[side]]
        assert len(scores) == 10
        assert all(math.isfinite(score) and sign * score > 0 for score in scores)
        assert scores == sorted(scores, reverse=sign > 0)
    _open(installed, tmp_path)


def _open(command: Path, folder: Path) -> None:
    """Serve with the project at hand, read the page, and stop as Ctrl-C does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    arguments = ["open", "my-workspace", "--project", "my_project.py", "--no-browser", "--port", str(port)]
    log = folder / "said.txt"
    with log.open("w", encoding="utf-8") as stderr:
        child = subprocess.Popen(
            [command, *arguments],
            cwd=folder,
            env=_environment(folder),
            stderr=stderr,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        )
    with child:
        try:
            _wait(f"The dashboard is at http://127.0.0.1:{port}", log, child)
            assert _get(port, "/_stcore/health") == (200, "ok")
            status, page = _get(port, "/")
            assert status == 200
            assert "<title>" in page
        finally:
            child.send_signal(signal.SIGINT)
    said = log.read_text(encoding="utf-8")
    assert child.returncode == 130, said
    assert "Traceback" not in said


def _wait(words: str, log: Path, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + UP_WITHIN
    while time.monotonic() < deadline and child.poll() is None:
        if words in log.read_text(encoding="utf-8"):
            return
        time.sleep(0.2)
    pytest.fail(f"The dashboard was not up within {UP_WITHIN:.0f} s: {log.read_text(encoding='utf-8')}")


def _get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def _environment(home: Path) -> dict[str, str]:
    """Of this shell, but for what would lead to this folder's code or to the user's own files."""
    kept = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")
    }
    return {**kept, "XDG_DATA_HOME": str(home / "data"), "XDG_CACHE_HOME": str(home / "cache"), "PYTHONWARNINGS": ""}
