"""Slices: what is kept of a filter, when it fits, and how a page shows, saves, renames and deletes one."""

from __future__ import annotations

import datetime
import json
import re
import sqlite3
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

import dashboard
from dashboard.cli import main
from dashboard.services import metadata, slices
from dashboard.services.filters import Condition, Filters
from dashboard.services.opened import WORKSPACE
from dashboard.services.records.database import FILE
from influence_core.errors import UnknownNameError
from influence_core.store import Workspace, build
from tests.dashboard.conftest import HOSTILE, grouped_project
from tests.dashboard.test_pages import TIMEOUT, address, component, shown

APP = Path(dashboard.__file__).parent / "app.py"
OLD_AND_WRONG = Filters(
    outcome="wrong", true=1, sort="id", where=(Condition(column="age", low=40), Condition(column="x"))
)


def saved(workspace: Workspace, name: str = "old", filters: Filters = OLD_AND_WRONG) -> slices.Slice:
    slices.table(workspace).add(name, slices.definition(filters, workspace.manifest))
    return slices.named(listed(workspace), name)


def listed(workspace: Workspace) -> list[slices.Slice]:
    return slices.listed(workspace, metadata.describe(workspace.test.metadata()))


def test_a_definition_says_names_and_no_ids(grouped: Workspace) -> None:
    found = saved(grouped)
    kept = json.loads(found.saved.definition)
    assert kept["true"] == "yes"
    assert [condition["column"] for condition in kept["where"]] == ["age"]
    assert "sort" not in kept
    assert found.filters == OLD_AND_WRONG.model_copy(update={"sort": "loss", "where": OLD_AND_WRONG.where[:1]})
    assert found.words == "wrong, true label yes, age at least 40"


def rebuilt(grouped: Workspace, **changes: object) -> Workspace:
    return build(replace(grouped_project(), **changes), grouped.path)


def test_a_slice_survives_a_new_build_or_says_what_is_gone(grouped: Workspace) -> None:
    saved(grouped)
    known = grouped_project().test_metadata
    assert known is not None
    for changed, misfit in (
        (known, ""),
        (known.drop(columns="age"), "asks for the column “age”, which this workspace does not have any more"),
        (known.assign(age="old"), "asks for a range of “age”, which holds something else now"),
        (None, "asks for the column “age”"),
    ):
        (found,) = listed(rebuilt(grouped, test_metadata=changed))
        assert misfit in found.misfit
        assert bool(found.misfit) == bool(misfit)
        assert (found.filters is None) == bool(misfit)
        assert found.words == "wrong, true label yes, age at least 40"


def test_a_class_is_found_by_its_name(grouped: Workspace) -> None:
    saved(grouped, filters=Filters(true=0))
    (found,) = listed(rebuilt(grouped, class_names=("yes", "no")))
    assert found.filters is not None
    assert found.filters.true == 1
    (found,) = listed(rebuilt(grouped, class_names=("never", "ever")))
    assert "asks for the class “no”, which this workspace does not have" in found.misfit


def test_a_definition_of_another_version_is_said_and_kept(grouped: Workspace) -> None:
    text = saved(grouped).saved.definition.replace('"outcome"', '"something new"')
    slices.table(grouped).add("newer", text)
    newer, old = listed(grouped)
    assert "another version of this program" in newer.misfit
    assert not old.misfit
    with pytest.raises(UnknownNameError, match="another version"):
        slices.named(listed(grouped), "newer")
    with pytest.raises(UnknownNameError, match="There is no slice “gone”"):
        slices.named(listed(grouped), "gone")


@pytest.mark.parametrize(
    ("given", "said"), [(" \n\u202e", "has no name"), ("x" * 61, "has 61 characters; use at most 60")]
)
def test_a_name_that_will_not_do(given: str, said: str) -> None:
    with pytest.raises(UnknownNameError, match=said):
        slices.checked_name(given)
    assert slices.checked_name(" a \u202e\n b ") == "a b"


def test_the_files_stay_whole_and_info_names_the_slices(grouped: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    saved(grouped, HOSTILE[:40])
    assert main(["info", str(grouped.path)]) == 0
    assert f"1: {HOSTILE[:40]}" in capsys.readouterr().out
    (grouped.path / FILE).write_bytes(b"junk" * 1000)
    assert main(["info", str(grouped.path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "is damaged" in said
    assert "its files are whole" in said


# --- the page -----------------------------------------------------------------------------------------------------


@pytest.fixture
def app(grouped: Workspace, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    return opened(grouped, monkeypatch)


def opened(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, **query: str) -> AppTest:
    monkeypatch.setenv(WORKSPACE, str(workspace.path))
    app = AppTest.from_file(APP, default_timeout=TIMEOUT)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def count(app: AppTest) -> int:
    """How many predictions are listed."""
    found = (re.fullmatch(r"(?:\d+ of )?(\d+)(?: listed)?", e.value) for e in app.text)
    return next(int(match[1]) for match in found if match)


def filter_by(app: AppTest, column: str) -> None:
    app.selectbox("meta-test-column").set_value(column).run()


def test_each_kind_of_column_filters(app: AppTest, grouped: Workspace) -> None:
    known = grouped.test.metadata()
    filter_by(app, "town")
    labels = app.multiselect("meta-test-0-values").options
    assert labels[0].startswith(("Bern (15)", "Ulm (15)", "<script>"))
    assert labels[-1] == "missing (15)"
    app.multiselect("meta-test-0-values").set_value(["Ulm", "\0missing"]).run()
    assert count(app) == (known["town"].isna() | (known["town"] == "Ulm")).sum()
    assert "Filtered: town is Ulm or missing" in shown(app)
    app.button("clear-filters").click().run()
    filter_by(app, "age")
    app.number_input("meta-test-1-low").set_value(60).run()
    assert count(app) == (known["age"] >= 60).sum()
    app.checkbox("meta-test-1-missing").check().run()
    assert count(app) == ((known["age"] >= 60) | known["age"].isna()).sum()
    app.number_input("meta-test-1-high").set_value(61).run()
    assert "Filtered: age 60 to 61 or missing" in shown(app)
    app.button("clear-filters").click().run()
    filter_by(app, "seen")
    app.date_input("meta-test-2-high").set_value(datetime.date(2024, 2, 20)).run()
    assert count(app) == (known["seen"] <= "2024-02-20").sum()
    app.button("clear-filters").click().run()
    filter_by(app, "note")
    app.text_input("meta-test-3-text").set_value("NOTE 4").run()
    assert count(app) == known["note"].str.startswith("note 4").sum()
    filter_by(app, "label")
    app.multiselect("meta-test-4-values").set_value(["theirs"]).run()
    assert count(app) == 5
    assert not app.exception


def test_few_columns_are_shown_at_once_many_after_a_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = grouped_project().test_metadata
    assert known is not None
    few = replace(grouped_project(), test_metadata=known[["town", "label"]], train_metadata=None)
    app = opened(build(few, tmp_path / "few"), monkeypatch)
    assert [box.label for box in app.multiselect] == ["town", "label"]
    many = opened(build(grouped_project(columns=40), tmp_path / "many"), monkeypatch)
    assert not many.multiselect
    assert len(many.selectbox("meta-test-column").options) == 40
    filter_by(many, "column 30")
    many.multiselect("meta-test-37-values").set_value(["30"]).run()
    assert count(many) == 60
    filter_by(many, "town")
    assert [box.label for box in many.multiselect] == ["town", "column 30"]


def test_hostile_names_and_values_stay_texts(app: AppTest) -> None:
    filter_by(app, HOSTILE)
    label = app.multiselect("meta-test-5-values").label
    for harm in ("<script", "![](http", ":smile:", ":red[", "$x^2$", "\u202e"):
        assert harm not in re.sub(r"\\.", "", label)
    rows = component(app, "chosen-facts-" + address(app)["test"])["rows"]
    assert [row["column"] for row in rows][:5] == ["town", "age", "seen", "note", "label"]


def test_saved_chosen_renamed_deleted_and_put_back(
    app: AppTest, grouped: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    filter_by(app, "town")
    app.multiselect("meta-test-0-values").set_value(["Ulm"]).run()
    app.text_input("slice-name").set_value("From Ulm")
    next(button for button in app.button if button.label == "Save").click().run()
    assert address(app)["slice"] == "From Ulm"
    assert app.selectbox("slice-menu").options == ["No slice", "From Ulm (15)"]
    assert count(app) == 15

    other = opened(grouped, monkeypatch)  # another browser, and a restart
    assert count(other) == 60
    other.selectbox("slice-menu").set_value("From Ulm").run()
    assert count(other) == 15
    assert address(other)["slice"] == "From Ulm"
    other.segmented_control(key="outcome").set_value("wrong").run()
    assert "slice" not in address(other)
    other.button("redefine-slice").click().run()
    assert "Filtered: wrong, town is Ulm" in shown(other)
    assert address(other)["slice"] == "From Ulm"

    app.run()
    assert "was changed in another window" in shown(app)
    assert "slice" not in address(app)
    app.selectbox("slice-menu").set_value("From Ulm").run()
    assert "Filtered: wrong, town is Ulm" in shown(app)
    app.text_input("slice-new-name-From Ulm").set_value("Ulm")
    next(button for button in app.button if button.label == "Rename").click().run()
    assert address(app)["slice"] == "Ulm"
    other.run()
    assert "was renamed or deleted in another window" in shown(other)
    app.button("delete-slice").click().run()
    assert "Deleted the slice “Ulm”." in shown(app)
    assert "slice" not in address(app)
    assert listed(grouped) == []
    app.button("undo-slice").click().run()
    assert [one.name for one in listed(grouped)] == ["Ulm"]
    assert address(app)["slice"] == "Ulm"
    app.selectbox("slice-menu").set_value("").run()
    assert count(app) == 60
    assert "Filtered" not in shown(app)


def test_a_name_that_is_taken_is_said(app: AppTest, grouped: Workspace) -> None:
    saved(grouped, "mine")
    app.segmented_control(key="outcome").set_value("wrong").run()
    app.text_input("slice-name").set_value("mine")
    next(button for button in app.button if button.label == "Save").click().run()
    assert "There is a slice “mine” already" in shown(app)
    assert not app.exception
    assert "slice" not in address(app)


def test_a_link_opens_a_slice_on_its_first_prediction(grouped: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    ulm = saved(grouped, "Ulm & Co", Filters(where=(Condition(column="town", values=("Ulm",)),)))
    app = opened(grouped, monkeypatch, slice="Ulm & Co")
    assert address(app)["slice"] == ulm.name
    frame = grouped.test.frame()
    first = frame[grouped.test.metadata()["town"] == "Ulm"].sort_values("loss", ascending=False)["id"].iloc[0]
    assert address(app)["test"] == str(first)
    assert "not in this filter" not in shown(app)


def test_back_leaves_the_slice(grouped: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(grouped)
    app = opened(grouped, monkeypatch)
    before = address(app)
    app.selectbox("slice-menu").set_value("old").run()
    assert count(app) < 60
    app.query_params.pop("slice")  # what the browser sends on Back
    app.run()
    assert (address(app), count(app)) == (before, 60)


def test_a_link_to_no_slice_is_said_and_everything_else_is_shown(app: AppTest) -> None:
    app.query_params["slice"] = "nowhere"
    app.run()
    assert "There is no slice “nowhere” in this workspace" in shown(app)
    assert "slice" not in address(app)
    assert count(app) == 60


def test_a_slice_that_does_not_fit_says_so(grouped: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(grouped)
    app = opened(rebuilt(grouped, test_metadata=None), monkeypatch)
    assert app.selectbox("slice-menu").options == ["No slice", "old (does not fit)"]
    app.selectbox("slice-menu").set_value("old").run()
    assert "asks for the column “age”, which this workspace does not have any more" in shown(app)
    assert count(app) == 60


@pytest.mark.parametrize("state", ["damaged", "newer"])
def test_without_its_database_everything_is_explained(
    state: str, grouped: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(grouped)
    if state == "damaged":
        (grouped.path / FILE).write_bytes(b"junk" * 1000)
    else:
        with sqlite3.connect(grouped.path / FILE) as connection:
            connection.execute("update alembic_version set version_num = '9999'")
        connection.close()
    app = opened(grouped, monkeypatch, slice="old")
    assert {"damaged": "is damaged", "newer": "newer version"}[state] in shown(app)
    assert "Our fault" not in shown(app)
    assert component(app, "deck-positive")["cards"]
    app.segmented_control(key="outcome").set_value("wrong").run()
    assert not app.exception


def test_a_read_only_workspace_says_that_none_can_be_saved(
    app: AppTest, grouped: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(grouped)
    monkeypatch.setattr("dashboard.services.records.database.os.access", lambda path, mode: False)
    app.segmented_control(key="outcome").set_value("wrong").run()
    assert "is read-only, so slices cannot be saved here" in shown(app)
    app.selectbox("slice-menu").set_value("old").run()
    assert address(app)["slice"] == "old"


def test_the_table_shows_a_group_of_training_examples(grouped: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(grouped, monkeypatch)
    app.session_state["closer"] = "Table"
    app.run()
    app.selectbox("meta-train-column").set_value("town").run()
    app.multiselect("meta-train-0-values").set_value(["Ulm"]).run()
    known = grouped.train.metadata()["town"]
    test_id = int(address(app)["test"])
    values = grouped.run().scores(test_id).of(test_id).double().numpy()
    share = values[(known == "Ulm") & (values > 0)].sum() / values[values > 0].sum()
    assert f"10 of 40 training examples (town is Ulm) carry {100 * share:.0f} % of the helpful influence" in shown(app)
    table = app.dataframe[-1].value
    assert table["id"].tolist() == sorted(table["id"], key=lambda i: -abs(values[i]))
    assert set(table["id"]) == set(known.index[known == "Ulm"])
    assert table["key"].tolist() == [f"person {i}" for i in table["id"]]
    assert count(app) == 60  # the predictions are filtered by themselves
    assert isinstance(table, pd.DataFrame)
