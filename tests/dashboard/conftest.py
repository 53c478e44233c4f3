"""Real workspaces for the pages and services: the digits demo, and a small one full of hostile texts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

import demo_models
from dashboard.services import catalogue
from dashboard.services.opened import PROJECT, WORKSPACE
from dashboard.services.records.database import URL
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


def grouped_project(columns: int = 7) -> Project:
    """Two classes with metadata of every kind; names that are ours, empty, twice there, or full of markup."""
    n, n_train = 100, 40
    inputs = torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    labels = (inputs[:, 0] + 0.5 * inputs[:, 1] > 0).long()
    labels[[41, 47, 53]] = 1 - labels[[41, 47, 53]]
    task = ClassificationTask(2, weight_decay=0.01)
    items = [(x, int(y)) for x, y in zip(inputs, labels, strict=True)]
    known = pd.DataFrame(
        {
            "town": ["Ulm", "Bern", None, HOSTILE] * 25,
            "age": [float(i % 50 + 20) for i in range(n)],
            "seen": pd.date_range("2024-01-01", periods=n),
            "note": [f"note {i}" for i in range(n)],
            "label": ["theirs", "ours"] * 50,
            HOSTILE: [0, 1] * 50,
            "": ["a", "b"] * 50,
            **{f"column {i}": [i] * n for i in range(columns - 7)},
        }
    )
    known.loc[[44, 48], "age"] = float("nan")
    frame = pd.DataFrame(inputs.numpy(), columns=["x", "y", "z"])
    return Project(
        name="grouped",
        model=fit_head(inputs[:n_train], labels[:n_train], task),
        task=task,
        train=items[:n_train],
        test=items[n_train:],
        class_names=("no", "yes"),
        view=TableView(frame[:n_train], frame[n_train:].reset_index(drop=True)),
        train_keys=[f"person {i}" for i in range(n_train)],
        test_keys=[f"person {i}" for i in range(n_train, n)],
        train_metadata=known[:n_train],
        test_metadata=known[n_train:],
    )


@pytest.fixture
def grouped(built_grouped: Workspace, tmp_path: Path) -> Workspace:
    """A copy of its own for each test, as slices are kept in the folder."""
    return Workspace(shutil.copytree(built_grouped.path, tmp_path / "grouped"))


@pytest.fixture(scope="session")
def built_grouped(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return build(grouped_project(), tmp_path_factory.mktemp("built") / "grouped")


@pytest.fixture(autouse=True)
def _own_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a catalogue of its own, and nothing from the shell it was started in."""
    monkeypatch.setattr(catalogue, "location", lambda: tmp_path / "data" / catalogue.FILE_NAME)
    monkeypatch.delenv(WORKSPACE, raising=False)
    monkeypatch.delenv(PROJECT, raising=False)
    monkeypatch.delenv(URL, raising=False)
