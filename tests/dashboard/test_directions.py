"""Runs that keep few directions, and dampings that nobody chose: said on the page, by the command and in its JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.cli import main
from dashboard.services import influence, runs, trust
from dashboard.services.opened import WORKSPACE
from influence_core.methods import Arnoldi, Exact
from influence_core.project import SGD, Project
from influence_core.store import Workspace, build
from influence_core.target import Target
from tests.dashboard.conftest import hostile_project
from tests.dashboard.test_pages import APP, TIMEOUT, shown

FILTER = "spectral filter of 300 steps of SGD (learning rate 0.5, momentum 0.9)"


def project(recipe: SGD | None = None) -> Project:
    return replace(hostile_project(), recipe=recipe)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two of eight directions, and the rule for the damping."""
    return build(project(), tmp_path_factory.mktemp("few") / "few", Arnoldi(kept=2))


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Exact with a known training."""
    return build(project(SGD(0.5, 0.9, 300)), tmp_path_factory.mktemp("filtered") / "f", Exact("auto"))


def asked(workspace: Workspace, test_id: int, target: Target = Target()) -> influence.Explanation:  # noqa: B008  (frozen)
    return influence.explain(workspace.run(), test_id, target)


def test_the_strip_says_what_is_kept_and_what_is_outside_of_this_prediction(few: Workspace) -> None:
    run = few.run()
    worst = max(run.solved.tolist(), key=lambda i: asked(few, i).outside or 0)
    explained = asked(few, worst)
    assert explained.outside is not None
    assert explained.outside > 0.02
    strip = trust.trust(run, explained)
    percent = f"{100 * explained.outside:.2g} %"
    assert "2 of 8 directions kept" in strip.facts
    assert f"{percent} of this prediction's gradient outside" in strip.facts
    assert any(fact.endswith(" in the kept directions") for fact in strip.facts)
    assert f"damping {run.damping:.3g} = 0.1 × the mean eigenvalue" in strip.facts
    assert any(note.startswith(percent) and "--set kept=4" in note for note in strip.notes)
    assert not any("outside the directions" in note for note in trust.trust(run, replace(explained, outside=0.0)).notes)


def test_another_targets_share_outside_is_its_own(few: Workspace) -> None:
    of = [asked(few, 0, target).outside for target in (Target(), Target("logit", 0))]
    assert of[0] is not None
    assert of[1] is not None
    assert asked(few, 0, Target("margin", 1)).outside == pytest.approx(of[0], abs=1e-4)  # two classes: one direction
    assert of[1] != pytest.approx(of[0], abs=1e-4)


def test_the_page_shows_it(few: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE, str(few.path))
    app = AppTest.from_file(APP, default_timeout=TIMEOUT).run()
    assert not app.exception
    assert "2 of 8 directions kept" in shown(app)
    assert "of this prediction's gradient outside" in shown(app)


def test_explain_says_it_and_gives_it_as_numbers(few: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(few.path), "--test", "row:1"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "2 of 8 directions kept" in said
    assert main(["explain", str(few.path), "--test", "row:1", "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["outside"] == pytest.approx(asked(few, 1).outside)
    assert answer["damping_rule"].endswith("0.1 × the mean eigenvalue")
    assert answer["damping"] == pytest.approx(few.run().damping)


def test_a_filter_is_named_where_the_damping_stood(filtered: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    run = filtered.run()
    assert trust.trust(run).facts[1] == FILTER
    assert main(["info", str(filtered.path)]) == 0
    assert "spectral filter" in capsys.readouterr().out
    assert runs.names(filtered) == {run.id: "exact · damping auto"}
    assert main(["explain", str(filtered.path), "--test", "row:1"]) == 0
    assert FILTER in " ".join(capsys.readouterr().out.split())
    assert main(["explain", str(filtered.path), "--test", "row:1", "--damping", "0", "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["damping"], answer["damping_rule"], answer["validated"]) == (0, "", False)


def test_a_build_takes_the_word_auto(tmp_path: Path) -> None:
    out = tmp_path / "w"
    assert main(["build", "breast-cancer", "--out", str(out), "--method", "exact", "--damping", "auto"]) == 0
    run = Workspace(out).run()
    assert run.damping == pytest.approx(0.1 * run.mean_eigenvalue, rel=1e-6)
    assert run.hyperparameters["damping"] == "auto"
    assert main(["build", "breast-cancer", "--out", str(out), "--damping", "some"]) == 2


def test_a_sweep_counts_what_stays(few: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", str(few.path), "--test", "row:1"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Of the 20 largest scores (damping" in said
    assert main(["sweep", str(few.path), "--test", "row:1", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    damping = few.run().damping
    assert [point["damping"] for point in found["points"]] == pytest.approx([damping / 10, damping * 10])
    assert all(10 <= point["common"] <= 20 and 0 < point["spearman"] <= 1 for point in found["points"])
    assert found["sentence"] in said.replace("\n", " ")


def test_a_sweep_of_a_filter_compares_it_with_dampings(filtered: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", str(filtered.path), "--test", "row:1", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["own"] == FILTER
    assert len(found["points"]) == 3
