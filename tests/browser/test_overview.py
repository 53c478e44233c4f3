"""Journeys that begin on Overview: from where the model errs to one prediction, by cards, matrix and scatter."""

from __future__ import annotations

from playwright.sync_api import expect

from influence_core.store import Workspace
from tests.browser.conftest import Visit
from tests.browser.pages import HEADER, ROW, Dashboard


def expect_explained(seen: Dashboard, test_id: int) -> None:
    """Explain shows this prediction, on screen and in the address."""
    expect(seen.page.locator(".st-key-chosen")).to_be_visible(timeout=30_000)
    seen.rest()
    assert (seen.shown_test(), seen.url_test()) == (test_id, test_id)


def test_a_start_here_card_leads_to_its_prediction(visit: Visit) -> None:
    seen = visit()
    seen.open("/overview", workspace="digits")
    card = seen.page.locator(".st-key-deck-surprising li[data-id]").nth(2)
    test_id = int(card.get_attribute("data-id") or -1)
    card.locator("button.key").click()
    expect_explained(seen, test_id)
    seen.page.go_back()
    seen.expect_text("Start here")


def test_a_cell_of_the_matrix_leads_to_its_predictions(visit: Visit, workspaces: dict[str, Workspace]) -> None:
    seen, frame = visit(height=1600), workspaces["breast-cancer"].test.frame()
    seen.open("/overview", workspace="breast-cancer")
    seen.rest()
    wrong = frame[(frame.label == 0) & (frame.prediction == 1)]  # the second cell of the first row
    matrix = seen.page.locator("[class*='st-key-confusion-'] canvas").first
    box = seen.box_at_rest(matrix)
    seen.page.mouse.click(box["x"] + box["width"] - 20, box["y"] + HEADER + ROW / 2)
    seen.expect_text(f"{len(wrong)} prediction")
    seen.rest()
    rows = seen.box_at_rest(seen.page.locator("[class*='st-key-behind-'] canvas").first)
    seen.page.mouse.click(rows["x"] + 30, rows["y"] + HEADER + ROW / 2)
    expect_explained(seen, int(wrong.loss.idxmax()))
    expect(seen.page.locator(".st-key-steps")).to_contain_text(f"1 of {len(wrong)}")


def test_a_point_of_a_regression_leads_to_its_prediction(visit: Visit, workspaces: dict[str, Workspace]) -> None:
    seen, frame = visit(height=1600), workspaces["diabetes"].test.frame()
    seen.open("/overview", workspace="diabetes")
    seen.rest()
    farthest = int((frame.label - frame.prediction).abs().idxmax())
    point = seen.page.locator("[class*='st-key-scatter-'] .scatterlayer .trace").nth(1).locator(".point").nth(farthest)
    box = seen.box_at_rest(point)
    seen.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect_explained(seen, farthest)
