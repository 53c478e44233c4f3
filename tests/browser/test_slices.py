"""From a column of the user's own to a slice that outlives the page, and back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from influence_core.store import Workspace, build
from tests.benchmarks.serving import serving, wait_until_healthy
from tests.browser.conftest import Visit
from tests.browser.pages import Dashboard
from tests.browser.readable import serious_faults
from tests.dashboard.conftest import grouped_project


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return build(grouped_project(columns=40), tmp_path_factory.mktemp("grouped") / "grouped")


@pytest.fixture(scope="module")
def served(grouped: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    with serving(home, "open", str(grouped.path)) as (process, address):
        wait_until_healthy(process, address, home)
        yield address


def choose_column(seen: Dashboard, name: str) -> None:
    seen.page.get_by_test_id("stPopoverBody").get_by_label("Metadata column").first.click()
    seen.page.keyboard.type(name, delay=30)
    seen.page.keyboard.press("Enter")
    seen.rest()


def choose_value(seen: Dashboard, column: str, value: str) -> None:
    menu = seen.page.get_by_test_id("stMultiSelect").filter(has_text=column).locator("input")
    menu.click()
    menu.press_sequentially(value, delay=30)
    seen.page.keyboard.press("Enter")
    seen.rest()


def close_menus(seen: Dashboard) -> None:
    for _ in range(2):
        seen.page.keyboard.press("Escape")
    seen.rest()


def name_it(seen: Dashboard, name: str) -> None:
    """Save the filters, once the form for it is open."""
    seen.page.get_by_label("Name").fill(name)
    seen.page.get_by_role("button", name="Save", exact=True).click()
    seen.wait_until(lambda: "slice=" in seen.page.url)
    seen.rest()


def assert_readable(seen: Dashboard) -> None:
    faults = serious_faults(seen)
    assert not faults, "\n".join(faults)
    assert seen.sideways() <= 0


def filter_by_town(seen: Dashboard) -> None:
    seen.open("/")
    seen.rest()
    seen.button("Filters").click()
    seen.rest()
    choose_column(seen, "town")
    choose_value(seen, "town", "Ulm")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (400, "dark")])
def test_every_step_is_readable(visit: Visit, served: str, width: int, scheme: str, tmp_path: Path) -> None:
    seen = visit(width=width, scheme=scheme, address=served)
    filter_by_town(seen)
    seen.page.screenshot(path=tmp_path / "filter.png")
    assert_readable(seen)
    close_menus(seen)
    seen.button("Save as slice").click()
    seen.rest()
    seen.page.screenshot(path=tmp_path / "save.png")
    assert_readable(seen)
    name_it(seen, f"Readable {width} {scheme}")
    assert_readable(seen)
    seen.button("Change slice").click()
    seen.rest()
    seen.page.screenshot(path=tmp_path / "change.png")
    assert_readable(seen)
    seen.button("Delete slice").click()
    seen.rest()
    assert_readable(seen)


def test_filter_save_reload_choose_and_delete(visit: Visit, served: str) -> None:
    seen = visit(address=served)
    filter_by_town(seen)
    close_menus(seen)
    seen.expect_text("Filtered: town is Ulm")
    seen.expect_text("15 listed")
    seen.button("Save as slice").click()
    name_it(seen, "From Ulm")
    assert "slice=From+Ulm" in seen.page.url
    seen.page.reload()
    seen.rest()
    seen.expect_text("Filtered: town is Ulm")

    other = visit(address=served)
    other.open("/")
    other.rest()
    other.page.locator(".st-key-slice-menu input").click()
    other.page.keyboard.type("From", delay=30)
    other.page.keyboard.press("Enter")
    other.rest()
    other.expect_text("Filtered: town is Ulm")
    other.expect_text("15 listed")

    delete(seen)
    seen.expect_text("Deleted the slice “From Ulm”.")
    seen.button("Undo").click()
    seen.rest()
    expect(seen.page).to_have_url(re.compile("slice=From"))
    delete(seen)
    other.button("Next Shortcut N").click()
    other.settle()
    other.expect_text("This slice was renamed or deleted in another window")
    assert "slice=" not in other.page.url


def delete(seen: Dashboard) -> None:
    seen.button("Change slice").click()
    seen.button("Delete slice").click()
    seen.rest()


def test_back_leaves_a_slice_and_forward_returns_to_it(visit: Visit, served: str) -> None:
    seen = visit(address=served)
    seen.open("/")
    seen.rest()
    seen.page.get_by_role("radio", name="Wrong").click()
    seen.rest()
    seen.button("Save as slice").click()
    name_it(seen, "wrong ones")
    seen.page.go_back()
    seen.rest()
    assert "slice=" not in seen.page.url
    expect(seen.page.get_by_text("Filtered:")).to_have_count(0)
    seen.page.go_forward()
    seen.rest()
    seen.expect_text("Filtered: wrong")
    assert "slice=" in seen.page.url


def test_the_training_table_is_filtered_by_metadata(visit: Visit, served: str) -> None:
    seen = visit(address=served)
    seen.open("/")
    seen.rest()
    seen.page.get_by_role("tab", name="Table").click()
    seen.rest()
    seen.button("Filter by metadata").click()
    seen.rest()
    choose_column(seen, "town")
    choose_value(seen, "town", "Bern")
    close_menus(seen)
    seen.expect_text("10 of 40 training examples (town is Bern)")
    assert_readable(seen)


def test_metadata_stands_beside_the_example_and_in_its_dialog(visit: Visit, served: str) -> None:
    seen = visit(address=served)
    seen.open("/", test=3)
    seen.rest()
    seen.expect_text("All 40 metadata columns")
    seen.page.locator(".st-key-deck-positive li[data-id]").first.locator("button.key").click()
    seen.rest()
    dialog = seen.page.get_by_role("dialog")
    expect(dialog.get_by_text("Metadata", exact=True).first).to_be_visible()
    expect(dialog.get_by_text("town", exact=True)).to_be_visible()
    assert_readable(seen)
