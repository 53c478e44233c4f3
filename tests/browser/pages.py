"""The dashboard as a person meets it: what is on screen, and where to click."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qs, urlparse

from playwright.sync_api import FloatRect, Locator, Page, TimeoutError, expect

from tests.benchmarks.serving import READY

HEADER, ROW = 36, 35  # pixels of the list
SHADOW_IDS = """
(side) => {
  const found = [];
  const look = (root) => {
    for (const item of root.querySelectorAll("li[data-id]")) found.push(Number(item.dataset.id));
    for (const inner of root.querySelectorAll("*")) if (inner.shadowRoot) look(inner.shadowRoot);
  };
  const deck = document.querySelector(`.st-key-deck-${side}`);
  if (deck) look(deck);
  return found;
}
"""
# The script's end comes before the paint: parts arrive as skeletons, fonts and charts later, and what is stale or
# disconnected is drawn fainter. Only a page on which nothing of this is left, and which then changes nothing for
# QUIET milliseconds, is what a person sees.
QUIET, SHORT = 400, 200
RESTLESS = 8_000  # milliseconds after which a page that goes on changing is taken as it is
AT_REST = """
(quiet) => {
  if (!window.lastChange) {
    window.lastChange = performance.now();
    new MutationObserver(() => (window.lastChange = performance.now())).observe(document, {
      subtree: true, childList: true, attributes: true, characterData: true,
    });
  }
  const pending = [
    "[data-test-connection-state]:not([data-test-connection-state=CONNECTED])",
    "[data-test-script-state]:not([data-test-script-state=notRunning])",
    "[data-testid=stSkeleton], [data-testid=stStatusWidget], [data-stale=true]",
  ].join(", ");
  const busy = document.querySelector(pending) || document.getAnimations().length || document.fonts.status !== "loaded";
  if (busy) window.lastChange = performance.now();
  return performance.now() - window.lastChange > quiet;
}
"""


@dataclass(frozen=True)
class Dashboard:
    """One page in a browser.

    Attributes:
        page: The page.
        address: Of the server.
    """

    page: Page
    address: str

    def open(self, path: str = "/", **query: object) -> None:
        """Go somewhere and wait until it is painted."""
        words = "&".join(f"{name}={value}" for name, value in query.items())
        self.page.goto(f"{self.address}{path}?{words}")
        self.settle()

    def settle(self) -> None:
        """Wait until what was done has been answered: no script runs, and nothing changes any more."""
        self.page.wait_for_timeout(250)
        self.page.locator(READY).wait_for(timeout=30_000)
        self._wait_for_rest(SHORT)

    def rest(self) -> None:
        """Wait until the page is painted and nothing on it moves, fades or loads: what is measured is what is seen."""
        self.settle()
        self._wait_for_rest(QUIET)

    def _wait_for_rest(self, quiet: int) -> None:
        """At most some seconds: what a test asks next shows whether the page was ready for it."""
        with suppress(TimeoutError):
            self.page.wait_for_function(AT_REST, arg=quiet, timeout=RESTLESS)

    def wait_until(self, true: Callable[[], bool], seconds: float = 20) -> None:
        """Wait for what the browser paints after the script's end; says nothing if it never comes."""
        deadline = time.monotonic() + seconds
        while not true() and time.monotonic() < deadline:
            self.page.wait_for_timeout(100)

    def box_at_rest(self, place: Locator) -> FloatRect:
        """Where something is, once it is painted and stands still: a chart comes after the script's end."""
        place.scroll_into_view_if_needed()
        boxes = [place.bounding_box()]

        def rests() -> bool:
            self.page.wait_for_timeout(300)
            boxes.append(place.bounding_box())
            return boxes[-1] == boxes[-2]

        self.wait_until(rests)
        assert boxes[-1] is not None
        assert boxes[-1] == boxes[-2], "it never stood still"
        return boxes[-1]

    def url_test(self) -> int:
        """The test id in the address."""
        return int(parse_qs(urlparse(self.page.url).query)["test"][0])

    def shown_test(self) -> int:
        """The test id of the chosen example on screen."""
        text = self.page.locator(".st-key-chosen").inner_text()
        found = re.search(r"\btest (\d+)", text)
        assert found is not None, text
        return int(found[1])

    def cards(self, side: str) -> list[int]:
        """The training ids of one column of cards."""
        return [int(i) for i in self.page.evaluate(SHADOW_IDS, side)]

    def click_row(self, row: int) -> None:
        """Click the text of a visible row of the list, and wait until its prediction is there."""
        x, y = self.point_at_row(row)
        self.moves(lambda: self.page.mouse.click(x, y))

    def point_at_row(self, row: int) -> tuple[float, float]:
        """Move the pointer over the text of a visible row of the list; where that is."""
        box = self.page.locator(".st-key-test-list canvas").first.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] * 0.3, box["y"] + HEADER + (row + 0.5) * ROW
        self.page.mouse.move(x, y)  # as a hand does: the table takes clicks once it has seen the pointer above it
        self.page.wait_for_timeout(200)
        return x, y

    def press(self, key: str) -> None:
        """Press a key that leads to another prediction."""
        self.rest()  # a key is heard once its button is on the page
        self.moves(lambda: self.page.keyboard.press(key))

    def moves(self, act: Callable[[], None]) -> None:
        """Do what leads to another prediction, and wait until it is there."""
        self.wait_until(lambda: "test=" in self.page.url)  # the page names what it opened on after its first paint
        before = self.page.url
        act()
        self.wait_until(lambda: self.page.url != before)
        self.settle()

    def button(self, name: str) -> Locator:
        """A button by the words on it."""
        return self.page.get_by_role("button", name=name)

    def pick_option(self, label: str, option: str) -> None:
        """Choose an option of a select box by typing its first word, as the keyboard does."""
        self.page.get_by_test_id("stSelectbox").filter(has_text=label).locator("input").focus()
        self.page.keyboard.type(option, delay=30)
        self.page.keyboard.press("Enter")
        self.settle()

    def expect_text(self, words: str) -> None:
        """Some element shows these words."""
        expect(self.page.get_by_text(words).first).to_be_visible(timeout=30_000)

    def sideways(self) -> int:
        """How many pixels the page is wider than the window."""
        code = (
            "() => Math.max(...[document.scrollingElement, ...document.querySelectorAll('[data-testid=stMain]')]"
            ".map(e => e.scrollWidth - e.clientWidth))"
        )
        return int(self.page.evaluate(code))
