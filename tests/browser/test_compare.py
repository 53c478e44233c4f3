"""Two runs of one workspace: the header's menu switches between them, the Compare tab puts them side by side."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from scipy import stats

from influence_core.store import Run, Workspace
from tests.browser.conftest import Visit
from tests.browser.pages import Dashboard
from tests.browser.readable import serious_faults


def open_compare(seen: Dashboard, **query: object) -> None:
    """Explain with the tab open."""
    seen.open("/", workspace="two-runs", **query)
    seen.page.get_by_role("tab", name="Compare").click()
    seen.settle()
    expect(seen.page.get_by_test_id("stMetric")).to_be_visible()


def expect_run(seen: Dashboard, run: Run) -> None:
    """Address, cards and trust strip belong to this run."""
    test_id = seen.url_test()
    top = [ranked.train_id for ranked in run.scores(test_id).top(test_id, 6)]

    def followed() -> bool:
        return f"run={run.id}" in seen.page.url and seen.cards("positive") == top

    seen.wait_until(followed)
    assert followed()
    damping = "damping 0 " if run.damping == 0 else "damping 0.01"
    expect(seen.page.locator(".st-key-trust")).to_contain_text(damping)


def test_the_menu_of_runs_and_the_way_back(visit: Visit, workspaces: dict[str, Workspace]) -> None:
    newest, oldest = workspaces["two-runs"].runs
    seen = visit()
    seen.open("/", workspace="two-runs")
    expect_run(seen, newest)
    before = seen.url_test()
    menu = seen.page.get_by_role("combobox", name="Run")
    expect(menu).to_have_value("exact · damping 0.01")
    menu.click()
    options = [option.inner_text() for option in seen.page.get_by_role("option").all()]
    assert options == ["exact · damping 0.01", "exact · damping 0"]
    seen.moves(lambda: seen.page.get_by_role("option", name="exact · damping 0", exact=True).click())
    expect_run(seen, oldest)
    assert seen.url_test() == seen.shown_test() == before
    seen.page.go_back()
    seen.settle()
    expect_run(seen, newest)
    expect(menu).to_have_value("exact · damping 0.01")


def test_the_tab_says_how_far_two_runs_agree(visit: Visit, workspaces: dict[str, Workspace]) -> None:
    newest, oldest = workspaces["two-runs"].runs
    seen = visit()
    open_compare(seen, run=newest.id)
    test_id = seen.url_test()
    here, there = (run.scores(test_id) for run in (newest, oldest))
    expected = stats.spearmanr(here.of(test_id).numpy(), there.of(test_id).numpy()).statistic
    expect(seen.page.get_by_test_id("stMetricValue")).to_have_text(f"{expected:.3f}")
    worst, others = ({r.train_id for r in found.bottom(test_id, 10)} for found in (here, there))
    seen.expect_text(f"The two runs agree on {len(worst & others)} of the 10 most harmful examples")
    seen.press("n")
    expect(seen.page.get_by_test_id("stMetric")).to_be_visible()  # the tab stays open on the next prediction


def test_a_point_names_its_example(visit: Visit) -> None:
    seen = visit()
    open_compare(seen)
    chart = seen.page.locator("[class*='st-key-ranks-']")
    box = seen.box_at_rest(chart.locator(".nsewdrag"))
    seen.page.mouse.move(box["x"] + box["width"] * 0.03, box["y"] + box["height"] * 0.97, steps=4)
    expect(chart.locator(".hoverlayer")).to_contain_text(re.compile(r"rank [\d.,]+ in this run, [\d.,]+ in the other"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_everyone_can_read_it(visit: Visit, tmp_path: Path, width: int, scheme: str) -> None:
    seen = visit(width=width, scheme=scheme)
    open_compare(seen)
    seen.page.get_by_test_id("stMetric").scroll_into_view_if_needed()
    seen.rest()
    faults = serious_faults(seen)
    assert not faults, "\n".join(faults)
    assert seen.sideways() <= 0
    target = tmp_path / f"compare-{scheme}-{width}.png"
    seen.page.screenshot(path=target)
    assert target.stat().st_size > 10_000
