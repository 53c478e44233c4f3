"""The user's own key is what an example is called, on the page and in the terminal; odd keys break nothing."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.cli import main
from dashboard.services.named import find_test
from dashboard.services.opened import WORKSPACE
from influence_core.errors import UnknownNameError
from influence_core.store import Workspace, build
from tests.dashboard.conftest import grouped_project
from tests.dashboard.test_pages import component, shown
from tests.dashboard.test_slices import opened

N_TEST = 60


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Keys that are numbers of other rows, twice there, and empty."""
    keys = ["7", "twice", "twice", "", "row:7", "key:7", *(f"person {i}" for i in range(6, N_TEST))]
    return build(replace(grouped_project(), test_keys=keys), tmp_path_factory.mktemp("odd") / "odd")


@pytest.mark.parametrize(
    ("text", "row"),
    [("8", 8), ("row:7", 4), ("key:7", 5), ("row:8", 8), ("person 9", 9), ("key:person 9", 9), ("test 3", 3)],
)
def test_an_example_is_found_by_row_or_key(text: str, row: int, odd: Workspace) -> None:
    assert find_test(odd, text) == row  # a key that is there goes before what its prefix would mean


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("7", "'7' is the row id of one test example and the key of row 0; write row:7 or key:7."),
        ("twice", "2 test examples have the key 'twice'; give a row id: 1, 2."),
        ("key:twice", "2 test examples have the key 'twice'; give a row id: 1, 2."),
        ("key:8", "There is no test example whose key is '8'."),
        ("row:60", "There is no test example whose row id is '60'."),
        ("60", "There is no test example '60'; give a row id from 0 to 59, or an example's key."),
    ],
)
def test_a_key_that_is_not_plain_is_said(text: str, said: str, odd: Workspace) -> None:
    with pytest.raises(UnknownNameError) as caught:
        find_test(odd, text)
    assert str(caught.value) == said


def test_the_page_lists_odd_keys(odd: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(odd, monkeypatch, test="3")
    assert "**test 3**" in shown(app)
    app.selectbox(key="sort").set_value("id").run()
    assert app.dataframe[0].value["Example"].tolist()[:5] == ["7", "twice", "twice", "▸ test 3", "row:7"]


def test_every_form_of_an_answer_has_the_keys(built_grouped: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    question = ("explain", str(built_grouped.path), "--test", "person 45", "--top", "3")
    assert main([*question, "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["test_id"], answer["key"]) == (5, "person 45")
    keys = [row["key"] for row in answer["helpful"]]
    assert keys == [f"person {row['train_id']}" for row in answer["helpful"]]
    assert main([*question, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["key"] for row in rows][:3] == keys
    assert main(list(question)) == 0
    said = capsys.readouterr().out
    assert all(key in said for key in ["person 45", *keys])


def test_scores_can_bring_their_keys(built_grouped: Workspace, tmp_path: Path) -> None:
    command = ["scores", str(built_grouped.path), "--out", str(tmp_path / "s.npy"), "--keys", str(tmp_path / "k.csv")]
    assert main(command) == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "k.csv").read_text(encoding="utf-8"))))
    assert [(row["split"], row["id"], row["key"]) for row in rows[59:62]] == [
        ("test", "59", "person 99"),
        ("train", "0", "person 0"),
        ("train", "1", "person 1"),
    ]
    assert len(rows) == 100


def test_cards_and_marks_have_the_keys(built_grouped: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE, str(built_grouped.path))
    app: AppTest = opened(built_grouped, monkeypatch)
    cards = component(app, "deck-positive")["cards"]
    assert [card["key"] for card in cards] == [f"person {card['id']}" for card in cards]
    assert f"person {cards[0]['id']}: " in app.get("plotly_chart")[0].proto.spec
