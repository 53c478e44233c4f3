"""The user's own keys and columns are stored as they are, whatever they hold."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from influence_core.errors import ProjectError
from influence_core.project import Project
from influence_core.removal.head_fit import fit_head
from influence_core.store import build
from influence_core.store.metadata import META, metadata_columns
from influence_core.task import ClassificationTask

N_TRAIN, N_TEST = 12, 6


def project(**changes: object) -> Project:
    inputs = torch.randn(N_TRAIN + N_TEST, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = (inputs[:, 0] > 0).long()
    task = ClassificationTask(2, weight_decay=0.1)
    items = [(x, int(y)) for x, y in zip(inputs, labels, strict=True)]
    model = fit_head(inputs[:N_TRAIN], labels[:N_TRAIN], task)
    return replace(Project("own", model, task, items[:N_TRAIN], items[N_TRAIN:]), **changes)


def stored(values: object) -> pd.Series:
    (column,) = metadata_columns(pd.DataFrame({"x": values})).values()
    return column.to_pandas()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, None, False], [True, None, False]),
        ([1, 2.5, None], [1.0, 2.5, None]),
        ([1, "a", None], ["1", "a", None]),
        (pd.Series(["", " ", "\ud800"], dtype=object), ["", " ", "?"]),
        ([[1, 2], {"a": 1}, None], ["[1, 2]", "{'a': 1}", None]),
        ([datetime.date(2020, 1, 2), None], [pd.Timestamp(2020, 1, 2), None]),
        (pd.Categorical([3, None, 5]), [3.0, None, 5.0]),
        (pd.array([1, None], dtype="Int64"), [1.0, None]),
        (np.array([1, 2], dtype=np.float16), [1.0, 2.0]),
        (np.array([1 + 2j, 0]), ["(1+2j)", "0j"]),
        ([None, float("nan"), pd.NaT], [None, None, None]),
        (pd.to_timedelta(["1 days", None]), ["1 days 00:00:00", None]),
        (pd.interval_range(0, 2), ["(0, 1]", "(1, 2]"]),
    ],
)
def test_any_column_is_stored(values: object, expected: list[object]) -> None:
    found = [None if pd.isna(cell) else cell for cell in stored(values)]
    assert found == expected


def test_names_are_texts_none_empty_and_none_alike() -> None:
    frame = pd.DataFrame([[1, 2, 3, 4, 5, 6]], columns=["age", "age", "", 7, None, ("a", "b")])
    assert [name.removeprefix(META) for name in metadata_columns(frame)] == [
        "age", "age (2)", "unnamed", "7", "None", "a / b",
    ]  # fmt: skip


def test_columns_called_as_ours_stay_apart(tmp_path: Path) -> None:
    ours = ["id", "key", "label", "prediction", "probabilities", "loss", "correct", "row", "meta: label"]
    metadata = pd.DataFrame({name: [f"{name} {i}" for i in range(N_TEST)] for name in ours})
    table = build(project(test_metadata=metadata), tmp_path / "w").test
    assert table.metadata().columns.tolist() == ours
    assert table.metadata()["label"].tolist() == [f"label {i}" for i in range(N_TEST)]
    frame = table.frame()
    assert frame["id"].tolist() == list(range(N_TEST))
    assert frame["meta: key"].iloc[3] == "key 3"
    assert set(frame["key"]) == {f"test {i}" for i in range(N_TEST)}
    assert table[3].metadata == {name: f"{name} 3" for name in ours}
    assert table[3].label in (0, 1)


def test_a_new_build_takes_over_new_keys_and_metadata(tmp_path: Path) -> None:
    first = build(project(), tmp_path / "w")
    run = first.run().id
    before = first.test.frame()["loss"].tolist()
    assert first.test[0].key == "test 0"
    metadata = pd.DataFrame({"age": range(N_TEST)})
    again = build(project(test_metadata=metadata, test_keys=[f"p{i}" for i in range(N_TEST)]), tmp_path / "w")
    assert again.run().id == run
    assert again.test[2].key == "p2"
    assert again.test[2].metadata == {"age": 2}
    assert again.test.frame()["loss"].tolist() == before
    table = tmp_path / "w" / "examples" / "test.arrow"
    written = table.stat().st_mtime_ns
    build(project(test_metadata=metadata, test_keys=[f"p{i}" for i in range(N_TEST)]), tmp_path / "w")
    assert table.stat().st_mtime_ns == written  # nothing to do


def test_an_example_without_a_key_is_called_by_its_row(tmp_path: Path) -> None:
    keys = ["a", "", None, float("nan"), " \u200b", "\ud800x"]
    assert build(project(test_keys=keys), tmp_path / "w").test.frame()["key"].tolist() == [
        "a", "test 1", "test 2", "test 3", "test 4", "?x",
    ]  # fmt: skip


def test_keys_may_come_as_an_array(tmp_path: Path) -> None:
    keys = np.arange(100, 100 + N_TEST)
    assert build(project(test_keys=keys), tmp_path / "w").test[1].key == "101"


def test_metadata_of_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="There are 5 test metadata rows for 6 examples"):
        build(project(test_metadata=pd.DataFrame({"age": range(5)})), tmp_path / "w")
