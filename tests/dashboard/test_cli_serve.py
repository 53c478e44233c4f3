"""``demo`` and ``open``: address, server, browser, and a demo that is built once."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import demo_models
from dashboard import cli
from dashboard.cli import main
from dashboard.services import address, builds, catalogue, demos, projects, serve, slices
from demo_models import Demo
from influence_core.project import Project
from influence_core.store import Workspace
from tests.dashboard.test_cli import built, project_file


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder of the user."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def served(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, address.Address, str]]:
    """What would have been served; the server says at once that it is ready."""
    calls = []

    def fake(folder: Path, address: address.Address, *, project: str, ready: object) -> None:
        calls.append((folder, address, project))
        ready()  # type: ignore[operator]

    monkeypatch.setattr(serve, "serve", fake)
    return calls


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Links that were opened in a browser."""
    links: list[str] = []
    monkeypatch.setattr(serve, "open_browser", links.append)
    return links


@pytest.fixture
def tiny_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A demo that is quick to build."""
    file = project_file(tmp_path)

    def load() -> Project:
        return projects.load_project(str(file))

    monkeypatch.setitem(demo_models.DEMOS, "tiny", Demo("tiny", "Tiny", "table", "Small.", load))
    return "tiny"


@pytest.fixture
def busy() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


# --- demo -------------------------------------------------------------------------------------------------


def test_a_demo_is_built_once(
    tiny_demo: str,
    served: list[tuple[Path, address.Address, str]],
    opened: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["demo", tiny_demo]) == 0
    first = capsys.readouterr()
    assert first.out == ""
    assert "Curvature" in first.err
    assert f"?workspace={tiny_demo}" in first.err
    monkeypatch.setattr(builds, "build_demo", lambda *_: pytest.fail("it was there"))
    assert main(["demo", tiny_demo, "--no-browser"]) == 0
    assert "Curvature" not in capsys.readouterr().err
    folder = served[0][0]
    assert [call[0] for call in served] == [folder, folder]
    assert folder.parts[-3:] == ("influence-dashboard", "demos", tiny_demo)
    assert Workspace(folder).manifest.project_ref == f"demo:{tiny_demo}"
    assert catalogue.lookup(tiny_demo) == folder
    assert opened == [served[0][1].url(tiny_demo)]


@pytest.mark.parametrize("damage", ["truncated", "missing", "other version"])
def test_a_bad_demo_is_kept_aside_and_built_afresh(
    damage: str,
    tiny_demo: str,
    served: list[tuple[Path, address.Address, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["demo", tiny_demo, "--no-browser"]) == 0
    folder = served[0][0]
    slices.table(Workspace(folder)).add("mine", "{}")
    scores = next(folder.glob("runs/*/scores-*"))
    whole = scores.read_bytes()
    if damage == "truncated":
        scores.write_bytes(whole[:-10])
    elif damage == "missing":
        scores.unlink()
    else:
        monkeypatch.setattr(demos, "version", lambda name: f"{name} 99")
    capsys.readouterr()
    assert main(["demo", tiny_demo, "--no-browser"]) == 0
    said = capsys.readouterr().err
    assert "another version" in said if damage == "other version" else "is damaged" in said
    assert f"kept as {tiny_demo}.old-1" in said
    assert (folder.parent / f"{tiny_demo}.old-1" / "manifest.json").is_file()
    assert scores.read_bytes() == whole
    assert [saved.name for saved in slices.table(Workspace(folder)).all()] == ["mine"]
    assert demos.DemoFolder(tiny_demo).problem() is None


def test_a_half_built_demo_goes_on(
    tiny_demo: str, served: list[tuple[Path, address.Address, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", tiny_demo, "--no-browser"]) == 0
    folder = served[0][0]
    demos.DemoFolder(tiny_demo).note.unlink()
    next(folder.glob("runs/*/report.json")).unlink()
    capsys.readouterr()
    assert main(["demo", tiny_demo, "--no-browser"]) == 0
    said = capsys.readouterr().err
    assert "kept as" not in said
    assert "Curvature" not in said
    assert demos.DemoFolder(tiny_demo).problem() is None


def test_a_half_built_demo_of_other_data_is_kept_aside(
    tiny_demo: str, home: Path, served: list[tuple[Path, address.Address, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", tiny_demo, "--no-browser"]) == 0
    demos.DemoFolder(tiny_demo).note.unlink()
    project_file(home.parent, "given['model'].weight.data += 0.1\n")
    assert main(["demo", tiny_demo, "--no-browser"]) == 0
    assert "holds another model or other data" in capsys.readouterr().err
    assert len(served) == 2


def test_a_demo_that_is_ready_needs_no_torch(tiny_demo: str, served: object) -> None:
    assert main(["demo", tiny_demo, "--no-browser"]) == 0
    code = (
        "import sys\nfrom dashboard import cli\nfrom dashboard.services import serve\n"
        "serve.serve = lambda *_, **__: None\n"
        f"assert cli.main(['demo', '{tiny_demo}', '--no-browser']) == 0\n"
        "assert not {'torch', 'streamlit', 'pandas'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.PIPE)


# --- address ----------------------------------------------------------------------------------------------


def test_a_port_that_was_asked_for_and_is_busy(busy: int, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["demo"], ["open", str(tiny)]):
        assert main([*arguments, "--no-browser", "--port", str(busy)]) == 2
        assert capsys.readouterr().err.splitlines() == [
            f"Port {busy} is in use; choose another --port, or leave it out and a free one is found."
        ]


def test_a_free_port_is_found(busy: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "FIRST_PORT", busy)
    assert address.Address.choose("127.0.0.1", None).port != busy


def test_hosts(tiny: Path, served: list[tuple[Path, address.Address, str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["open", str(tiny), "--no-browser"]) == 0
    assert "password" not in capsys.readouterr().err
    assert main(["open", str(tiny), "--no-browser", "--host", "0.0.0.0"]) == 0  # noqa: S104
    assert "there is no password" in capsys.readouterr().err
    assert served[1][1].url("a b").startswith(f"http://127.0.0.1:{served[1][1].port}/?workspace=a+b")
    assert main(["open", str(tiny), "--no-browser", "--host", "192.0.2.1"]) == 2
    assert "'192.0.2.1' is not an address of this machine" in capsys.readouterr().err
    assert not address.Address("example.invalid", 1).is_loopback
    assert all(address.Address(host, 1).is_loopback for host in ("127.0.0.1", "localhost", "::1"))


def test_a_text_browser_does_not_take_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    links: list[str] = []
    monkeypatch.setattr(serve.webbrowser, "open", links.append)
    monkeypatch.setattr(serve.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    serve.open_browser("http://127.0.0.1")
    assert not links
    monkeypatch.setenv("DISPLAY", ":0")
    serve.open_browser("http://127.0.0.1")
    assert links == ["http://127.0.0.1"]


# --- server -----------------------------------------------------------------------------------------------


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/_stcore/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_open_serves_until_it_is_stopped(stop: signal.Signals, tiny: Path, home: Path, tmp_path: Path) -> None:
    shutil.copy(project_file(tmp_path), home.parent / "again.py")
    command = ["open", str(tiny), "--no-browser", "--project", str(home.parent / "again.py")]
    child = subprocess.Popen(
        [sys.executable, "-m", "dashboard", *command],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    with child:
        assert child.stderr is not None
        assert child.stdout is not None
        link = next(line for line in child.stderr if "http://" in line)
        assert "/?workspace=workspace " in link
        port = int(link.partition("127.0.0.1:")[2].partition("/")[0])
        assert _healthy(port)
        child.send_signal(stop)
        rest = child.stderr.read()
        assert child.stdout.read() == ""
    assert child.returncode == 130
    assert rest.splitlines()[-1] == cli.STOPPED
    assert not _healthy(port)


def test_a_server_that_does_not_come_up_is_our_fault(
    tiny: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert home != tiny
    monkeypatch.setattr(serve, "APP", tmp_path / "absent.py")
    started = time.monotonic()
    assert main(["open", str(tiny), "--no-browser"]) == 1
    assert "could not be started" in capsys.readouterr().err.splitlines()[-1]
    assert time.monotonic() - started < serve.HEALTHY_WITHIN


def test_the_server_is_told_what_to_show_and_listens_here_only(
    tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    class Child:
        returncode = 0

        def __init__(self, command: list[str], **options: object) -> None:
            seen.update(options, command=command)

        def poll(self) -> int:
            return 0

    assert home != tiny
    monkeypatch.setattr(serve.subprocess, "Popen", Child)
    for host, allowed in (("127.0.0.1", False), ("0.0.0.0", True)):  # noqa: S104
        with pytest.raises(serve.ServerError):
            serve.serve(tiny, address.Address(host, 8501), project="mine.py:best")
        assert seen["env"]["INFLUENCE_WORKSPACE"] == str(tiny)
        assert seen["env"]["INFLUENCE_PROJECT"] == "mine.py:best"
        command = seen["command"]
        assert command[command.index("--server.address") + 1] == host
        assert command[command.index("--server.headless") + 1] == "true"
        assert ("--server.allowedHosts" in command) is allowed
