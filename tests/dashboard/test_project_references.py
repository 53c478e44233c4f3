from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.services.projects import load_project, of_workspace, split
from influence_core.errors import ProjectError, UnknownNameError
from influence_core.store import Workspace
from tests.dashboard.conftest import hostile_project

GOOD = "from tests.dashboard.conftest import hostile_project\nmine = hostile_project()\nproject = mine\nnumber = 3\n"


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("work.py", ("work.py", "project")),
        ("work.py:mine", ("work.py", "mine")),
        ("C:\\work.py", ("C:\\work.py", "project")),
        ("C:\\work.py:mine", ("C:\\work.py", "mine")),
        ("a:b/work.py", ("a:b/work.py", "project")),
    ],
)
def test_the_last_colon_separates_an_identifier_only(reference: str, expected: tuple[str, str]) -> None:
    assert split(reference) == expected


def test_a_file_with_or_without_attribute(tmp_path: Path) -> None:
    file = tmp_path / "work.py"
    file.write_text(GOOD)
    assert load_project(str(file)).name == load_project(f"{file}:mine").name == "hostile"


@pytest.mark.parametrize(
    ("text", "attribute", "message"),
    [
        (None, "", "There is no project file"),
        ("1 / 0\n", "", r"line 1, raised ZeroDivisionError: division by zero"),
        ("x = 1\ndef f():\n    raise ValueError('no\\nway')\nf()\n", "", r"line 3, raised ValueError: no\."),
        ("project = (\n", "", r"line 1, raised SyntaxError"),
        (GOOD, ":other", "has no 'other'"),
        (GOOD, ":number", "is of type int; an influence_core.Project is needed"),
    ],
)
def test_what_is_wrong_is_said(text: str | None, attribute: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "work.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ProjectError, match=message):
        load_project(f"{file}{attribute}")


def test_an_unknown_demo() -> None:
    with pytest.raises(UnknownNameError, match="There is no demo 'nothing'"):
        load_project("nothing")


def test_only_a_demos_name_is_resolved_from_a_workspace(digits: Workspace, hostile: Workspace, tmp_path: Path) -> None:
    found = of_workspace(digits, "")
    assert found is not None
    assert found.name == "digits"
    assert of_workspace(hostile, "") is None
    file = tmp_path / "work.py"
    file.write_text(GOOD)
    assert of_workspace(hostile, str(file)) is not None
    with pytest.raises(ProjectError, match="not the one this workspace was built from"):
        of_workspace(digits, str(file))


def test_the_hostile_project_is_the_same_every_time(hostile: Workspace) -> None:
    assert hostile.manifest.name == hostile_project().name
