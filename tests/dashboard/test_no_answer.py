"""A run that reached no answer: where it opens, what it says, and what it says to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import dashboard
from dashboard.services import runs, solving, start
from dashboard.services.opened import WORKSPACE
from influence_core.methods import ConjugateGradients, Lissa
from influence_core.store import Workspace, build
from tests.influence_core import samples

APP = Path(dashboard.__file__).parent / "app.py"
HOPELESS = Lissa(damping=1e-3, tolerance=1e-5, batch=8, passes=1)


@pytest.fixture
def without_answers(tmp_path: Path) -> Workspace:
    return build(samples.sample("mlp"), tmp_path / "w", HOPELESS, test_limit=2)


def test_the_list_tells_what_failed_from_what_has_a_first_answer(without_answers: Workspace) -> None:
    run = without_answers.run()
    assert solving.marks(run, run.record.order[:3], can_solve=True) == ["failed", "failed", "first"]


def test_it_opens_on_the_first_that_was_tried(without_answers: Workspace) -> None:
    run = without_answers.run()
    assert start.first_test(run, without_answers.test.frame(), "classification") == run.record.order[0]


def test_the_command_is_one_that_helps(without_answers: Workspace, tmp_path: Path) -> None:
    command = runs.closer(without_answers, without_answers.run())
    assert command == f"influence build PROJECT --out {without_answers.path} --method cg"
    few_steps = ConjugateGradients(damping=1e-3, tolerance=1e-5, steps=1)
    second = build(samples.sample("mlp"), tmp_path / "w", few_steps, test_limit=2)
    assert runs.closer(second, second.run()).endswith("--method cg --damping 0.01")


def test_the_pages_say_so(without_answers: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE, str(without_answers.path))
    app = AppTest.from_file(APP, default_timeout=20).run()
    assert not app.exception
    said = "\n".join(element.value for element in [*app.markdown, *app.caption]).replace("\\", "")
    assert "No ranking is shown, because the solve did not reach an answer." in said
    assert said.count("ran out of steps") == 1
    assert app.code[0].value.endswith("--method cg")
    assert "failed" in app.dataframe[0].value["Scores"].tolist()


def test_whoever_asks_twice_is_not_led_back() -> None:
    """The second press of a key comes with the address of before the first one."""

    def script() -> None:
        import streamlit as st  # noqa: PLC0415  (the function is run as a script)

        from dashboard import state  # noqa: PLC0415

        state.settle(workspace="w", run="r", test=3)
        state.go(test=5)
        st.query_params["test"] = "3"  # noqa: TID251  (a browser that is behind)
        state.go(test=5)
        state.reconcile()
        st.text(f"{state.place().test}, {st.query_params['test']}")  # noqa: TID251

    assert AppTest.from_function(script).run().text[0].value == "5, 5"
