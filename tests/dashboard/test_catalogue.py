from __future__ import annotations

import json
from pathlib import Path

import pytest

from dashboard.services import catalogue
from influence_core.errors import UnknownNameError


def test_a_folder_keeps_its_name_and_another_one_gets_its_own(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "spam set", tmp_path / "b" / "spam set"
    assert catalogue.register(first) == "spam-set"
    assert catalogue.register(second) == "spam-set-2"
    assert catalogue.register(first) == "spam-set"
    assert catalogue.lookup("spam-set-2") == second
    assert [entry.name for entry in catalogue.recent()] == ["spam-set", "spam-set-2"]


def test_an_unknown_name_says_what_to_do() -> None:
    with pytest.raises(UnknownNameError, match=r"No workspace is known here as '\.\./\.\./etc'.*influence open DIR"):
        catalogue.lookup("../../etc")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"workspaces": [{"name": 1}]}', '{"workspaces": 3}', "\x00"])
def test_a_broken_catalogue_is_moved_aside(text: str, tmp_path: Path) -> None:
    file = catalogue.location()
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert catalogue.recent() == []
    assert [kept.read_text() for kept in file.parent.glob("*broken*")] == [text]
    catalogue.register(tmp_path)
    assert json.loads(file.read_text())["workspaces"][0]["path"] == str(tmp_path)


def test_nothing_is_left_behind_by_writing(tmp_path: Path) -> None:
    for i in range(catalogue.KEPT + 5):
        catalogue.register(tmp_path / f"set{i}")
    assert len(catalogue.recent()) == catalogue.KEPT
    assert [file.name for file in catalogue.location().parent.iterdir()] == [catalogue.FILE_NAME]


def test_a_catalogue_that_cannot_be_written_keeps_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setattr(catalogue, "location", lambda: blocked / catalogue.FILE_NAME)
    assert catalogue.register(tmp_path / "set") == "set"


def test_the_stamp_changes_with_a_new_run(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    before = catalogue.stamp(tmp_path)
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "report.json").write_text("{}")
    assert catalogue.stamp(tmp_path) != before
