"""Another run from the dashboard: the menu of methods, the forms made from their settings, and the build."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import cache
from dashboard.cache import building
from dashboard.services import run_builds
from dashboard.services.jobs import Jobs
from dashboard.services.opened import PROJECT, WORKSPACE
from influence_core.errors import MethodError
from influence_core.methods import BASELINES, METHODS, ConjugateGradients, Exact
from influence_core.store import Workspace, build
from tests.dashboard.conftest import hostile_project
from tests.dashboard.test_jobs import SOON, Slow, until
from tests.dashboard.test_solving import shown
from tests.dashboard.test_upload_page import loopback  # noqa: F401  (a fixture)

TIMEOUT = 60
ENTRIES = {entry.name: entry for entry in run_builds.menu()}


def script() -> None:
    from dashboard.views import build_run  # noqa: PLC0415  (AppTest runs this function's text alone)

    build_run.page()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return build(hostile_project(), tmp_path / "w")


@pytest.fixture
def page(workspace: Workspace, loopback: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:  # noqa: F811
    """The page of a workspace whose code is at hand."""
    monkeypatch.setenv(WORKSPACE, str(workspace.path))
    monkeypatch.setenv(PROJECT, "given.py")
    monkeypatch.setattr("dashboard.services.projects.of_workspace", lambda workspace, given: hostile_project())
    jobs: Jobs[run_builds.RunOrder] = Jobs()
    monkeypatch.setattr(building, "BUILDS", jobs)
    yield AppTest.from_function(script, default_timeout=TIMEOUT).run()
    jobs.close()


def choose(page: AppTest, method: str) -> AppTest:
    page.selectbox("build-method-menu").set_value(method).run()
    assert not page.exception
    return page


def pressed(page: AppTest) -> AppTest:
    """Build, and look until it has ended."""
    page.button("build-run").click().run()
    until(lambda: not any(job.state.is_live for job in building.BUILDS._jobs.values()))
    return page


def test_estimates_come_first_and_baselines_after() -> None:
    names = list(ENTRIES)
    assert sorted(names) == sorted(METHODS)
    assert set(names[-len(BASELINES) :]) == set(BASELINES)


@pytest.mark.parametrize("name", METHODS)
def test_the_form_has_every_setting_with_its_explanation_and_default(page: AppTest, name: str) -> None:
    said = shown(choose(page, name))
    assert f"Cost: {METHODS[name].cost}." in said
    assert f"Limits: {METHODS[name].limits}." in said
    for setting in ENTRIES[name].settings:
        assert f"{setting.explanation} Default: {setting.written}." in said
    keys = {str(widget.key) for widget in [*page.selectbox, *page.number_input, *page.toggle, *page.text_input]}
    assert {f"build-{name}-{setting.name}" for setting in ENTRIES[name].settings} <= keys


@pytest.mark.parametrize("name", METHODS)
def test_an_untouched_form_orders_the_method_as_it_is(name: str) -> None:
    entry = ENTRIES[name]
    typed = {setting.name: setting.written for setting in entry.settings}
    order = run_builds.order("w", entry, typed)
    assert (order.method, order.settings) == (name, ())
    assert order.test_limit == (60 if METHODS[name].is_one_by_one else None)


def test_what_is_no_value_is_refused_in_the_engines_words() -> None:
    with pytest.raises(MethodError, match="'many' is no value for steps of the method cg"):
        run_builds.order("w", ENTRIES["cg"], {"steps": "many"})


def test_an_order_finds_its_run(workspace: Workspace) -> None:
    path = str(workspace.path)
    made = build(hostile_project(), workspace.path, ConjugateGradients(damping=1, steps=40), test_limit=2).run().id
    assert run_builds.made(run_builds.order(path, ENTRIES["cg"], {"damping": "1", "steps": "40"})) == made
    assert run_builds.made(run_builds.order(path, ENTRIES["cg"], {"damping": "2", "steps": "40"})) == ""
    assert run_builds.made(run_builds.order(path, ENTRIES["exact"], {})) == workspace.run().id


def test_a_run_is_built_and_chosen(page: AppTest, workspace: Workspace) -> None:
    choose(page, "cg")
    page.number_input("build-cg-damping").set_value(0.5).run()
    page.number_input("build-cg-test-limit").set_value(3).run()
    pressed(page)
    page.run()
    assert not page.exception
    run = Workspace(workspace.path).run()
    assert (run.method, run.damping, len(run.solved)) == ("cg", 0.5, 3)
    assert page.subheader[-1].value == "cg · damping 0.5 is ready"
    assert page.button("explain-built").label == "Explain with it"
    page.button("build-another").click().run()
    assert page.number_input("build-cg-damping").value == 0.5  # what was typed is still there


def test_a_word_in_place_of_a_number(page: AppTest, workspace: Workspace) -> None:
    choose(page, "exact")
    page.selectbox("build-exact-damping").set_value("auto").run()
    assert not [box for box in page.number_input if box.key == "build-exact-damping-number"]
    page.selectbox("build-exact-damping").set_value("a number").run()
    page.number_input("build-exact-damping-number").set_value(0.25).run()
    pressed(page).run()
    assert (Workspace(workspace.path).run().method, Workspace(workspace.path).run().damping) == ("exact", 0.25)


def test_a_mistake_is_said_beside_the_form_which_stays_as_it_is(page: AppTest, workspace: Workspace) -> None:
    choose(page, "cg")
    page.number_input("build-cg-tolerance").set_value(1e-9).run()
    pressed(page).run()
    assert "in float32 a residual means something from 1e-05" in shown(page)
    assert page.number_input("build-cg-tolerance").value == 1e-9
    assert len(Workspace(workspace.path).runs) == 1
    page.button("dismiss-build").click().run()
    assert "a residual means something" not in shown(page)
    choose(page, "tracin")
    pressed(page).run()
    assert "checkpoints" in shown(page).split("Dismiss")[0]


def test_without_the_code_it_says_what_turns_it_on(
    workspace: Workspace,
    loopback: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(WORKSPACE, str(workspace.path))
    page = AppTest.from_function(script, default_timeout=TIMEOUT).run()
    assert f"`influence open {workspace.path} --project PROJECT`" in shown(page)
    assert page.code[0].value.startswith("influence build PROJECT")
    assert not page.button


def test_a_read_only_folder_and_an_open_door_are_said(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_builds.obstacle(workspace, "given.py", "127.0.0.1") == ""
    assert "reached from other machines" in run_builds.obstacle(workspace, "given.py", "192.168.1.5")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # whoever runs the tests may be root
    assert f"{workspace.path} is read-only" in run_builds.obstacle(workspace, "given.py", "127.0.0.1")


def test_it_can_be_stopped_and_goes_on_from_there(page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    monkeypatch.setattr(run_builds, "work", lambda order, load, turns: slow)
    choose(page, "exact")
    page.button("build-run").click().run()
    assert slow.begun.wait(SOON)
    order = page.session_state["building"]
    assert page.subheader[-1].value == "Building exact"
    page.button("cancel-build").click().run()
    until(lambda: slow.ended == ["stopped"])
    text = shown(page)
    assert "what is done is kept, and the same build goes on from there" in text
    assert page.button("build-run").label == "Build"
    assert cache.build_state(order, "somebody else") is None


def test_the_comparison_of_one_run_leads_here(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Exact.name == workspace.run().method
    monkeypatch.setenv(WORKSPACE, str(workspace.path))

    def explain() -> None:
        from dashboard.views import explain  # noqa: PLC0415  (AppTest runs this function's text alone)

        explain.page()

    page = AppTest.from_function(explain, default_timeout=TIMEOUT)
    page.session_state["closer"] = "Compare"
    page.run()
    assert {"to-build-header", "to-build-compare"} <= {str(button.key) for button in page.button}
