"""Real workspaces for the pages and services: the digits demo, and a small one full of hostile texts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

import demo_models
from dashboard.services import catalogue
from dashboard.services.opened import PROJECT, WORKSPACE
from influence_core.project import Project
from influence_core.removal.head_fit import fit_head
from influence_core.store import Workspace, build
from influence_core.task import ClassificationTask, RegressionTask
from influence_core.views import TableView, TextView

HOSTILE = "<script>alert(1)</script> ![](http://tracker.example/x.png) :smile: $x^2$ :red[no] \u202eevil"


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return build(demo_models.load("digits"), tmp_path_factory.mktemp("built") / "digits", project_ref="demo:digits")


def hostile_project() -> Project:
    """Two classes of texts, with markup in texts, keys, class names and title."""
    inputs = torch.randn(60, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    labels = (inputs[:, 0] > 0).long()
    labels[3] = 1 - labels[3]
    task = ClassificationTask(2, weight_decay=0.01)
    items = [(x, int(y)) for x, y in zip(inputs, labels, strict=True)]
    texts = [f"{HOSTILE} shared words number {i}" for i in range(60)]
    return Project(
        name="hostile",
        model=fit_head(inputs[:40], labels[:40], task),
        task=task,
        train=items[:40],
        test=items[40:],
        class_names=("<b>no</b> :smile:", "*yes* [x](http://tracker.example)"),
        view=TextView(texts[:40], texts[40:]),
        title=HOSTILE,
        description=HOSTILE,
        train_keys=[f"{HOSTILE} {i}" for i in range(40)],
        test_keys=[f"**{i}** {HOSTILE}" for i in range(20)],
    )


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return build(hostile_project(), tmp_path_factory.mktemp("built") / "hostile", test_limit=15)


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A regression on rows of ten columns with a missing cell and a column of words."""
    inputs = torch.randn(50, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    values = inputs @ torch.arange(9, dtype=torch.float64) + 5
    frame = pd.DataFrame(inputs.numpy(), columns=[f"column {i}" for i in range(9)])
    frame["town"] = ["Ulm", "Bern"] * 25
    frame.loc[41, "column 0"] = float("nan")
    task = RegressionTask(weight_decay=0.01, unit="euro")
    items = [(x, float(y)) for x, y in zip(inputs, values, strict=True)]
    project = Project(
        name="prices",
        model=fit_head(inputs[:40], values[:40], task),
        task=task,
        train=items[:40],
        test=items[40:],
        view=TableView(frame[:40], frame[40:].reset_index(drop=True)),
    )
    return build(project, tmp_path_factory.mktemp("built") / "prices")


@pytest.fixture(autouse=True)
def _own_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a catalogue of its own, and nothing from the shell it was started in."""
    monkeypatch.setattr(catalogue, "location", lambda: tmp_path / "data" / catalogue.FILE_NAME)
    monkeypatch.delenv(WORKSPACE, raising=False)
    monkeypatch.delenv(PROJECT, raising=False)
