"""What a workspace holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from dashboard.services import projects, slices
from dashboard.services.named import listed
from dashboard.services.wording import count as counted
from dashboard.services.wording import number, percent, plain
from influence_core.errors import WorkspaceError
from influence_core.store import Progress, Run, Workspace
from influence_core.store.files import SUMS, check_sum


def check_files(folder: Path) -> None:
    """Compare every file of a workspace with its digest.

    Raises:
        DamagedWorkspaceError: If one is missing, truncated or altered.
    """
    for sums in sorted(folder.glob(f"*/{SUMS}")) + sorted(folder.glob(f"runs/*/{SUMS}")):
        for line in sums.read_text(encoding="utf-8").splitlines():
            check_sum(sums.with_name(line.partition("  ")[2]))


def checked(
    folder: Path, project: str | None = None, progress: Callable[[Progress], None] = lambda _: None
) -> Workspace:
    """A workspace whose every file was compared with its digest, and its project with its fingerprint.

    Raises:
        WorkspaceError: If it cannot be opened, or a file is missing, truncated or altered.
        ProjectError: If ``project`` is not the one that it was built from.
    """
    workspace = Workspace(folder)
    check_files(folder)
    _ = len(workspace.train), len(workspace.test), [(run.record, run.report) for run in workspace.runs]
    if project is not None:
        projects.of_workspace(workspace, project, progress)
    return workspace


def described(folder: Path) -> Group:
    """What a workspace holds, for a terminal; its files are checked.

    Raises:
        WorkspaceError: If it cannot be opened, or a file is missing, truncated or altered.
    """
    workspace = checked(folder)
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(workspace):
        facts.add_row(Text(name), Text(value))
    runs = Table(title=Text("Runs, newest first"), title_justify="left")
    for title in ("id", "method", "explains", "damping", "check", "solved", "parameters covered"):
        runs.add_column(Text(title))
    for run in workspace.runs:
        runs.add_row(*(Text(cell) for cell in _run_cells(run)))
    return Group(facts, runs)


def _facts(workspace: Workspace) -> Iterable[tuple[str, str]]:
    m = workspace.manifest
    yield "Name", plain(m.name) if m.title == m.name else f"{plain(m.name)} ({plain(m.title)})"
    yield "Modality", f"{m.modality}, {m.kind}"
    if m.names:
        what = {"classification": "Classes", "multilabel": "Labels"}.get(m.kind, "Values")
        yield what, f"{len(m.names):,}: {listed(m.names)}"
    yield "Examples", f"{m.n_train:,} to train, {m.n_test:,} to test"
    covered = percent(m.parameters_attributed / m.parameters_total)
    yield "Parameters", f"{m.parameters_attributed:,} of {m.parameters_total:,} covered ({covered})"
    for note in m.notes:
        yield "Note", plain(note, 400)
    yield "Size on disk", f"{_bytes_of(workspace.path) / 1e6:,.1f} MB"
    yield "Folder", f"{workspace.path} ({_state(workspace.path)})"
    saved = _slices(workspace)
    if saved:
        yield "Slices", saved
    unfinished = len(list((workspace.path / "runs").glob("*/run.json"))) - len(workspace.runs)
    if unfinished:
        yield "Not finished", f"{counted(unfinished, 'run', 'runs')}; the same `influence build` goes on"


def _state(folder: Path) -> str:
    if os.access(folder, os.W_OK):
        return "its files are whole"
    return "its files are whole; read-only: what is stored can be explained, but no run can be added"


def _bytes_of(folder: Path) -> int:
    """All of it; a file that comes and goes meanwhile, such as a database's journal, counts nothing."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += file.stat().st_size if file.is_file() else 0
    return total


def _slices(workspace: Workspace) -> str:
    try:
        kept = slices.table(workspace).all()
    except WorkspaceError as error:  # whatever state they are in, the rest of the workspace is whole
        return str(error)
    return f"{len(kept):,}: {listed([one.name for one in kept])}" if kept else ""


def _run_cells(run: Run) -> list[str]:
    target, classes = run.target, run.manifest.names
    of = target.of if isinstance(target.of, str) else plain(classes[target.of])
    return [
        run.id,
        run.method,
        f"{target.measure} of {of}" if classes else target.measure,
        run.damping_rule or number(run.damping),
        run.check.state if run.check else "not checked",
        f"{len(run.solved):,} of {run.manifest.n_test:,}",
        percent(run.report.coverage),
    ]
