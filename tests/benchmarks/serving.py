"""An `influence` command in a home folder of its own, and a browser to look at it."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[2]
WITHIN = 120.0  # seconds until something is given up
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# a page that is not connected yet runs no script either
READY = '[data-testid="stApp"][data-test-connection-state="CONNECTED"][data-test-script-state="notRunning"]'
CARD = "li[data-id]"


def environment_of(home: Path) -> dict[str, str]:
    """The variables of somebody who has never used the dashboard and whose home is this folder."""
    folders = {"HOME": home, "XDG_DATA_HOME": home / "data", "XDG_CACHE_HOME": home / "cache"}
    return {**os.environ, **{name: str(folder) for name, folder in folders.items()}, "PYTHONPATH": str(ROOT)}


@contextmanager
def serving(home: Path, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """An `influence` command that serves, such as `demo`, and its address; it is stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "dashboard", *words, "--no-browser", "--port", str(port)]
    with (home / "log").open("ab") as log:
        process = subprocess.Popen(command, env=environment_of(home), cwd=home, stdout=log, stderr=log)
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(WITHIN)


def wait_until_healthy(process: subprocess.Popen[bytes], address: str, home: Path) -> None:
    """Return once `/_stcore/health` answers.

    Raises:
        RuntimeError: If the command ends or takes too long; its output is in the message.
    """
    deadline = time.monotonic() + WITHIN
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=1)
        with closing(connection), suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/_stcore/health")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        time.sleep(0.02)
    msg = f"The dashboard was not served:\n{(home / 'log').read_text()}"
    raise RuntimeError(msg)


@contextmanager
def browser() -> Iterator[Page]:
    """A page of 1,280 x 1,000 pixels in Debian's Chromium."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        try:
            yield chromium.new_page(viewport={"width": 1280, "height": 1000})
        finally:
            chromium.close()


def open_first_page(page: Page, address: str) -> None:
    """Return once the page's script has run and its cards are there."""
    page.goto(address, timeout=WITHIN * 1000)
    page.locator(CARD).first.wait_for(timeout=WITHIN * 1000)
    page.locator(READY).wait_for(timeout=WITHIN * 1000)
