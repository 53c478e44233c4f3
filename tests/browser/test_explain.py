"""Journeys through Explain, as the engineer, the curator and the presenter take them."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image
from playwright.sync_api import expect

from influence_core.store import Workspace
from tests.browser.conftest import Visit
from tests.browser.pages import Dashboard


def expect_one_story(seen: Dashboard, workspace: Workspace) -> int:
    """The id on screen, the one in the address and the cards belong to one prediction."""
    run = workspace.run()

    def story() -> tuple[int, int, list[int], list[int]]:
        return seen.url_test(), seen.shown_test(), seen.cards("positive"), seen.cards("negative")

    def expected() -> tuple[int, int, list[int], list[int]]:
        test_id = seen.url_test()
        scores = run.scores(test_id)
        top, bottom = ([r.train_id for r in ranked] for ranked in (scores.top(test_id, 6), scores.bottom(test_id, 6)))
        return test_id, test_id, top, bottom

    seen.wait_until(lambda: story() == expected())
    assert story() == expected()
    return seen.shown_test()


def test_it_opens_on_the_most_surprising_wrong_prediction(visit: Visit, workspaces: dict[str, Workspace]) -> None:
    seen = visit()
    seen.open("/", workspace="digits")
    shown = seen.shown_test()
    frame = workspaces["digits"].test.frame()
    assert shown == int(frame[~frame.correct.astype(bool)].loss.idxmax())
    seen.expect_text("What am I looking at?")
    seen.button("Got it").click()
    expect(seen.page.get_by_text("What am I looking at?")).to_have_count(0)


def test_click_filter_sort_and_back(visit: Visit, workspaces: dict[str, Workspace]) -> None:
    seen, digits = visit(), workspaces["digits"]
    seen.open("/", workspace="digits")
    seen.click_row(3)
    first = expect_one_story(seen, digits)
    seen.click_row(5)
    second = expect_one_story(seen, digits)
    assert first != second
    seen.page.get_by_role("radio", name="Right").or_(seen.button("Right")).first.click()
    seen.settle()
    assert seen.shown_test() == second  # a filter moves nothing
    seen.expect_text("not in this filter")
    seen.click_row(1)
    third = expect_one_story(seen, digits)
    assert bool(digits.test.frame().correct[third])
    seen.page.go_back()
    seen.settle()
    assert expect_one_story(seen, digits) == second
    seen.page.go_back()
    seen.settle()
    assert expect_one_story(seen, digits) == first


def test_sorting_keeps_the_example_and_clicks_what_is_shown(visit: Visit, workspaces: dict[str, Workspace]) -> None:
    seen, digits = visit(), workspaces["digits"]
    seen.open("/", workspace="digits")
    before = seen.shown_test()
    seen.page.get_by_label("Order", exact=True).click()
    seen.page.get_by_role("option").last.click()
    seen.settle()
    assert seen.shown_test() == before
    seen.page.get_by_test_id("stPaginationPage").first.or_(
        seen.page.get_by_test_id("stPaginationPageActive")
    ).first.click()
    seen.settle()
    seen.click_row(4)
    expect_one_story(seen, digits)


def test_a_deep_link_opens_its_example(visit: Visit, workspaces: dict[str, Workspace]) -> None:
    seen, digits = visit(), workspaces["digits"]
    seen.open("/", workspace="digits", run=digits.run().id, test=123)
    assert expect_one_story(seen, digits) == 123


def test_switching_the_workspace(visit: Visit, workspaces: dict[str, Workspace]) -> None:
    seen = visit()
    seen.open("/", workspace="digits", test=5)
    seen.open("/", workspace="breast-cancer")
    expect_one_story(seen, workspaces["breast-cancer"])
    assert seen.url_test() == seen.shown_test()
    seen.open("/", workspace="diabetes")
    expect_one_story(seen, workspaces["diabetes"])


def test_the_workspace_menu(visit: Visit, workspaces: dict[str, Workspace]) -> None:
    seen = visit()
    seen.open("/", workspace="digits", test=5)
    seen.moves(lambda: seen.pick_option("Workspace", "diabetes"))
    expect_one_story(seen, workspaces["diabetes"])
    assert "workspace=diabetes" in seen.page.url
    seen.page.go_back()
    seen.settle()
    assert expect_one_story(seen, workspaces["digits"]) == 5


def test_the_copied_link_opens_what_was_on_screen(visit: Visit, workspaces: dict[str, Workspace]) -> None:
    seen = visit()
    seen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    seen.open("/", workspace="digits", test=5)
    seen.press("n")
    shown = expect_one_story(seen, workspaces["digits"])
    seen.button("Copy link").click()
    expect(seen.button("Copied")).to_be_visible()
    link = seen.page.evaluate("() => navigator.clipboard.readText()")
    other = visit()
    other.page.goto(link)
    other.settle()
    assert expect_one_story(other, workspaces["digits"]) == shown


def test_filters_by_search_and_class(visit: Visit, workspaces: dict[str, Workspace]) -> None:
    seen, frame = visit(), workspaces["digits"].test.frame()
    seen.open("/", workspace="digits")
    seen.button("Filters").click()
    seen.pick_option("True label", "8")
    of_eight = frame[frame.label == 8]
    seen.expect_text(f"of {len(of_eight)}" if seen.shown_test() in of_eight.id else f"{len(of_eight)} listed")
    key = str(of_eight.key.iloc[-1])
    seen.page.get_by_label("Search in key").fill(key)
    seen.page.keyboard.press("Enter")
    seen.settle()
    seen.expect_text("1 listed")
    expect(seen.button("Filters (2)")).to_be_visible()
    seen.button("Clear filters").click()
    seen.settle()
    seen.expect_text(f"of {len(frame)}")


def test_next_and_previous_by_their_keys(visit: Visit, workspaces: dict[str, Workspace]) -> None:
    seen, digits = visit(), workspaces["digits"]
    seen.open("/", workspace="digits")
    first = seen.shown_test()
    seen.press("n")
    second = expect_one_story(seen, digits)
    assert second != first
    seen.press("p")
    assert expect_one_story(seen, digits) == first


def test_the_whole_journey_by_keyboard(visit: Visit, workspaces: dict[str, Workspace]) -> None:
    """Reach the list by Tab, walk it by arrows, open a card, close it, tick it and refit: no mouse."""
    seen, digits = visit(), workspaces["digits"]
    seen.open("/", workspace="digits")
    first = seen.shown_test()
    expect(seen.page.locator(".st-key-test-list canvas").first).to_be_visible()
    expect(seen.page.locator("li[data-id]").first).to_be_visible()
    seen.rest()
    focus = "() => Boolean(document.activeElement?.closest('.st-key-test-list'))"
    for _ in range(40):
        seen.page.keyboard.press("Tab")
        if seen.page.evaluate(focus):
            break
    assert seen.page.evaluate(focus)
    seen.press("ArrowDown")
    seen.press("ArrowDown")
    assert expect_one_story(seen, digits) != first
    card = seen.page.locator("li[data-id] button.key").first
    card.focus()
    seen.page.keyboard.press("Enter")
    seen.settle()
    expect(seen.page.get_by_role("dialog")).to_be_visible()
    seen.page.keyboard.press("Escape")
    expect(seen.page.get_by_role("dialog")).to_have_count(0)
    seen.page.locator("li[data-id] [role=checkbox]").first.focus()
    seen.page.keyboard.press("Space")
    expect(seen.button("Refit without")).to_be_enabled()
    seen.rest()
    seen.page.keyboard.press("f")
    expect(seen.page.get_by_text("actual", exact=False).first).to_be_visible(timeout=60_000)


def test_check_by_refitting(visit: Visit) -> None:
    seen = visit()
    seen.open("/", workspace="digits")
    for number in range(3):
        seen.page.locator(".st-key-deck-positive li[data-id] [role=checkbox]").nth(number).click()
        seen.settle()
    seen.button("Refit without").click()
    panel = seen.page.get_by_text("Check by refitting").first.locator(
        "xpath=ancestor::*[@data-testid='stVerticalBlock'][1]"
    )
    expect(panel).to_contain_text("redicted", timeout=60_000)
    expect(panel).to_contain_text("ctual", timeout=60_000)
    expect(panel).to_contain_text("nats")


def test_brush_and_slider_give_the_same_list(visit: Visit) -> None:
    seen = visit(height=1400)
    seen.open("/", workspace="digits")
    words = seen.page.get_by_text("in this range")
    whole = words.inner_text()
    chart = seen.page.locator("[class*='st-key-distribution-']").first
    plot = seen.box_at_rest(chart.locator(".nsewdrag"))
    seen.page.mouse.move(plot["x"] + plot["width"] * 0.6, plot["y"] + 40)
    seen.page.mouse.down()
    seen.page.mouse.move(plot["x"] + plot["width"] * 0.8, plot["y"] + 120, steps=8)
    seen.page.mouse.up()
    seen.settle()
    brushed = words.inner_text()
    assert brushed != whole
    ends = seen.page.get_by_role("slider")
    low, high = ends.nth(0), ends.nth(1)
    values = low.get_attribute("aria-valuetext"), high.get_attribute("aria-valuetext")
    low.focus()  # one step away and back: the slider alone now says the range
    seen.page.keyboard.press("ArrowLeft")
    seen.wait_until(lambda: words.inner_text() not in (brushed, whole))
    seen.settle()
    assert words.inner_text() not in (brushed, whole)
    seen.page.keyboard.press("ArrowRight")
    seen.settle()
    assert (low.get_attribute("aria-valuetext"), high.get_attribute("aria-valuetext")) == values
    assert words.inner_text() == brushed


def test_another_target_has_its_own_words(visit: Visit, workspaces: dict[str, Workspace]) -> None:
    seen, digits = visit(), workspaces["digits"]
    seen.open("/", workspace="digits", test=7)
    seen.pick_option("Target to explain", "margin")
    label = digits.manifest.class_names[int(digits.test[7].label)]
    seen.expect_text(f"supports {label}")
    assert "target=" in seen.page.url
    seen.page.reload()
    seen.settle()
    seen.expect_text(f"supports {label}")


def test_another_ranking_orders_the_cards_and_is_in_the_link(visit: Visit, workspaces: dict[str, Workspace]) -> None:
    """Cards and table follow, the address keeps it through a reload, and Back undoes it."""
    seen, run = visit(), workspaces["digits"].run()
    seen.open("/", workspace="digits", test=7)
    plain = seen.cards("positive")
    seen.page.get_by_role("radio", name="relative").or_(seen.button("relative")).first.click()
    seen.settle()
    expected = run.frame(7, rank="relative")["train_id"].head(6).tolist()
    seen.wait_until(lambda: seen.cards("positive") == expected)
    assert seen.cards("positive") == expected != plain
    assert "rank=relative" in seen.page.url
    seen.expect_text("By the score over the root of the example")
    seen.page.reload()
    seen.settle()
    seen.wait_until(lambda: seen.cards("positive") == expected)
    assert seen.cards("positive") == expected
    seen.page.go_back()
    seen.settle()
    seen.wait_until(lambda: seen.cards("positive") == plain)
    assert seen.cards("positive") == plain
    assert "rank=" not in seen.page.url


def test_the_picture_for_the_readme(visit: Visit, tmp_path: Path) -> None:
    """Always taken; kept where INFLUENCE_SCREENSHOT names a path."""
    seen = visit(height=960)
    seen.open("/", workspace="digits")
    seen.button("Got it").click()
    seen.settle()
    path = Path(os.environ.get("INFLUENCE_SCREENSHOT", tmp_path / "explain.png"))
    seen.page.screenshot(path=path)
    picture = Image.open(path)
    assert picture.size == (1280, 960)
    assert len(picture.convert("RGB").getcolors(2**24) or []) > 100
