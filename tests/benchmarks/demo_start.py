"""Seconds until `influence demo` shows its first page: built from nothing, and the second time."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page

from tests.benchmarks.figures import Figure, command
from tests.benchmarks.serving import browser, open_first_page, serving, wait_until_healthy

BOUNDS = {"first": 20.0, "second": 5.0}


def start(page: Page, home: Path) -> tuple[float, float]:
    """Seconds until the server answers, and until the first page with its cards is on screen."""
    started = time.perf_counter()
    with serving(home, "demo") as (process, address):
        wait_until_healthy(process, address, home)
        healthy = time.perf_counter() - started
        open_first_page(page, address)
        return healthy, time.perf_counter() - started


def run() -> list[Figure]:
    """Two starts in one fresh home folder; the browser itself is already running."""
    figures = []
    with browser() as page, tempfile.TemporaryDirectory() as folder:
        for name, bound in BOUNDS.items():
            healthy, painted = start(page, Path(folder))
            figures.append(Figure(f"{name} start: server answers", healthy, "s", most=bound))
            figures.append(Figure(f"{name} start: first page on screen", painted, "s", most=bound))
    return figures


def main() -> None:
    """Run this benchmark alone."""
    command("demo_start", run)


if __name__ == "__main__":
    main()
