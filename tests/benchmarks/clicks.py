"""Explain on digits in a real browser: click to painted cards and chart, and the process's memory over many clicks.

A click counts as painted in the first frame in which the address, the chosen example, both columns of cards (exactly
the training ids that the engine ranks first) and the chart are the new prediction's and the script has ended.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import Page

from influence_core.store import Workspace
from tests.benchmarks.figures import Figure, command
from tests.benchmarks.serving import READY, browser, open_first_page, serving, wait_until_healthy

TIMED, COUNTED = 50, 300
PAGE, CARDS = 50, 6
HEADER, ROW = 36, 35  # pixels of the list
WATCH = (Path(__file__).parent / "painted.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Explain:
    """The page in the browser, and the workspace that it shows."""

    page: Page
    workspace: Workspace
    order: list[int]

    def click(self, place: int) -> float:
        """Click the text of a row of the list; milliseconds from the press of the button until all is painted."""
        test_id = self.order[place]
        scores = self.workspace.run().scores(test_id)
        cards = [[r.train_id for r in ranked] for ranked in (scores.top(test_id, CARDS), scores.bottom(test_id, CARDS))]
        x, y = self.point(place % PAGE)
        self.page.mouse.move(x, y)  # as a hand does: the table takes clicks once it has seen the pointer above it
        self.page.wait_for_timeout(100)
        keys = [self.workspace.train[i].key for deck in cards for i in deck]
        self.page.evaluate(WATCH, {"id": test_id, "decks": cards, "keys": keys})
        self.page.mouse.click(x, y)
        return float(self.page.evaluate("() => window.painted"))

    def visit(self, places: list[int]) -> Iterator[float]:
        """Click rows in turn, turning the list's page where needed."""
        for place in places:
            self._turn_to(place // PAGE + 1)
            yield self.click(place)

    def point(self, row: int) -> tuple[float, float]:
        """Where a row of the list is, scrolled into sight."""
        self.page.locator(".st-key-test-list .dvn-scroller").wait_for()
        scroll = "(list, y) => { const s = list.querySelector('.dvn-scroller'); s.scrollTop = y; return s.scrollTop }"
        top = self.page.locator(".st-key-test-list").evaluate(scroll, row * ROW)
        self.page.wait_for_timeout(50)
        box = self.page.locator(".st-key-test-list canvas").first.bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 3, box["y"] + HEADER + row * ROW - top + ROW / 2

    def _turn_to(self, number: int) -> None:
        active = self.page.get_by_test_id("stPaginationPageActive").first
        while (at := int(active.inner_text())) != number:
            self.page.get_by_test_id("stPaginationNext" if at < number else "stPaginationPrev").first.click()
            self.page.wait_for_timeout(300)
            self.page.locator(READY).wait_for()


def run() -> list[Figure]:
    """Fifty timed clicks, then three hundred more while the memory of the process is watched."""
    with (
        tempfile.TemporaryDirectory() as folder,
        browser() as page,
        serving(Path(folder), "demo") as (process, address),
    ):
        wait_until_healthy(process, address, Path(folder))
        open_first_page(page, address)
        workspace = Workspace(next(Path(folder).rglob("manifest.json")).parent)
        losses = workspace.test.frame().sort_values("loss", ascending=False, kind="stable")
        explain = Explain(page, workspace, losses["id"].tolist())
        server = psutil.Process(process.pid).children()[0]
        places = list(range(len(explain.order)))
        timed = [*places[1 : TIMED // 2 + 1], *places[-TIMED // 2 :]]
        milliseconds = list(explain.visit(timed))
        before = server.memory_info().rss
        later = list(explain.visit(places[:COUNTED]))
        growth = (server.memory_info().rss - before) / 2**20
    return [
        Figure("click to painted, p95", np.percentile(milliseconds, 95) / 1000, "s", most=1, note=f"{TIMED} clicks"),
        Figure("click to painted, median", np.median(milliseconds) / 1000, "s"),
        Figure("click to painted, slowest", max(milliseconds) / 1000, "s"),
        Figure("p95 of the later clicks", np.percentile(later, 95) / 1000, "s", note=f"{COUNTED} clicks"),
        Figure("memory before them", before / 2**20, "MB", note="resident, the Streamlit process"),
        Figure("growth over them", growth, "MB", most=50, note=f"{COUNTED} clicks"),
    ]


def main() -> None:
    """Run this benchmark alone."""
    command("clicks", run)


if __name__ == "__main__":
    main()
