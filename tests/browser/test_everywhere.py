"""What holds on every page: readable by everyone, fitting every window, hostile to no one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import Visit
from tests.browser.readable import serious_faults

OF_A_WORKSPACE = {"explain": "/", "overview": "/overview"}
WORKSPACES = ["digits", "hostile", *(pytest.param(n, marks=pytest.mark.slow) for n in ("breast-cancer", "diabetes"))]
PAGES = OF_A_WORKSPACE | {"help": "/help", "your-data": "/your-data"}


def pages_of(workspace: str) -> dict[str, str]:
    """Every page once; those that show nothing of a workspace are looked at with one of them."""
    return PAGES if workspace == "digits" else OF_A_WORKSPACE


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("workspace", WORKSPACES)
def test_axe_finds_nothing_serious(visit: Visit, workspace: str, scheme: str) -> None:
    seen = visit(scheme=scheme)
    for path in pages_of(workspace).values():
        seen.open(path, workspace=workspace)
        seen.rest()
        serious = serious_faults(seen)
        assert not serious, f"{path}:\n" + "\n".join(serious)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_chosen_filter_is_readable_under_pointer_and_focus(visit: Visit, scheme: str) -> None:
    seen = visit(scheme=scheme)
    seen.open("/", workspace="hostile")
    seen.rest()
    chosen = seen.page.get_by_role("radio", name="All")
    for act in (chosen.hover, chosen.focus):
        act()
        seen.rest()
        assert not serious_faults(seen)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_use(visit: Visit, scheme: str) -> None:
    """What a page at rest does not show: a ticked card, a button that can be pressed, a dialog, a menu, the table."""
    seen = visit(scheme=scheme)
    seen.open("/", workspace="breast-cancer")
    card = seen.page.locator(".st-key-deck-positive li[data-id]").first
    steps = (
        card.get_by_role("checkbox").click,
        seen.button("Refit without").click,
        card.locator("button.key").click,
        lambda: seen.page.keyboard.press("Escape"),
        seen.page.get_by_role("tab", name="Table").click,
        seen.button("Filters").click,
    )
    for step in steps:
        step()
        seen.rest()
        faults = serious_faults(seen)
        assert not faults, "\n".join(faults)


@pytest.mark.parametrize("workspace", WORKSPACES)
def test_no_page_scrolls_sideways(visit: Visit, workspace: str) -> None:
    seen = visit()
    for path in pages_of(workspace).values():
        seen.open(path, workspace=workspace)
        for width in (1280, 640, 400):  # 640 is 1280 at a zoom of 200 %
            seen.page.set_viewport_size({"width": width, "height": 1000})
            seen.rest()
            assert seen.sideways() <= 0, (path, width)


def test_hostile_texts_are_shown_as_texts(visit: Visit) -> None:
    seen = visit()
    for path in ("/", "/overview"):
        seen.open(path, workspace="hostile")
        assert seen.page.get_by_text("<script>alert(1)</script>").count()
        assert seen.page.locator("img[src*='tracker']").count() == 0
        assert seen.page.locator("a[href*='tracker']").count() == 0
        assert seen.page.evaluate("() => [...document.scripts].every(s => !s.textContent.includes('alert(1)'))")


def test_an_unknown_example_and_an_unknown_workspace_are_said(visit: Visit) -> None:
    seen = visit()
    seen.open("/", workspace="digits", test=9999)
    seen.expect_text("9999")
    seen.open("/", workspace="nowhere")
    seen.expect_text("nowhere")


def test_a_damaged_workspace_is_said(visit: Visit) -> None:
    seen = visit()
    seen.open("/", workspace="damaged")
    seen.expect_text("test.arrow")
    seen.expect_text("Workspace: damaged. Folder: /")
    seen.rest()
    assert not serious_faults(seen)
    seen.pick_option("Open another workspace", "diabetes")
    seen.expect_text("Diabetes progression")


@pytest.mark.slow
def test_pictures_of_every_page_to_look_at(visit: Visit, tmp_path: Path) -> None:
    """In light and dark, wide and narrow: kept by pytest with the other artefacts of the run."""
    for scheme in ("light", "dark"):
        seen = visit(scheme=scheme)
        for name, path in PAGES.items():
            seen.open(path, workspace="digits")
            for width in (1280, 400):
                seen.page.set_viewport_size({"width": width, "height": 1000})
                seen.rest()
                target = tmp_path / f"{name}-{scheme}-{width}.png"
                seen.page.screenshot(path=target)
                assert target.stat().st_size > 10_000
