"""Explain while a prediction is solved on demand, with a slow engine in place of the real one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import dashboard
from dashboard.cache import with_code
from dashboard.services import solving, wording
from dashboard.services.jobs import Jobs, Report
from dashboard.services.opened import PROJECT, WORKSPACE
from dashboard.services.turns import Turns
from influence_core.errors import CurvatureError, NotSolvedError
from influence_core.scores import InfluenceScores
from influence_core.store import Run, Workspace, build
from influence_core.target import Target
from tests.dashboard.conftest import hostile_project
from tests.dashboard.test_jobs import SOON, Slow, until

APP = Path(dashboard.__file__).parent / "app.py"


@pytest.fixture
def slow() -> Iterator[Slow]:
    work = Slow()
    yield work
    work.go.set()


def test_the_marks_of_the_list(hostile: Workspace, digits: Workspace) -> None:
    run = hostile.run()
    ids = [int(run.solved[0]), next(i for i in range(20) if i not in run.solved)]
    assert solving.marks(run, ids, can_solve=True) == ["solved", "to do"]
    assert solving.marks(run, ids, can_solve=False) == ["solved", "none"]
    assert solving.marks(digits.run(), [1, 2], can_solve=True) == []


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, ""), (0.2, "about 1 s left"), (8.4, "about 8 s left"), (150.0, "about 2 min left"), (float("inf"), "")],
)
def test_the_time_left(seconds: float | None, said: str) -> None:
    assert wording.time_left(seconds) == said


@dataclass
class Engine:
    """Stands in for the engine: solves when it is let go, and its run then knows the answer."""

    slow: Slow
    error: Exception | None = None
    known: dict[tuple[int, Target], np.ndarray] = field(default_factory=dict)

    def solve(self, test_id: int, target: Target, progress: Report) -> None:
        self.slow(progress)
        if self.error is not None:
            raise self.error
        self.known[test_id, target] = np.linspace(-1, 1, 40)


@pytest.fixture
def engine(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine(slow)
    stored = Run.scores

    def scores(run: Run, test_id: int, target: Target | None = None, damping: float | None = None) -> InfluenceScores:
        asked_for = target or run.target
        if (test_id, asked_for) not in made.known:
            return stored(run, test_id, target, damping)
        like = stored(run, int(run.solved[0]))
        values = like.values.new_tensor(made.known[test_id, asked_for])[None]
        return InfluenceScores(values, (test_id,), asked_for, like.unit, like.method, like.damping, like.residual)

    monkeypatch.setattr(Run, "scores", scores)
    monkeypatch.setattr(solving, "on_demand", lambda run, project: made)
    monkeypatch.setattr("dashboard.services.projects.of_workspace", lambda workspace, given: hostile_project())
    monkeypatch.setattr(with_code, "JOBS", Jobs())
    turns = Turns()
    for module in ("scores", "with_code"):
        monkeypatch.setattr(f"dashboard.cache.{module}.SOLVING", turns)
    return made


@pytest.fixture
def unsolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace of its own, so that no cache knows it, with its code at hand."""
    monkeypatch.setenv(PROJECT, "given.py")
    return build(hostile_project(), tmp_path / "unsolved", test_limit=15)


def first_unsolved(workspace: Workspace) -> int:
    return next(i for i in range(20) if i not in workspace.run().solved)


def opened(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv(WORKSPACE, str(workspace.path))
    app = AppTest.from_file(APP, default_timeout=20)
    app.query_params["test"] = str(first_unsolved(workspace))
    return app.run()


def shown(app: AppTest) -> str:
    said = [element.value for element in [*app.text, *app.markdown, *app.caption]]
    return "\n".join(said + [element.proto.text for element in app.get("progress")]).replace("\\", "")


def test_it_solves_by_itself_and_then_shows_the_answer(
    engine: Engine, unsolved: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(unsolved, monkeypatch)
    assert not app.exception
    assert "Solving this prediction" in shown(app)
    assert engine.slow.begun.wait(SOON)
    time.sleep(0.05)
    app.run()
    assert "Conjugate gradients · about 7 s left" in shown(app)
    assert app.get("progress")[0].proto.value == 30
    engine.slow.go.set()
    until(lambda: bool(engine.known))
    app.run()
    assert not app.exception
    assert "training examples carry half of the harmful influence" in shown(app)
    assert engine.slow.times == 1


def test_it_is_cancelled_and_asked_again(engine: Engine, unsolved: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app, test_id = opened(unsolved, monkeypatch), first_unsolved(unsolved)
    assert engine.slow.begun.wait(SOON)
    app.button(f"cancel-{test_id}").click().run()
    assert not app.exception
    assert "Stopped." in shown(app)
    until(lambda: engine.slow.ended == ["stopped"])
    app.run()
    assert "Stopped." in shown(app)  # and it stays so
    engine.slow.go.set()
    app.button(f"solve-{test_id}").click().run()
    until(lambda: bool(engine.known))
    app.run()
    assert "carry half of the harmful influence" in shown(app)


def test_a_solve_that_fails_says_why_and_can_be_tried_again(
    engine: Engine, unsolved: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.error = CurvatureError("It stalled at a residual of 0.7; use more damping.")
    engine.slow.go.set()
    app, test_id = opened(unsolved, monkeypatch), first_unsolved(unsolved)
    until(lambda: engine.slow.ended == ["done"])
    time.sleep(0.05)
    app.run()
    assert "It stalled at a residual of 0.7; use more damping." in shown(app)
    engine.error = None
    app.button(f"solve-{test_id}").click().run()
    until(lambda: bool(engine.known))
    app.run()
    assert "carry half of the harmful influence" in shown(app)


def test_an_answer_that_is_not_kept_is_said_and_not_solved_forever(
    engine: Engine, unsolved: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.slow.go.set()
    monkeypatch.setattr(engine, "known", _Forgetful())
    app = opened(unsolved, monkeypatch)
    until(lambda: engine.slow.ended == ["done"])
    time.sleep(0.05)
    app.run()
    assert "The solve ended, but left no answer." in shown(app)
    assert engine.slow.times == 1


class _Forgetful(dict[object, object]):
    def __setitem__(self, key: object, value: object) -> None:
        """Keep nothing."""


def test_another_prediction_is_there_while_one_is_solved(
    engine: Engine, unsolved: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(unsolved, monkeypatch)
    assert engine.slow.begun.wait(SOON)
    begun = time.perf_counter()
    app.query_params["test"] = str(unsolved.run().solved[0])
    app.run()
    assert time.perf_counter() - begun < 3
    assert "carry half of the harmful influence" in shown(app)
    app.query_params["target"] = "margin-true"  # takes a computation of its own, and its turn
    app.run()
    assert not app.exception
    assert "Solving" not in shown(app)


def test_a_demo_that_changed_says_so(unsolved: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.services.projects.of_workspace", lambda workspace, given: None)
    app = opened(unsolved, monkeypatch)
    until(lambda: not _live(app))
    app.run()
    assert "is not the one this workspace was built from" in shown(app)


def _live(app: AppTest) -> bool:
    return any(job.state.is_live for job in with_code.JOBS._jobs.values())


def test_without_code_the_commands_are_named(hostile: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(hostile, monkeypatch)
    with pytest.raises(NotSolvedError) as unsolved:
        hostile.run().scores(first_unsolved(hostile))
    assert str(unsolved.value) in shown(app)
    assert "open it with `influence open DIR --project FILE`" in shown(app)
    assert "none" in app.dataframe[0].value["Scores"].tolist()


def test_a_look_that_comes_late_does_not_lead_back() -> None:
    """The panel of the prediction before looks once more, with the address of then, after Next was pressed."""

    def script() -> None:
        import streamlit as st  # noqa: PLC0415  (the function is run as a script)

        from dashboard import state  # noqa: PLC0415

        state.settle(workspace="w", run="r", test=3)
        seen = state.place()
        st.text(f"in step: {state.is_in_step(seen)}")
        st.query_params["test"] = "7"  # noqa: TID251  (a browser that is behind)
        st.text(f"an old address: {state.is_in_step(seen)}")
        state.go(test=5)
        st.text(f"moved on: {state.is_in_step(seen)}")
        st.text(f"there: {state.is_in_step(state.place())}")

    said = [element.value for element in AppTest.from_function(script).run().text]
    assert said == ["in step: True", "an old address: False", "moved on: False", "there: True"]
