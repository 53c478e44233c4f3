"""First answers on Explain and the solves that refine them in the background, with the real engine."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import dashboard
from dashboard.cache import with_code
from dashboard.services import influence, refining, solving, training
from dashboard.services.jobs import Jobs
from dashboard.services.opened import PROJECT, WORKSPACE
from dashboard.services.trust import trust
from dashboard.views import refining as view
from influence_core.methods import ConjugateGradients
from influence_core.store import OnDemand, Run, Workspace, build
from influence_core.target import Target
from tests.dashboard.conftest import hostile_project
from tests.dashboard.test_jobs import SOON, until
from tests.dashboard.test_solving import shown

APP = Path(dashboard.__file__).parent / "app.py"
CG = ConjugateGradients(damping=0.01, tolerance=1e-5)
FIRST = "First answer by EK-FAC, an approximation"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two of twenty predictions refined by the build, all with a first answer."""
    return build(hostile_project(), tmp_path / "first", CG, test_limit=2)


@pytest.fixture
def with_project(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The same with its code at hand."""
    monkeypatch.setenv(PROJECT, "given.py")
    monkeypatch.setattr("dashboard.services.projects.of_workspace", lambda workspace, given: hostile_project())
    monkeypatch.setattr(with_code, "JOBS", Jobs())
    return workspace


def waiting(run: Run) -> list[int]:
    """Predictions with a first answer only."""
    return [i for i in range(20) if run.is_first(i)]


def opened(workspace: Workspace, test_id: int, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv(WORKSPACE, str(workspace.path))
    app = AppTest.from_file(APP, default_timeout=20)
    app.query_params["test"] = str(test_id)
    return app.run()


def test_the_sentence_counts_what_changed(workspace: Workspace) -> None:
    run = workspace.run()
    test_id = int(run.solved[0])
    before, after = run.first(test_id), run.scores(test_id)
    assert before is not None
    assert (before.is_first, after.is_first, before.method) == (True, False, "ekfac")
    said = refining.refined(run, test_id, "effect")
    for sign, name in ((1, "helpful"), (-1, "harmful")):
        then, now = ([r.train_id for r in (s.top if sign > 0 else s.bottom)(test_id, 12)] for s in (before, after))
        moved, new = sum(a != b for a, b in zip(now, then, strict=True)), len(set(now) - set(then))
        count = f"{moved} of the {len(now)} most {name} changed places"
        assert count + (f" ({new} {'is' if new == 1 else 'are'} new)" if new else "") in said
    assert said.startswith("Refined by conjugate gradients: ")
    assert refining.refined(run, test_id, "cosine") != said  # another order, compared with its own first one


def test_a_run_without_first_answers_says_nothing_of_them(hostile: Workspace) -> None:
    assert refining.refined(hostile.run(), 0, "effect") == ""
    assert refining.self_influence_named(hostile.run()) == "self-influence"
    assert not hostile.run().is_first(next(i for i in range(20) if i not in hostile.run().solved))


def test_the_strip_says_that_it_is_a_first_answer(workspace: Workspace) -> None:
    run = workspace.run()
    strip = trust(run, influence.explain(run, waiting(run)[0], Target()))
    assert (strip.state, strip.sentence) == ("not checked", f"{FIRST} that was not compared with refits.")
    assert "method ekfac, the first answer of cg" in strip.facts
    assert "no residual, as nothing is solved yet" in strip.facts
    assert not any("missing" in fact for fact in strip.facts)
    refined = trust(run, influence.explain(run, int(run.solved[0]), Target()))
    assert "method cg" in refined.facts


def test_the_list_tells_refined_answers_from_first_ones(workspace: Workspace) -> None:
    run = workspace.run()
    ids = [int(run.solved[0]), waiting(run)[0]]
    assert solving.marks(run, ids, can_solve=True) == solving.marks(run, ids, can_solve=False) == ["refined", "first"]
    OnDemand(run, hostile_project()).solve(ids[1], Target())
    assert solving.marks(run, ids, can_solve=True) == ["refined", "refined"]


def test_self_influence_names_its_method_and_reach_what_it_counts(workspace: Workspace) -> None:
    reach = training.reach(workspace, workspace.run(), 3)
    assert reach.self_influence.startswith("Self-influence (EK-FAC): ")
    assert reach.note == (
        "Only the 2 of 20 predictions that the build has refined are counted here; first answers are not."
    )
    assert reach.n_helped + reach.n_harmed == 2


def test_it_shows_the_first_answer_then_refines_it_and_says_what_changed(
    with_project: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = with_project.run()
    test_id = waiting(run)[0]
    app = opened(with_project, test_id, monkeypatch)
    assert not app.exception
    assert f"{FIRST}; being refined by conjugate gradients" in shown(app)
    assert "half of the helpful influence" in shown(app)
    time.sleep(view.MOMENT)
    app.run()
    until(lambda: not Workspace(with_project.path).run().is_first(test_id))
    until(lambda: not any(job.state.is_live for job in with_code.JOBS._jobs.values()))
    app.run()
    assert not app.exception
    assert refining.refined(Workspace(with_project.path).run(), test_id, "effect") in shown(app)
    assert FIRST not in shown(app)
    assert "method cg" in shown(app)
    assert app.dataframe[0].value["Scores"].tolist().count("refined") == 3


def test_whoever_pages_through_the_list_asks_for_no_solve(
    with_project: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = waiting(with_project.run())[:4]
    app = opened(with_project, ids[0], monkeypatch)
    for test_id in ids[1:]:
        app.query_params["test"] = str(test_id)
        app.run()
        assert FIRST in shown(app)
    assert not with_code.JOBS._jobs


def test_it_is_stopped_and_asked_again(with_project: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    test_id = waiting(with_project.run())[0]
    app = opened(with_project, test_id, monkeypatch)
    app.button(f"cancel-{test_id}").click().run()
    assert f"{FIRST}; refining it was stopped." in shown(app)
    time.sleep(view.MOMENT)
    app.run()
    assert f"{FIRST}; refining it was stopped." in shown(app)  # and it stays so
    app.button(f"solve-{test_id}").click().run()
    until(lambda: not Workspace(with_project.path).run().is_first(test_id))
    until(lambda: not any(job.state.is_live for job in with_code.JOBS._jobs.values()))
    app.run()
    assert "Refined by conjugate gradients" in shown(app)


def test_a_solve_that_fails_says_why_beside_the_first_answer(
    with_project: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.services.projects.of_workspace", lambda workspace, given: None)
    test_id = waiting(with_project.run())[0]
    app = opened(with_project, test_id, monkeypatch)
    time.sleep(view.MOMENT)
    app.run()
    deadline = time.monotonic() + SOON
    while "it was not refined." not in shown(app) and time.monotonic() < deadline:
        app.run()
    assert "is not the one this workspace was built from" in shown(app)
    assert "half of the helpful influence" in shown(app)
    assert app.button(f"solve-{test_id}").label == "Refine it"


def test_without_code_it_is_still_there_with_the_command(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(workspace, waiting(workspace.run())[0], monkeypatch)
    assert f"{FIRST}; refine it with `influence open DIR --project PROJECT`." in shown(app)
    assert "half of the helpful influence" in shown(app)
    app.query_params["target"] = "margin-true"
    app.run()
    assert "No scores yet" in shown(app)
    assert FIRST not in shown(app)


def test_another_run_is_compared_by_its_first_answer(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    here = workspace.run().id
    build(hostile_project(), workspace.path, ConjugateGradients(damping=0.1), test_limit=2)
    monkeypatch.setenv(WORKSPACE, str(workspace.path))
    app = AppTest.from_file(APP, default_timeout=20)
    app.query_params["run"], app.query_params["test"] = here, str(waiting(workspace.run())[0])
    app.session_state["closer"] = "Compare"
    app.run()
    assert not app.exception
    assert f"{FIRST} of the other run; open that run to have it refined." in shown(app)
    assert "The two runs agree on" in shown(app)
    said = [method.replace("\\", "") for method in app.table[0].value["Method"]]
    assert said == ["ekfac (first answer)"] * 2
