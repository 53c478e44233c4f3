"""Frames and figures of a notebook: the stored numbers in the right words and unit, never without their trust."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dashboard import figures
from influence_core import Target, Workspace, build
from influence_core.errors import MethodError, NotSolvedError
from influence_core.methods import ConjugateGradients
from tests.dashboard.conftest import HOSTILE
from tests.influence_core import samples


def test_a_frame_holds_the_scores_from_helpful_to_harmful(digits: Workspace) -> None:
    run = digits.run()
    test_id = int(run.solved[0])
    values = run.scores(test_id).of(test_id).double().numpy()
    frame = run.frame(test_id)
    assert sorted(frame["train_id"]) == list(range(run.n_train))
    assert frame["score"].to_numpy() == pytest.approx(values[frame["train_id"]], rel=1e-6)
    assert frame["score"].is_monotonic_decreasing
    assert set(frame["direction"]) <= {"helpful", "harmful", "neither"}
    assert (frame["direction"] == "helpful").equals(frame["score"] > 0)
    for sign in (1, -1):
        side = frame[np.sign(frame["score"]) == sign]
        assert float(side["share"].sum()) == pytest.approx(1)
        strongest = side[side["rank"] == 1].iloc[0]
        assert abs(strongest["score"]) == side["score"].abs().max()
        assert sorted(side["rank"]) == list(range(1, len(side) + 1))
    train = digits.train.frame()
    row = frame.iloc[17]
    assert row["key"] == train["key"][row["train_id"]]
    assert row["label"] == digits.manifest.class_names[int(train["label"][row["train_id"]])]
    assert digits.frame(test_id).equals(frame)


def test_a_short_frame_holds_both_ends(digits: Workspace) -> None:
    run = digits.run()
    test_id = int(run.solved[0])
    found = run.scores(test_id)
    frame = run.frame(test_id, k=4)
    assert list(frame["rank"]) == [1, 2, 3, 4, 4, 3, 2, 1]
    assert list(frame["train_id"][:4]) == [one.train_id for one in found.top(test_id, 4)]
    assert list(frame["train_id"][:-5:-1]) == [one.train_id for one in found.bottom(test_id, 4)]
    assert list(found.frame(test_id, 4).columns) == ["train_id", "score", "rank"]
    supports = run.frame(test_id, Target("logit", 3), k=1)
    assert list(supports["direction"]) == ["supports 3", "opposes 3"]


def test_a_regression_has_numbers_for_labels(table: Workspace) -> None:
    frame = table.frame(int(table.run().solved[0]), Target("value"))
    assert set(frame["direction"]) <= {"raises the value", "lowers the value", "neither"}
    assert frame["label"].dtype == float


def test_figures_show_the_stored_numbers_with_words_unit_and_trust(digits: Workspace) -> None:
    run = digits.run()
    test_id = int(run.solved[0])
    frame = run.frame(test_id, k=5)
    drawn = figures.helpful_and_harmful(run, test_id, k=5)
    assert [trace.name for trace in drawn.data] == ["helpful", "harmful"]
    assert list(drawn.data[0].x) == pytest.approx(list(frame["score"][:5]))
    assert list(drawn.data[1].x) == pytest.approx(list(frame["score"][:-6:-1]))
    assert drawn.layout.xaxis.title.text == "score (nats)"
    assert digits.test[test_id].key in drawn.layout.title.text
    assert drawn.layout.title.subtitle.text.startswith("checked · method exact")
    spread = figures.distribution(run, test_id)
    lines = [trace for trace in spread.data if trace.mode == "lines"]
    assert len(lines) == 6
    assert "nats" in spread.layout.xaxis.title.text
    curves = figures.concentration(run, test_id, Target("margin", 4))
    assert [trace.name for trace in curves.data] == ["supports 4", "opposes 4"]
    assert max(curves.data[0].y) == pytest.approx(100)
    assert curves.layout.title.subtitle.text.startswith("not checked")


def test_names_of_the_data_are_no_markup(hostile: Workspace) -> None:
    run = hostile.run()
    drawn = figures.helpful_and_harmful(run, int(run.solved[0]), k=3)
    assert "<script>" in HOSTILE
    assert "<script>" not in drawn.to_json()


def test_what_is_not_solved_or_did_not_converge_has_no_ranking(hostile: Workspace, tmp_path: Path) -> None:
    run = hostile.run()
    unsolved = ({*range(hostile.manifest.n_test)} - {*run.solved.tolist()}).pop()
    for ask in (run.frame, lambda i: figures.distribution(run, i)):
        with pytest.raises(NotSolvedError):
            ask(unsolved)
    project = samples.sample("head")
    stalled = build(project, tmp_path / "w", ConjugateGradients(damping=1e-9, tolerance=1e-5, steps=1)).run()
    tried = stalled.record.order[0]
    for ask in (stalled.frame, lambda i: figures.helpful_and_harmful(stalled, i)):
        with pytest.raises(
            MethodError, match=r"did not reach an answer \(residual .*\), so nothing is ranked\. The resid"
        ):
            ask(tried)


def test_figures_need_no_streamlit() -> None:
    code = "import sys; from dashboard import figures; print('streamlit' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
