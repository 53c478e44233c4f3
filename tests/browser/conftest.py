"""A real server started by the real command, and a real browser that may talk to nobody else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

import demo_models
from influence_core.methods import Exact
from influence_core.store import Workspace, build
from tests.benchmarks.serving import FLAGS, environment_of, serving, wait_until_healthy
from tests.browser.pages import Dashboard
from tests.dashboard.conftest import hostile_project


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder drives a browser."""
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Workspace]:
    """By name: three demos, hostile texts, digits with two runs, and one that was damaged after it was built."""
    folder = tmp_path_factory.mktemp("workspaces")
    built = {
        name: build(demo_models.load(name), folder / name, project_ref=f"demo:{name}")
        for name in ("digits", "breast-cancer", "diabetes")
    }
    built["hostile"] = build(hostile_project(), folder / "hostile")
    shutil.copytree(folder / "digits", folder / "two-runs")
    built["two-runs"] = build(
        demo_models.load("digits"), folder / "two-runs", Exact(damping=0.01), project_ref="demo:digits"
    )
    damaged = build(demo_models.load("diabetes"), folder / "damaged", project_ref="demo:diabetes")
    table = damaged.path / "examples" / "test.arrow"
    table.write_bytes(table.read_bytes()[:1000])
    return {**built, "damaged": damaged}


@pytest.fixture(scope="session")
def address(workspaces: dict[str, Workspace], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`influence open` on the digits workspace, with the others in the catalogue."""
    home = tmp_path_factory.mktemp("home")
    register = (
        "import sys; from pathlib import Path; from dashboard.services import catalogue;"
        "[catalogue.register(Path(p)) for p in sys.argv[1:]]"
    )
    paths = [str(w.path) for w in workspaces.values()]
    subprocess.run([sys.executable, "-c", register, *paths], env=environment_of(home), check=True)
    with serving(home, "open", paths[0]) as (process, served):
        wait_until_healthy(process, served, home)
        yield served


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium."""
    executable = shutil.which("chromium")
    assert executable, "The browser tests need Chromium: put an executable 'chromium' on PATH."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


Visit = Callable[..., Dashboard]


@pytest.fixture
def visit(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """Open a fresh page of a size, colour scheme and server; no request may leave this machine, no script may fail."""
    contexts, foreign, failed = [], [], []

    def watch(page: Page) -> None:
        page.on("request", lambda asked: _note(foreign, asked.url))
        page.on("pageerror", lambda error: failed.append(str(error)))

    def make(width: int = 1280, height: int = 1000, scheme: Any = "light", address: str = "") -> Dashboard:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        watch(page)
        return Dashboard(page, address or request.getfixturevalue("address"))

    yield make
    for context in contexts:
        context.close()
    assert not foreign
    assert not failed


def _note(foreign: list[str], url: str) -> None:
    parts = urlparse(url)
    if parts.scheme not in ("data", "blob", "about") and parts.hostname != "127.0.0.1":
        foreign.append(url)
