"""Two runs side by side: numbers against scipy and counted by hand, names that tell runs apart, and the tab."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from streamlit.testing.v1 import AppTest

import dashboard
import demo_models
from dashboard.components import scatter
from dashboard.services import compare, influence, runs
from dashboard.services.opened import WORKSPACE
from influence_core.methods import Exact
from influence_core.scores import words
from influence_core.store import Workspace, build
from influence_core.target import Target

APP = Path(dashboard.__file__).parent / "app.py"
NAMES = ("no", "yes")


def explained(values: Sequence[float], target: Target = Target(), residual: float = 0.0) -> influence.Explanation:  # noqa: B008  (frozen)
    """What a run would say that gave these scores."""
    scores = np.asarray(values, dtype=float)
    order, reverse = (np.argsort(sign * scores, kind="stable") for sign in (-1, 1))
    return influence.Explanation(
        test_id=0,
        target=target,
        words=words(target, "classification", NAMES, label=1, prediction=0),
        unit="nats",
        values=scores,
        numbers=scores,
        ranked={"positive": order[scores[order] > 0], "negative": reverse[scores[reverse] < 0]},
        residual=residual,
        damping=0.0,
        method="exact",
    )


@pytest.fixture(scope="module")
def two_runs(digits: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The digits with a second run under another damping that has solved few predictions."""
    folder = tmp_path_factory.mktemp("built") / "two"
    shutil.copytree(digits.path, folder)
    project = demo_models.load("digits")
    return build(project, folder, Exact(damping=0.01), test_limit=3, project_ref="demo:digits")


def test_a_run_agrees_with_itself() -> None:
    shown = explained(np.linspace(-3, 3, 121))
    found = compare.compare(shown, shown)
    assert found.spearman == pytest.approx(1)
    assert found.here.tolist() == found.there.tolist() == list(range(121, 0, -1))
    assert [o.said for o in found.overlaps["negative"]] == ["10 of 10", "20 of 20", "50 of 50"]
    assert found.sentence == ("The two runs agree on all 10 most harmful examples and on all 10 most helpful examples.")


def test_the_opposite_order() -> None:
    values = np.linspace(-3, 3, 121)
    found = compare.compare(explained(values), explained(-values))
    assert found.spearman == pytest.approx(-1)
    assert {o.common for overlaps in found.overlaps.values() for o in overlaps} == {0}
    assert found.sentence.startswith("The two runs agree on none of the 10 most harmful examples")


def test_the_correlation_is_scipys_with_ties() -> None:
    random = np.random.default_rng(0)
    here, there = random.integers(-4, 5, size=(2, 300)).astype(float)
    found = compare.compare(explained(here), explained(there))
    assert found.spearman == pytest.approx(stats.spearmanr(here, there).statistic)
    assert found.spearman == pytest.approx(stats.pearsonr(stats.rankdata(here), stats.rankdata(there)).statistic)


def test_tied_scores_share_their_mean_rank() -> None:
    assert compare.ranked(np.array([1.0, 5.0, 1.0, -2.0])).tolist() == [2.5, 1.0, 2.5, 4.0]


def test_overlap_counted_by_hand() -> None:
    here = explained([9, 8, 7, 6, -1, -2, 0])
    there = explained([9, 1, 8, -7, -3, -2, 5])
    assert compare.overlap(here, there, "positive", 2) == compare.Overlap(2, 1, 2)
    assert compare.overlap(here, there, "positive", 3) == compare.Overlap(3, 2, 3)
    assert compare.overlap(here, there, "positive", 10) == compare.Overlap(10, 3, 4)  # 0, 1, 2 of the larger side
    assert compare.overlap(here, there, "negative", 10) == compare.Overlap(10, 2, 3)


def test_ties_at_the_edge_go_by_id_as_on_the_cards() -> None:
    same = explained([1.0] * 5 + [-1.0] * 5)
    assert compare.overlap(same, same, "positive", 2) == compare.Overlap(2, 2, 2)


def test_a_side_that_nobody_is_on_is_left_out_of_the_sentence() -> None:
    shown = explained([1.0, 2.0, 3.0])
    found = compare.compare(shown, shown)
    assert found.overlaps["negative"][0].said == "none"
    assert found.sentence == "The two runs agree on all 3 most helpful examples."


def test_another_target_has_its_own_words() -> None:
    shown = explained(np.linspace(-3, 3, 121), Target("logit", 1))
    assert "10 strongest for “opposes yes”" in compare.compare(shown, shown).sentence
    assert compare.first_rank(shown) == "1 = supports yes most"


@pytest.mark.parametrize(
    ("here", "there", "said"),
    [
        (explained([2.0, 2.0]), explained([1.0, 2.0]), "This run gives every training example the same score"),
        (explained([1.0, 2.0]), explained([0.0, 0.0]), "The other run gives every training example the same score"),
        (explained([1.0, 2.0]), explained([float("nan"), 2.0]), "The other run did not reach an answer"),
    ],
)
def test_what_cannot_be_compared(here: influence.Explanation, there: influence.Explanation, said: str) -> None:
    found = compare.compare(here, there)
    assert found.obstacle.startswith(said)
    assert "cannot be compared" in found.obstacle
    assert not found.overlaps


def test_of_many_examples_both_ends_and_the_cards_are_drawn() -> None:
    random = np.random.default_rng(0)
    here = random.normal(size=50_000)
    found = compare.compare(explained(here), explained(here + random.normal(size=50_000)))
    middle = int(np.argsort(here)[25_001])
    ids = compare.drawn(found, [middle])
    assert len(ids) <= compare.DRAWN + 1
    ends = [int(f(ranks)) for ranks in (found.here, found.there) for f in (np.argmin, np.argmax)]
    assert {middle, *ends} <= set(ids.tolist())
    few = compare.compare(explained([1.0, 2.0, -1.0]), explained([1.0, 2.0, -1.0]))
    assert compare.drawn(few, [1]).tolist() == [0, 1, 2]


def test_runs_are_told_apart_by_what_differs(two_runs: Workspace) -> None:
    assert sorted(runs.names(two_runs).values()) == ["exact · damping 0", "exact · damping 0.01"]


def test_runs_that_differ_in_curvature_and_measure(two_runs: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    shutil.copytree(two_runs.path, folder)
    project = demo_models.load("digits")
    build(project, folder, Exact(curvature="gauss-newton"), test_limit=2, project_ref="demo:digits")
    opened = build(project, folder, Exact(), target=Target("logit", 7), test_limit=2, project_ref="demo:digits")
    assert set(runs.names(opened).values()) == {
        "exact · damping 0 · hessian · loss of the true label",
        "exact · damping 0 · hessian · logit of 7",
        "exact · damping 0 · gauss-newton · loss of the true label",
        "exact · damping 0.01 · hessian · loss of the true label",
    }


def test_the_command_for_another_run(two_runs: Workspace, hostile: Workspace) -> None:
    command = runs.another(two_runs, two_runs.run())
    assert command.startswith(f"influence build digits --out {two_runs.path} --method ")
    assert runs.another(hostile, hostile.run()).startswith("influence build PROJECT --out ")


def test_keys_in_the_chart_are_text() -> None:
    points = [scatter.Point(1, 2, "<b>bold</b>", "positive"), scatter.Point(2, 1, "<img src=x>")]
    figure = scatter.ranks(points, 2, ("<i>helpful</i>", "harmful"), "1 = <i>most</i>")
    assert not any(tag in str(trace.text) for trace in figure.data for tag in ("<b>", "<img"))
    assert "<i>" not in f"{figure.layout.xaxis.title.text} {[trace.name for trace in figure.data]}"


def opened(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, **query: object) -> AppTest:
    """Explain with the tab open."""
    monkeypatch.setenv(WORKSPACE, str(workspace.path))
    app = AppTest.from_file(APP, default_timeout=20)
    app.session_state["closer"] = "Compare"
    for name, value in query.items():
        app.query_params[name] = str(value)
    return app.run()


def shown(app: AppTest) -> str:
    return "\n".join(element.value for element in [*app.text, *app.markdown, *app.caption])


def test_the_tab_compares_two_runs(two_runs: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    newest, oldest = two_runs.runs
    test_id = int(newest.solved[0])
    app = opened(two_runs, monkeypatch, run=newest.id, test=test_id)
    assert not app.exception
    expected = compare.compare(*(influence.explain(run, test_id, Target()) for run in (newest, oldest)))
    assert f"**{expected.sentence}**" in shown(app).replace("\\", "")
    assert next(m.value for m in app.metric) == f"{expected.spearman:.3f}"
    facts, overlaps = (table.value for table in app.table)
    assert facts.index.tolist() == ["This run", "Other run"]
    assert overlaps.iloc[0].tolist() == [expected.overlaps[side][0].said for side in ("positive", "negative")]


def test_the_other_run_may_not_have_solved_it(two_runs: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    newest, oldest = two_runs.runs
    unsolved = int(oldest.solved[-1])
    app = opened(two_runs, monkeypatch, run=oldest.id, test=unsolved)
    assert not app.exception
    assert f"The other run has no answer here. Test example {unsolved} is not solved yet" in shown(app)
    assert newest.id == app.selectbox(key="compare-menu").value


def test_a_single_run_says_how_to_have_two(digits: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(digits, monkeypatch)
    assert "a comparison needs two" in shown(app)
    assert app.code[0].value.startswith("influence build digits --out ")


def test_a_closed_tab_computes_nothing(two_runs: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr("dashboard.services.compare.compare", lambda *pair: asked.append(pair))
    monkeypatch.setenv(WORKSPACE, str(two_runs.path))
    assert not AppTest.from_file(APP, default_timeout=20).run().exception
    assert not asked


def test_numbers_are_not_kept_from_a_constant_run() -> None:
    found = compare.compare(explained([1.0, 1.0]), explained([1.0, 2.0]))
    assert np.isnan(found.spearman)
    assert replace(found, obstacle="").sentence == ""
