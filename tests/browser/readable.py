"""Whether everyone can read a page, as axe sees it."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe

from tests.browser.pages import Dashboard

LOOKS = 3  # a fault has to be there each time


def serious_faults(seen: Dashboard) -> list[str]:
    """What axe finds serious, and finds again: what is drawn fainter while a rerun is on its way does not last."""
    found: list[str] = []
    for _ in range(LOOKS):
        found = _faults(seen)
        if not found:
            break
        seen.page.wait_for_timeout(1_000)
        seen.rest()
    return found


def _faults(seen: Dashboard) -> list[str]:
    """The rule, the place and the reason with its figures, every place of it."""
    found = Axe().run(seen.page).response["violations"]
    return [
        f"{fault['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]
