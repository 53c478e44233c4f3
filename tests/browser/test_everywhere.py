"""What holds on every page: readable by everyone, fitting every window, hostile to no one."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import Visit

PAGES = {"explain": "/", "overview": "/overview", "help": "/help"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("workspace", ["digits", "breast-cancer", "diabetes", "hostile"])
def test_axe_finds_nothing_serious(visit: Visit, workspace: str, scheme: str) -> None:
    seen = visit(scheme=scheme)
    for path in PAGES.values():
        seen.open(path, workspace=workspace)
        seen.page.wait_for_timeout(500)
        found = Axe().run(seen.page).response["violations"]
        serious = [
            f"{path}: {v['id']}: {v['nodes'][0]['html'][:200]}" for v in found if v["impact"] in ("serious", "critical")
        ]
        assert not serious, "\n".join(serious)


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("workspace", ["digits", "breast-cancer", "diabetes", "hostile"])
def test_no_page_scrolls_sideways(visit: Visit, workspace: str, width: int) -> None:
    seen = visit(width=width)
    for path in PAGES.values():
        seen.open(path, workspace=workspace)
        assert seen.sideways() <= 0, path


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


def test_pictures_of_every_page_to_look_at(visit: Visit, tmp_path: Path) -> None:
    """In light and dark, wide and narrow: kept by pytest with the other artefacts of the run."""
    for scheme in ("light", "dark"):
        for width in (1280, 400):
            seen = visit(width=width, scheme=scheme)
            for name, path in PAGES.items():
                seen.open(path, workspace="digits")
                target = tmp_path / f"{name}-{scheme}-{width}.png"
                seen.page.screenshot(path=target)
                assert target.stat().st_size > 10_000
