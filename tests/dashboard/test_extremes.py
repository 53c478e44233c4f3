"""Thousands of classes, texts of a hundred thousand characters and none at all: the pages still answer."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from dashboard.cli import main
from dashboard.services.opened import WORKSPACE
from dashboard.services.texts import EMPTY, excerpt
from influence_core.project import Project
from influence_core.removal.head_fit import fit_head
from influence_core.store import Workspace, build
from influence_core.task import ClassificationTask
from influence_core.views import TextView
from tests.dashboard.test_pages import APP, TIMEOUT, component, overview, shown

CLASSES = 5_000
LONG = "word " * 20_000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A softmax over 5,000 classes with 20,000 parameters on 300 rows, a few epochs trained."""
    x = torch.randn(330, 3, generator=torch.Generator().manual_seed(0))
    y = ((x[:, 0] + 4) * 600).long().clamp(0, CLASSES - 1)
    task, model = ClassificationTask(CLASSES, weight_decay=1e-3), torch.nn.Linear(3, CLASSES)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(20):
        optimiser.zero_grad()
        (task.losses(model(x[:300]), ((), y[:300])).mean() + task.penalty(dict(model.named_parameters()))).backward()
        optimiser.step()
    rows = list(zip(x, y, strict=True))
    project = Project("many", model.eval(), task, rows[:300], rows[300:], [f"class {i}" for i in range(CLASSES)])
    return build(project, tmp_path_factory.mktemp("built") / "many", test_limit=3)


def test_five_thousand_classes(many: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE, str(many.path))
    app = AppTest.from_file(APP, default_timeout=TIMEOUT).run()
    assert not app.exception
    label = many.test[int(app.query_params["test"][0])].label
    assert f"true label class {int(label)}" in shown(app)
    assert component(app, "deck-positive")["cards"]
    page = overview(many).run()
    assert not page.exception
    assert "The pairs that are confused most. Click one to list its predictions." in shown(page)


def test_five_thousand_classes_on_the_command_line(many: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    test_id = int(many.run().solved[0])
    assert main(["explain", str(many.path), "--test", str(test_id), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["label"] == f"class {int(many.test[test_id].label)}"
    assert main(["explain", str(many.path), "--test", str(test_id), "--target", "class 99999"]) == 2
    assert "and 4,980 more" in capsys.readouterr().err


def texts_project(texts: list[str]) -> Project:
    x = torch.randn(len(texts), 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y, task, half = (x[:, 0] > 0).long(), ClassificationTask(2, 0.05), len(texts) // 2
    rows = list(zip(x, y, strict=True))
    view = TextView(texts[:half], texts[half:])
    return Project("texts", fit_head(x[:half], y[:half], task), task, rows[:half], rows[half:], ("no", "yes"), view)


@pytest.mark.parametrize("test_id", [0, 1], ids=["long", "empty"])
def test_a_text_is_long_or_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, test_id: int) -> None:
    texts = [LONG, "", *(f"some words {i}" for i in range(18)), LONG, "", *(f"other words {i}" for i in range(18))]
    workspace = build(texts_project(texts), tmp_path / "texts")
    monkeypatch.setenv(WORKSPACE, str(workspace.path))
    app = AppTest.from_file(APP, default_timeout=TIMEOUT)
    app.query_params["test"] = str(test_id)
    app.run()
    assert not app.exception
    excerpts = {
        card["id"]: card["text"]
        for side in ("positive", "negative")
        for card in component(app, f"deck-{side}")["cards"]
    }
    assert all(sum(len(part) for part, _ in text) < 1_000 for text in excerpts.values())
    chosen = component(app, "chosen-text")
    assert len(json.dumps(chosen)) < 150_000
    if test_id == 1:
        assert chosen["segments"] == [[EMPTY, False]]


def test_an_excerpt_of_a_long_text_that_shares_every_word_is_cut_at_once() -> None:
    started = time.perf_counter()
    found = excerpt(LONG, frozenset({"word"}), 220)
    assert time.perf_counter() - started < 2  # comparing every place with every other took minutes
    assert len(found) < 240
