"""Run the dashboard's server until it is stopped.

Nothing here imports torch, so that a second ``influence demo`` answers at once.
"""

from __future__ import annotations

import http.client
import os
import signal
import site
import subprocess
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from dashboard.services.address import ALLOWED, Address

APP = Path(__file__).parents[1] / "app.py"
HEALTHY_WITHIN = 60.0  # seconds
STOPPED_WITHIN = 5.0


class ServerError(RuntimeError):
    """Streamlit did not come up, or ended by itself."""


def serve(folder: Path, address: Address, *, project: str = "", ready: Callable[[], None] = lambda: None) -> None:
    """Run the dashboard on a workspace until it is stopped; ``ready`` is called once it answers.

    Raises:
        ServerError: If it does not come up, or ends by itself.
        KeyboardInterrupt: When this process is told to stop; the dashboard is stopped first.
    """
    with _child(folder, address, project) as child:
        _wait_until_healthy(child, address)
        ready()
        code = child.wait()
    msg = f"The dashboard ended by itself with exit code {code}"
    raise ServerError(msg)


def open_browser(url: str) -> None:
    """Open the user's browser, where there is a screen: a text browser must not take the terminal over."""
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    if sys.platform != "linux" or any(os.environ.get(name) for name in screens):
        webbrowser.open(url)


@contextmanager
def _child(folder: Path, address: Address, project: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "INFLUENCE_WORKSPACE": str(folder.resolve()), "INFLUENCE_PROJECT": project}
    environment["PYTHONPATH"] = _python_path(environment.get("PYTHONPATH", ""))
    with _stop_signals():
        child = subprocess.Popen(  # noqa: S603  (our own command)
            _command(address),
            env=environment,
            stdout=subprocess.DEVNULL,  # its banner; errors go to stderr
            start_new_session=True,  # Ctrl-C reaches us alone, and we stop the child in order
        )
        try:
            yield child
        finally:
            _stop(child)


def _command(address: Address) -> list[str]:
    options = {"address": address.host, "port": str(address.port), "headless": "true"}
    if not address.is_loopback:
        options["allowedHosts"] = "*"  # beside the script only this machine's names are allowed
        if os.environ.get(ALLOWED) != "allow":
            options["maxUploadSize"] = "1"  # nothing is taken; Streamlit would keep in memory whatever is sent
    flags = [part for name, value in options.items() for part in (f"--server.{name}", value)]
    # -P: a file of the user's working folder must not shadow a library
    return [sys.executable, "-P", "-m", "streamlit", "run", str(APP), "--logger.level", "warning", *flags]


def _python_path(given: str) -> str:
    """Under -P a source folder that is not installed has to be named."""
    root = str(APP.parents[1])
    parts = [given] if given else []
    return os.pathsep.join(parts if root in site.getsitepackages() else [*parts, root])


def _wait_until_healthy(child: subprocess.Popen[bytes], address: Address) -> None:
    deadline = time.monotonic() + HEALTHY_WITHIN
    while time.monotonic() < deadline:
        if child.poll() is not None:
            msg = f"The dashboard could not be started (exit code {child.returncode})"
            raise ServerError(msg)
        if _is_healthy(address):
            return
        time.sleep(0.05)
    msg = f"The dashboard did not answer within {HEALTHY_WITHIN:.0f} seconds"
    raise ServerError(msg)


def _is_healthy(address: Address) -> bool:
    connection = http.client.HTTPConnection(address.reachable_host, address.port, timeout=2)
    try:
        connection.request("GET", "/_stcore/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextmanager
def _stop_signals() -> Iterator[None]:
    """Let a terminal that closes and a service manager stop us as Ctrl-C does."""

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), stop) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
