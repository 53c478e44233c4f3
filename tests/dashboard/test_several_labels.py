"""Examples with several labels or values: pages, command line and files say them in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from dashboard.cli import main
from dashboard.services.opened import WORKSPACE
from influence_core.project import Project
from influence_core.removal.head_fit import fit_head
from influence_core.store import Workspace, build
from influence_core.task import MultiLabelTask, RegressionTask
from tests.dashboard.test_pages import APP, TIMEOUT, component, overview, shown

TRAIN = 40


def project_of(kind: str) -> Project:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 4, dtype=torch.float64, generator=generator)
    noise = torch.randn(50, 2, dtype=torch.float64, generator=generator)
    task: MultiLabelTask | RegressionTask
    if kind == "multilabel":
        names, y, task = ("cat", "dog"), (x[:, :2] + noise > 0.4).long(), MultiLabelTask(2, 0.05)
    else:
        names, y, task = ("width", "height"), x[:, :2] * 3 + noise, RegressionTask(0.05, unit="mm", n_outputs=2)
    rows = list(zip(x, y, strict=True))
    model = fit_head(x[:TRAIN], y[:TRAIN], task)
    return Project(kind, model, task, rows[:TRAIN], rows[TRAIN:], class_names=names)


@pytest.fixture(scope="module", params=["multilabel", "multioutput"])
def several(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return build(project_of(request.param), tmp_path_factory.mktemp("built") / request.param)


def test_the_tables_say_labels_in_words(several: Workspace) -> None:
    frame = several.test.frame()
    labels = [row[1] for row in project_of(several.manifest.name).test]  # type: ignore[union-attr]
    first = labels[0].tolist()
    if several.manifest.kind == "multilabel":
        assert (
            frame.label_text[0] == ", ".join(n for n, has in zip(("cat", "dog"), first, strict=True) if has) or "none"
        )
        assert (frame.correct == (frame.label_text == frame.prediction_text)).all()
    else:
        assert frame.label_text[0] == f"width {first[0]:.4g}, height {first[1]:.4g}".replace("-", "−")
    check = several.run().check
    assert check is not None
    assert check.state == "checked"


@pytest.mark.parametrize("target", ["", "of one"])
def test_pages_explain_all_together_or_one(several: Workspace, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE, str(several.path))
    labels = several.manifest.kind == "multilabel"
    app = AppTest.from_file(APP, default_timeout=TIMEOUT)
    if target:
        app.query_params["target"] = "logit-1" if labels else "value-1"
    app.run()
    assert not app.exception
    example = several.test[int(app.query_params["test"][0])]
    assert f"predicted {example.prediction_text}" in shown(app)
    title = component(app, "deck-positive")["title"]
    assert title == (("Supports dog" if labels else "Raises height") if target else "Helpful")
    cards = component(app, "deck-positive")["cards"]
    assert cards[0]["label"].endswith(str(several.train[cards[0]["id"]].label_text))


def test_overview_counts_what_there_is(several: Workspace) -> None:
    page = overview(several).run()
    assert not page.exception
    figures = [metric.label for metric in page.metric]
    assert ("All labels right" if several.manifest.kind == "multilabel" else "Mean loss") in figures


def test_the_menu_moves_from_all_together_to_one(several: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE, str(several.path))
    app = AppTest.from_file(APP, default_timeout=TIMEOUT).run()
    measure = "logit" if several.manifest.kind == "multilabel" else "value"
    next(box for box in app.selectbox if box.label == "Target to explain").set_value(measure).run()
    assert not app.exception
    assert [e.value for e in app.error] == []
    assert several.manifest.names[0] in component(app, "deck-positive")["title"]


def test_the_command_line_explains_one(several: Workspace, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name, measure = several.manifest.names[1], "logit" if several.manifest.kind == "multilabel" else "value"
    given = ["explain", str(several.path), "--test", "2", "--format", "json", "--measure", measure]
    assert main([*given, "--target", name]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["target"] == name
    assert answer["label"] == several.test[2].label_text
    assert answer["helpful"][0]["label"] == several.train[answer["helpful"][0]["train_id"]].label_text
    assert main(given) == 2
    assert f"name the one whose {measure} is meant" in capsys.readouterr().err
    assert main(["info", str(several.path)]) == 0
    assert name in capsys.readouterr().out
