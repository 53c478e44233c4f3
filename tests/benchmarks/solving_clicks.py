"""Explain on mnist-cnn in a real browser: click to painted on solved predictions, click to panel on unsolved ones.

The workspace is built first, which takes minutes. Painted is what ``clicks`` calls painted. The panel counts from the
press of the button to the frame after the one in which address, chosen example and panel are the new prediction's
and no card is left; each solve is under way until the next click, which stops it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Page

from influence_core.store import Workspace
from tests.benchmarks.clicks import PAGE, Explain
from tests.benchmarks.figures import Figure, command
from tests.benchmarks.serving import (
    READY,
    WITHIN,
    browser,
    environment_of,
    open_first_page,
    serving,
    wait_until_healthy,
)

SOLVED, TIMED = 24, 20  # predictions that the build solves; clicks of each kind
PAUSE = 1000  # ms between two clicks, as somebody who reads has
WATCH = """
(id) => {
  const missing = () => {
    if (new URL(location.href).searchParams.get("test") !== String(id)) return "address";
    if (!document.querySelector(".st-key-chosen")?.innerText.includes(`test ${id}\\n`)) return "chosen example";
    if (!document.querySelector(`.st-key-solving .st-key-cancel-${id} button`)) return "cancel button";
    if (!document.querySelector(".st-key-solving [role=progressbar]")) return "progress";
    return document.querySelector("[class*='st-key-deck-']") ? "old cards" : "";
  };
  window.painted = new Promise((resolve, reject) => {
    const pressed = () => {
      const started = performance.now();
      const look = () => {
        const lacks = missing();
        if (!lacks) requestAnimationFrame(() => resolve(performance.now() - started));
        else if (performance.now() - started > 20000) reject(new Error(`test ${id}: ${lacks}`));
        else requestAnimationFrame(look);
      };
      look();
    };
    document.addEventListener("pointerdown", pressed, { once: true, capture: true });
  });
}
"""


def to_panel(explain: Explain, place: int) -> float:
    """Click an unsolved row while the one before is being solved; milliseconds until its panel is painted."""
    page, test_id = explain.page, explain.order[place]
    x, y = explain.point(place % PAGE)
    page.evaluate(WATCH, test_id)
    page.mouse.click(x, y)
    milliseconds = float(page.evaluate("() => window.painted"))
    page.locator(READY).wait_for()
    page.wait_for_timeout(PAUSE)
    return milliseconds


def warm(page: Page, explain: Explain, place: int) -> None:
    """Solve one prediction to its end: the first click loads the project, which visitors wait for once."""
    x, y = explain.point(place % PAGE)
    page.mouse.click(x, y)
    page.locator(".st-key-solving").wait_for(timeout=WITHIN * 1000)
    page.locator(".st-key-solving").wait_for(state="detached", timeout=WITHIN * 1000)
    page.locator(READY).wait_for()


def run() -> list[Figure]:
    """Build, click solved predictions, then unsolved ones."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "mnist-cnn"
        words = ["build", "mnist-cnn", "--out", str(folder), "--test-limit", str(SOLVED)]
        subprocess.run([sys.executable, "-m", "dashboard", *words], env=environment_of(Path(home)), check=True)
        workspace = Workspace(folder)
        losses = workspace.test.frame().sort_values("loss", ascending=False, kind="stable")["id"].tolist()
        solved = set(workspace.run().solved.tolist())
        known = [place for place, i in enumerate(losses[:PAGE]) if i in solved]
        unknown = [place for place, i in enumerate(losses[:PAGE]) if i not in solved]
        with browser() as page, serving(Path(home), "open", str(folder)) as (process, address):
            wait_until_healthy(process, address, Path(home))
            open_first_page(page, address)
            explain = Explain(page, workspace, losses)
            painted = [explain.click(place) for place in known[1 : TIMED + 1]]  # the first is open already
            warm(page, explain, unknown[0])
            panels = [to_panel(explain, place) for place in unknown[1 : TIMED + 1]]
    return [
        *_figures("click to painted, solved", painted),
        *_figures("click to panel, not solved", panels),
    ]


def _figures(name: str, milliseconds: list[float]) -> list[Figure]:
    seconds = np.array(milliseconds) / 1000
    return [
        Figure(f"{name}: p95", np.percentile(seconds, 95), "s", most=1, note=f"{len(seconds)} clicks"),
        Figure(f"{name}: median", np.median(seconds), "s"),
        Figure(f"{name}: slowest", seconds.max(), "s"),
    ]


def main() -> None:
    """Run this benchmark alone."""
    command("solving_clicks", run)


if __name__ == "__main__":
    main()
