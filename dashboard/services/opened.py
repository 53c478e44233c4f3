"""Which workspace is open: found by a link's name or by the path the command line gave."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dashboard.services import catalogue
from influence_core.errors import NotSolvedError
from influence_core.project import Project
from influence_core.store import Example, Run, Workspace
from influence_core.target import Target

__all__ = [
    "Example",
    "Folder",
    "NotSolvedError",
    "Project",
    "Run",
    "Target",
    "Workspace",
    "find",
    "given_project",
    "names",
]

WORKSPACE = "INFLUENCE_WORKSPACE"  # the folder that `influence open` serves
PROJECT = "INFLUENCE_PROJECT"  # the code that `influence open --project` allows to run


@dataclass(frozen=True)
class Folder:
    """A workspace's folder as caches know it.

    Attributes:
        name: In the catalogue and in links.
        path: Of the folder.
        stamp: Changes with its content.
    """

    name: str
    path: str
    stamp: str


def find(name: str) -> Folder | None:
    """The folder of a link; without a name the one that is served, else the last one that still exists.

    Raises:
        UnknownNameError: If the catalogue does not know the name.
    """
    served = _served()
    if name or served:
        path = str(catalogue.lookup(name)) if name else os.environ[WORKSPACE]
        return Folder(name or served, path, catalogue.stamp(path))
    known = next((entry for entry in catalogue.recent() if entry.exists), None)
    return Folder(known.name, known.path, catalogue.stamp(known.path)) if known else None


def _served() -> str:
    """Name of the workspace that is served, remembered when it is first asked for; empty if none is."""
    path = os.environ.get(WORKSPACE)
    if not path:
        return ""
    folder = str(Path(path).expanduser().resolve())
    return next((e.name for e in catalogue.recent() if e.path == folder), None) or catalogue.register(folder)


def names() -> list[str]:
    """Workspaces that can be switched to, the last opened first."""
    return [entry.name for entry in catalogue.recent() if entry.exists]


def given_project() -> str:
    """The project reference of the command line; empty if there is none."""
    return os.environ.get(PROJECT, "")
