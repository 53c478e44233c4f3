"""Build a workspace from what the user named: a demo or a project file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import demo_models
from dashboard.services import methods, projects
from dashboard.services.demos import DemoFolder
from dashboard.services.inventory import check_files
from dashboard.services.records.database import FILE as RECORDS
from influence_core.errors import WorkspaceError
from influence_core.methods import Method
from influence_core.project import Project
from influence_core.store import Manifest, Progress, Workspace, build
from influence_core.store.describe import fingerprint
from influence_core.store.files import explained, write_text
from influence_core.store.manifest import DEMO, UPLOAD, read_record

__all__ = ["Order", "Progress", "build_demo", "build_order"]

Report = Callable[[Progress], None]
Say = Callable[[str], None]
SOLVED_FIRST = 60  # predictions that an iterative method solves in a build unless told otherwise; the rest on demand


@dataclass(frozen=True)
class Order:
    """What is to be built.

    Attributes:
        project: A demo's name or ``file.py[:attribute]``.
        method: Name of a method, or ``auto``.
        settings: What differs from the method's own settings, as it would be typed.
        test_limit: Solve at most that many test predictions.
    """

    project: str
    method: str = "auto"
    settings: Mapping[str, str] = field(default_factory=dict)
    test_limit: int | None = None

    def chosen_method(self, project: Project) -> Method:
        """The method; ``auto`` takes the one that serves the model.

        Raises:
            MethodError: If the method has no such setting, or no such value of it.
        """
        return methods.chosen(self.method, self.settings, project)


def build_order(order: Order, folder: Path, progress: Report) -> Workspace:
    """Build a project's workspace, or go on where an earlier build stopped.

    Raises:
        InfluenceError: If the project, the method or the folder cannot be used; what is done is kept.
    """
    methods.check(order.method, order.settings)
    project = projects.loaded(order.project, progress)
    reference = _reference(order.project, folder)
    method = order.chosen_method(project)
    limit = order.test_limit or (SOLVED_FIRST if method.is_one_by_one else None)
    return build(project, folder, method, test_limit=limit, progress=progress, project_ref=reference)


def _reference(given: str, folder: Path) -> str:
    """What the manifest says of the project's code: a demo, or an upload that keeps its rows in this very folder."""
    if given in demo_models.DEMOS:
        return f"{DEMO}{given}"
    return UPLOAD if projects.is_upload(given) and Path(given).resolve() == folder.resolve() else ""


def build_demo(demo: DemoFolder, progress: Report, say: Say) -> None:
    """Build a demo's workspace; one that is damaged or out of date is kept aside and a fresh one built.

    Raises:
        UnknownNameError: If there is no demo of that name.
        UnwritableWorkspaceError: If the user's data folder is read-only or the disk is full.
    """
    project = projects.loaded(demo.name, progress)
    problem = demo.problem() or (_unusable(demo.path, project) if demo.path.exists() else None)
    aside = _set_aside(demo) if problem else None
    if aside is not None:
        say(f"The demo's workspace {problem}; it is kept as {aside.name}, and a fresh one is built.")
    limit = demo_models.DEMOS[demo.name].test_limit
    build(project, demo.path, test_limit=limit, progress=progress, project_ref=f"{DEMO}{demo.name}")
    if aside is not None and (aside / RECORDS).is_file():
        with explained(demo.path):
            shutil.copy2(aside / RECORDS, demo.path)  # what people saved goes on with the fresh one
    write_text(demo.note, demo.contents())


def _unusable(folder: Path, project: Project) -> str | None:
    """Why a half-built demo cannot be gone on with."""
    try:
        if read_record(folder / "manifest.json", Manifest).fingerprint != fingerprint(project):
            return "holds another model or other data"
        check_files(folder)
    except WorkspaceError:
        return "is damaged"
    return None


def _set_aside(demo: DemoFolder) -> Path:
    names = (demo.path.with_name(f"{demo.name}.old-{i}") for i in count(1))
    aside = next(path for path in names if not path.exists())
    with explained(demo.path):
        demo.path.rename(aside)
        demo.note.unlink(missing_ok=True)
    return aside
