"""What people decide is kept: whole or not at all, by many at once, and with a sentence where it cannot be."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from dashboard.services.records import SliceTable, records
from dashboard.services.records.database import FILE, URL
from dashboard.services.records.tables import METADATA
from influence_core.errors import (
    DamagedWorkspaceError,
    NewerWorkspaceError,
    UnknownNameError,
    UnwritableWorkspaceError,
)

WRITER = """
import sys
from dashboard.services.records import SliceTable, records
kept = SliceTable(records(sys.argv[1], "f"))
for i in range(int(sys.argv[3])):
    kept.add(f"{sys.argv[2]} {i}", "{}")
    print(i, flush=True)
"""


@pytest.fixture
def kept(tmp_path: Path) -> SliceTable:
    return SliceTable(records(tmp_path, "fingerprint"))


def names(kept: SliceTable) -> list[str]:
    return [saved.name for saved in kept.all()]


def writer(folder: Path, name: str, n: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), name, str(n)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )


def test_looking_makes_no_file(kept: SliceTable, tmp_path: Path) -> None:
    assert kept.all() == []
    assert not list(tmp_path.iterdir())


def test_added_renamed_redefined_and_deleted(kept: SliceTable, tmp_path: Path) -> None:
    kept.add("b", "1")
    kept.add("A", "2")
    assert names(kept) == ["A", "b"]
    first = kept.all()[0]
    kept.rename(first, "c")
    kept.redefine(kept.all()[1], "3")
    assert [(saved.name, saved.definition) for saved in kept.all()] == [("b", "1"), ("c", "3")]
    kept.delete(kept.all()[0])
    assert names(SliceTable(records(tmp_path, "fingerprint"))) == ["c"]
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_a_name_is_taken_once(kept: SliceTable) -> None:
    kept.add("a", "1")
    kept.add("b", "2")
    with pytest.raises(UnknownNameError, match="There is a slice “a” already; choose another name"):
        kept.add("a", "3")
    with pytest.raises(UnknownNameError, match="already"):
        kept.rename(kept.all()[1], "a")
    assert [saved.definition for saved in kept.all()] == ["1", "2"]


def test_nobodys_change_is_overwritten_unseen(kept: SliceTable) -> None:
    kept.add("a", "1")
    seen = kept.all()[0]
    kept.redefine(seen, "2")
    for act in (lambda: kept.redefine(seen, "3"), lambda: kept.rename(seen, "b"), lambda: kept.delete(seen)):
        with pytest.raises(UnknownNameError, match="was changed or deleted meanwhile"):
            act()
    assert [saved.definition for saved in kept.all()] == ["2"]


def test_many_at_once_lose_nothing(kept: SliceTable, tmp_path: Path) -> None:
    """Four processes that all find no file and save thirty slices each."""
    processes = [writer(tmp_path, f"w{i}", 30) for i in range(4)]
    assert [(p.communicate(timeout=120)[0].count("\n"), p.returncode) for p in processes] == [(30, 0)] * 4
    assert len(names(kept)) == 120


def test_what_was_saved_survives_a_kill(kept: SliceTable, tmp_path: Path) -> None:
    """Killed at another moment each time, the first of them while it makes the file."""
    said: list[str] = []
    for attempt in range(6):
        process = writer(tmp_path, f"k{attempt}", 10_000)
        assert process.stdout is not None
        if attempt:
            process.stdout.readline()
            said.append(f"k{attempt} 0")
            time.sleep(0.013 * attempt)
        else:
            _wait_for(tmp_path / FILE)
        process.send_signal(signal.SIGKILL)
        said += [f"k{attempt} {line.strip()}" for line in process.communicate()[0].splitlines()]
    assert len(said) > 5
    assert set(said) <= set(names(kept))
    kept.add("afterwards", "1")


def test_what_a_crash_left_half_written_is_rolled_back_by_whoever_reads(kept: SliceTable, tmp_path: Path) -> None:
    kept.add("a", "1")
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("PRAGMA cache_size = 1")  # so that the change reaches the file before it is committed
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE slices SET definition = ? WHERE name = 'a'", ("x" * 100_000,))
        for file in (FILE, f"{FILE}-journal"):  # what a machine that stops at this moment leaves
            shutil.copy(tmp_path / file, crashed / file)
        other.execute("ROLLBACK")
    assert [saved.definition for saved in SliceTable(records(crashed, "fingerprint")).all()] == ["1"]


def _wait_for(file: Path) -> None:
    deadline = time.monotonic() + 30
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert file.exists()


def test_a_change_that_was_cut_short_on_its_way_to_the_disk_is_taken_back(kept: SliceTable, tmp_path: Path) -> None:
    """The file and its journal as a power cut leaves them: half of a change is in the file already."""
    kept.add("a", "1")
    connection = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    connection.execute("pragma cache_size = 2")
    connection.execute("begin immediate")
    for i in range(200):
        row = (f"id{i}", "here", f"half {i}", "x" * 4000, 1)
        connection.execute("insert into slices (id, workspace, name, definition, revision) values (?, ?, ?, ?, ?)", row)
    cut = tmp_path / "cut"
    cut.mkdir()
    for file in tmp_path.glob(f"{FILE}*"):
        shutil.copy(file, cut)
    connection.rollback()
    connection.close()
    assert b"half 1" in (cut / FILE).read_bytes()
    assert names(SliceTable(records(cut, "fingerprint"))) == ["a"]


def test_an_empty_file_is_a_beginning(kept: SliceTable, tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    assert kept.all() == []
    kept.add("a", "1")
    assert names(kept) == ["a"]


def test_a_damaged_file_is_said(kept: SliceTable, tmp_path: Path) -> None:
    kept.add("a", "1")
    content = (tmp_path / FILE).read_bytes()
    for damaged in (b"no database " * 1000, content[: len(content) // 2], content[:2000] + b"\xff" * 9000):
        (tmp_path / FILE).write_bytes(damaged)
        for act in (kept.all, lambda: kept.add("b", "2")):
            with pytest.raises(DamagedWorkspaceError, match=r"workspace.db in .* is damaged \(.*\), so slices"):
                act()
    (tmp_path / FILE).write_bytes(content)
    assert names(kept) == ["a"]


def test_a_newer_file_is_said_and_left_alone(kept: SliceTable, tmp_path: Path) -> None:
    kept.add("a", "1")
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    connection.close()
    before = (tmp_path / FILE).read_bytes()
    for act in (kept.all, lambda: kept.add("b", "2")):
        with pytest.raises(NewerWorkspaceError, match=r"written by a newer version .*9999.* upgrade"):
            act()
    assert (tmp_path / FILE).read_bytes() == before


def test_a_read_only_folder_says_so(kept: SliceTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.add("a", "1")
    before = (tmp_path / FILE).read_bytes()
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)  # root may write anywhere
    assert names(kept) == ["a"]
    assert "is read-only, so slices cannot be saved here; copy the workspace" in kept.records.obstacle
    with pytest.raises(UnwritableWorkspaceError, match="is read-only"):
        kept.add("b", "2")
    assert (tmp_path / FILE).read_bytes() == before
    assert not list(tmp_path.glob(f"{FILE}?*"))


def test_another_program_that_holds_the_file_is_said(
    kept: SliceTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.add("a", "1")
    monkeypatch.setattr("dashboard.services.records.database.WAIT", 0.1)
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("begin exclusive")
    with pytest.raises(UnwritableWorkspaceError, match="in use by another program"):
        kept.add("b", "2")
    other.rollback()
    other.close()
    kept.add("b", "2")
    assert names(kept) == ["a", "b"]


def test_a_shared_database_tells_workspaces_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL, f"sqlite:///{tmp_path / 'shared.db'}")
    here, there = (SliceTable(records(tmp_path / name, name)) for name in ("here", "there"))
    assert here.all() == []
    here.add("a", "1")
    there.add("a", "2")
    assert [saved.definition for saved in here.all()] == ["1"]
    assert [saved.definition for saved in there.all()] == ["2"]
    there.delete(there.all()[0])
    assert names(here) == ["a"]
    assert here.records.obstacle == ""


@pytest.mark.parametrize("url", ["nonsense", "oracle9://x/y", "postgresql+nodriver://x/y"])
def test_a_setting_that_names_no_database_is_said(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL, url)
    with pytest.raises(UnwritableWorkspaceError, match=f"{URL} names no database"):
        SliceTable(records(tmp_path, "f")).all()


def test_the_migrations_end_in_the_tables(kept: SliceTable) -> None:
    kept.add("a", "1")
    with kept.records.reading() as connection:
        assert connection is not None
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
