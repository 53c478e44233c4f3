"""A prediction that is not solved yet, with a real engine behind the page: asked for, watched, stopped and kept."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from dashboard.services.projects import load_project
from influence_core.methods import ConjugateGradients, Lissa
from influence_core.store import Run, Workspace, build
from tests.benchmarks.serving import serving, wait_until_healthy
from tests.browser.conftest import Visit
from tests.browser.pages import Dashboard
from tests.browser.readable import serious_faults

PROJECT = Path(__file__).with_name("small_net.py")
# some 2 s, so that it can be watched; without EK-FAC there are no first answers
AUTO = Lissa(finish="cg", passes=20, damping=1e-3, tolerance=1e-4, rows=64, preconditioner="none")
HOPELESS = Lissa(passes=1, damping=1e-3, tolerance=1e-4, preconditioner="none")
REFINED = ConjugateGradients(damping=1e-3, tolerance=1e-5, rows=16, precision="float64")
AT_ONCE = 5.0  # seconds from the click to the painted cards, on a machine that does much else
SCROLL = "(y) => document.querySelector('[data-testid=stMain]').scrollTo(0, y)"
PLACES = """
() => {
  const top = (key) => document.querySelector(`.st-key-${key}`).getBoundingClientRect();
  const main = document.querySelector("[data-testid=stMain]");
  return [main.scrollTop, top("trust").top, top("decks").top, top("decks").bottom, top("closer").top].map(Math.round);
}
"""


@pytest.fixture(scope="module")
def solving(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Three of forty predictions solved; a second run got nowhere, and a third has first answers to the others."""
    project, folder = load_project(str(PROJECT)), tmp_path_factory.mktemp("solving") / "small-net"
    build(project, folder, REFINED, test_limit=3)
    build(project, folder, HOPELESS, test_limit=3)
    return build(project, folder, AUTO, test_limit=3)


@pytest.fixture(scope="module")
def with_code(solving: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("with-code")
    with serving(home, "open", str(solving.path), "--project", str(PROJECT)) as (process, served):
        wait_until_healthy(process, served, home)
        yield served


def run_of(workspace: Workspace, method: Lissa) -> Run:
    """The run with these settings."""
    return next(run for run in workspace.runs if run.hyperparameters.get("passes") == method.passes)


def panel(seen: Dashboard) -> Locator:
    """What is shown while a prediction is solved."""
    return seen.page.locator(".st-key-solving")


def pick(seen: Dashboard, workspace: Workspace, place: int) -> int:
    """Open the run's first page, and click a row that is not solved."""
    run = run_of(workspace, AUTO)
    seen.open("/", run=run.id, test=int(run.solved[0]))
    order = workspace.test.frame().sort_values("loss", ascending=False, kind="stable")["id"].tolist()
    assert order[place] not in {*run.solved.tolist(), *run.answered}
    seen.click_row(place)
    assert seen.url_test() == order[place]
    return int(order[place])


def expect_answer(seen: Dashboard, workspace: Workspace, test_id: int) -> None:
    """Cards, trust strip and list are those of the answer that the workspace now holds."""
    expect(seen.page.locator(".st-key-trust")).to_contain_text(
        re.compile(r"LiSSA reached \S+, finished by conjugate gradients: \S+ in \d+ steps"), timeout=30_000
    )
    seen.settle()
    scores = run_of(Workspace(workspace.path), AUTO).scores(test_id)
    assert scores.converged
    top, bottom = ([r.train_id for r in ranked] for ranked in (scores.top(test_id, 6), scores.bottom(test_id, 6)))
    seen.wait_until(lambda: (seen.cards("positive"), seen.cards("negative")) == (top, bottom))
    assert (seen.cards("positive"), seen.cards("negative")) == (top, bottom)
    assert seen.url_test() == seen.shown_test() == test_id
    expect(panel(seen)).to_have_count(0)


def test_it_is_solved_when_it_is_picked_and_kept(visit: Visit, with_code: str, solving: Workspace) -> None:
    seen = visit(address=with_code)
    test_id = pick(seen, solving, 4)
    expect(panel(seen)).to_contain_text("Solving this prediction")
    expect(panel(seen).get_by_role("progressbar")).to_be_visible()
    expect(panel(seen)).to_contain_text(re.compile(r"\d % done · about \d+ s left"), timeout=30_000)
    expect(panel(seen).get_by_role("button", name="Cancel")).to_be_visible()
    expect_answer(seen, solving, test_id)
    seen.page.reload()
    expect_answer(seen, solving, test_id)


def test_a_first_answer_is_there_at_once_and_the_refined_one_takes_its_place(
    visit: Visit, with_code: str, solving: Workspace, tmp_path: Path
) -> None:
    seen = visit(address=with_code)
    run = next(run for run in solving.runs if run.method == "cg")
    order = solving.test.frame().sort_values("loss", ascending=False, kind="stable")["id"].tolist()
    seen.open("/", run=run.id, test=int(run.solved[0]))
    seen.page.get_by_role("tab", name="Table").click()
    seen.page.evaluate(SCROLL, 0)
    seen.rest()
    test_id = int(order[6])
    first, status = run.first(test_id), seen.page.locator(".st-key-answer")
    assert first is not None
    top = [ranked.train_id for ranked in first.top(test_id, 6)]
    place = seen.point_at_row(6)
    begun = time.perf_counter()
    seen.page.mouse.click(*place)
    seen.wait_until(lambda: seen.cards("positive") == top)
    assert time.perf_counter() - begun < AT_ONCE
    expect(status).to_contain_text("First answer by EK-FAC, an approximation; being refined by conjugate gradients")
    seen.page.evaluate(SCROLL, 250)
    seen.page.wait_for_timeout(600)
    before = seen.page.evaluate(PLACES)
    assert seen.cards("positive") == top, "it was refined before it could be looked at"
    seen.page.screenshot(path=tmp_path / "first.png")
    expect(status).to_contain_text("Refined by conjugate gradients: ", timeout=60_000)
    refined = Workspace(solving.path).run(run.id).scores(test_id)
    now = [ranked.train_id for ranked in refined.top(test_id, 6)]
    assert now != top
    seen.wait_until(lambda: seen.cards("positive") == now)
    assert seen.cards("positive") == now
    seen.rest()
    assert seen.page.evaluate(PLACES) == before
    seen.page.screenshot(path=tmp_path / "refined.png")
    assert seen.url_test() == seen.shown_test() == test_id
    expect(seen.page.get_by_role("tab", name="Table")).to_have_attribute("aria-selected", "true")


def test_cancel_and_solve_again_by_their_keys(visit: Visit, with_code: str, solving: Workspace) -> None:
    seen = visit(address=with_code)
    test_id = pick(seen, solving, 5)
    expect(panel(seen).get_by_role("button", name="Cancel")).to_be_visible()
    seen.page.keyboard.press("q")
    seen.expect_text("Stopped.")
    seen.rest()
    assert not serious_faults(seen)
    assert not seen.cards("positive")
    assert test_id not in run_of(Workspace(solving.path), AUTO).answered
    expect(seen.button("Solve this prediction")).to_be_visible()
    seen.page.keyboard.press("s")
    expect(panel(seen)).to_be_visible()
    expect_answer(seen, solving, test_id)


def test_whoever_moves_on_is_not_led_back(visit: Visit, with_code: str, solving: Workspace) -> None:
    seen, solved = visit(address=with_code), int(run_of(solving, AUTO).solved[0])
    test_id = pick(seen, solving, 6)
    expect(panel(seen)).to_be_visible()
    seen.moves(seen.page.go_back)
    assert seen.url_test() == solved
    expect(seen.page.locator(".st-key-deck-positive li[data-id]").first).to_be_visible()
    seen.page.wait_for_timeout(1500)  # looks of the panel that come late
    assert seen.url_test() == seen.shown_test() == solved
    seen.moves(seen.page.go_forward)
    expect_answer(seen, solving, test_id)


def test_another_target_is_solved_too(visit: Visit, with_code: str, solving: Workspace) -> None:
    seen, run = visit(address=with_code), run_of(solving, AUTO)
    test_id = int(run.solved[0])
    seen.open("/", run=run.id, test=test_id)
    seen.moves(lambda: seen.pick_option("Target to explain", "margin"))
    expect(panel(seen)).to_be_visible()
    seen.expect_text(f"supports {solving.test[test_id].label:.0f}")
    assert "target=margin-true" in seen.page.url


def test_a_run_without_an_answer_shows_no_ranking(visit: Visit, with_code: str, solving: Workspace) -> None:
    seen, run = visit(address=with_code), run_of(solving, HOPELESS)
    seen.open("/", run=run.id)
    seen.expect_text("No ranking is shown, because the solve did not reach an answer.")
    seen.expect_text("then ran out of steps. The residual stayed above the tolerance of 0.0001: use ")
    assert not seen.cards("positive")
    assert seen.url_test() == run.record.order[0]
    seen.open("/overview", run=run.id)
    seen.expect_text("This run has reached no answer yet")


def test_without_the_project_the_command_is_named(
    visit: Visit, solving: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run, home = run_of(solving, AUTO), tmp_path_factory.mktemp("without-code")
    test_id = next(i for i in run.record.order[3:] if i not in run.answered)
    with serving(home, "open", str(solving.path)) as (process, served):
        wait_until_healthy(process, served, home)
        seen = visit(address=served)
        seen.open("/", run=run.id, test=test_id)
        seen.expect_text(f"influence explain {solving.path} --run {run.id} --test {test_id} --project FILE")
        seen.expect_text("influence open")
        assert not seen.cards("positive")
        expect(panel(seen)).to_have_count(0)


@pytest.mark.parametrize(("scheme", "width", "place"), [("light", 1280, 7), ("dark", 400, 8)])
def test_everyone_can_read_the_panel_and_the_first_answer(
    visit: Visit, with_code: str, solving: Workspace, tmp_path: Path, scheme: str, width: int, place: int
) -> None:
    seen = visit(width=width, scheme=scheme, address=with_code)
    run = next(run for run in solving.runs if run.method == "cg")
    test_id = run.record.order[place]
    seen.open("/", run=run.id, test=test_id)
    expect(seen.page.locator(".st-key-answer")).to_contain_text(re.compile("First answer by EK-FAC|Refined by"))
    assert not serious_faults(seen)
    asked = f"{with_code}/?run={run.id}&test={test_id}&target=margin-true"  # to which there is no first answer
    seen.page.goto(asked)
    expect(panel(seen).get_by_role("progressbar")).to_be_visible(timeout=30_000)
    seen.page.screenshot(path=tmp_path / f"solving-{scheme}-{width}.png")
    assert not serious_faults(seen)
    assert seen.sideways() <= 0
