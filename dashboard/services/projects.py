"""Find the code behind a workspace: a demo's name or ``file.py[:attribute]``, given by the user.

A workspace that was made of an uploaded file needs none: its folder keeps the rows, and our own trainer the model.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType

import demo_models
from dashboard.services.uploads.keeping import recipe_of
from dashboard.services.uploads.training import project_in
from influence_core.errors import InfluenceError, ProjectError
from influence_core.project import Project
from influence_core.store import Manifest, Progress, Workspace
from influence_core.store.describe import fingerprint


def split(reference: str) -> tuple[str, str]:
    """File and attribute; the last colon separates them only if an identifier follows (a drive letter's has none)."""
    file, colon, attribute = reference.rpartition(":")
    return (file, attribute) if colon and file and attribute.isidentifier() else (reference, "project")


def load_project(reference: str) -> Project:
    """The project of a reference.

    Raises:
        ProjectError: If the file is missing, raises, or holds no project of that name.
        UploadError: If it is the folder of an upload that cannot be used.
        UnknownNameError: If it is neither a file nor a demo.
    """
    if is_upload(reference):
        return project_in(Path(reference))
    # a demo's name stays one in a folder that holds something of that name, such as its own workspace
    names_a_file = reference.endswith(".py") or ":" in reference or Path(reference).is_file()
    if reference in demo_models.DEMOS or not names_a_file:
        return demo_models.load(reference)
    file, attribute = split(reference)
    found = getattr(_imported(Path(file).expanduser()), attribute, None)
    if found is None:
        msg = f"{file} has no '{attribute}'; name the project there: `{attribute} = Project(...)`, or write FILE:NAME."
        raise ProjectError(msg)
    if not isinstance(found, Project):
        msg = f"'{attribute}' in {file} is of type {type(found).__name__}; an influence_core.Project is needed."
        raise ProjectError(msg)
    return found


def is_upload(reference: str) -> bool:
    """Whether it is the folder of a workspace that was made of an upload; no demo is called as a path."""
    return reference not in demo_models.DEMOS and recipe_of(Path(reference)) is not None


def loaded(reference: str, progress: Callable[[Progress], None]) -> Project:
    """The project of a reference, with progress; what the user's code prints goes to standard error.

    Raises:
        ProjectError: If the file is missing, raises, or holds no project of that name.
        UnknownNameError: If it is neither a file nor a demo.
    """
    with _told(reference, progress):
        return load_project(reference)


@contextmanager
def _told(reference: str, progress: Callable[[Progress], None]) -> Iterator[None]:
    """Say that code is being imported, which may take a minute; its prints are no result of ours."""
    is_ours = reference in demo_models.DEMOS or is_upload(reference)
    stage = "Data and model" if is_ours else f"Importing {Path(split(reference)[0]).name}"
    progress(Progress(stage, 0, 1, None))
    with redirect_stdout(sys.stderr):
        yield
    progress(Progress(stage, 1, 1, 0.0))


def _imported(file: Path) -> ModuleType:
    if not file.is_file():
        msg = f"There is no project file {file}; give a demo's name or FILE.py[:ATTRIBUTE]."
        raise ProjectError(msg)
    name = f"_project_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        msg = f"{file} is not a Python file; a project file ends in .py."
        raise ProjectError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and torch look a class's module up there
    sys.path.insert(0, str(file.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a script that ends itself is no project file
        del sys.modules[name]
        raise ProjectError(_where(error, file)) from error
    finally:
        sys.path.remove(str(file.resolve().parent))
    return module


def _where(error: Exception | SystemExit, file: Path) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    line = error.lineno if isinstance(error, SyntaxError) else (lines[-1] if lines else None)
    place = f"{file}, line {line}," if line else f"{file}"
    reason = str(error).splitlines()[0] if str(error) else "no message"
    return f"{place} raised {type(error).__name__}: {reason}."


def other_demo(manifest: Manifest) -> str:
    """Why a demo's or an upload's own workspace has no project: what ``of_workspace`` gives None for."""
    if manifest.is_upload:
        return (
            "The uploaded rows in this workspace's folder are missing or altered, or the libraries here train another "
            "model on them; upload the file again."
        )
    name = manifest.called
    return f"The demo {name} of this installation is not the one this workspace was built from; build it again."


def of_workspace(
    workspace: Workspace, given: str | None, progress: Callable[[Progress], None] = lambda _: None
) -> Project | None:
    """The project that made a workspace: what the user gave, a bundled demo, or our trainer's on an upload; else None.

    Raises:
        ProjectError: If the project that was given is another one.
    """
    manifest = workspace.manifest
    if given:
        project = loaded(given, progress)
        if fingerprint(project) != manifest.fingerprint:
            msg = (
                f"The project {given} is not the one this workspace was built from (its model or data differ); "
                "give the original, or build a new workspace."
            )
            raise ProjectError(msg)
        return project
    if manifest.demo:
        project = loaded(manifest.demo, progress)
        return project if fingerprint(project) == manifest.fingerprint else None
    return _uploaded(workspace) if manifest.is_upload else None


def _uploaded(workspace: Workspace) -> Project | None:
    """What our trainer makes of the rows in the folder, whoever put them there; None if it is another model."""
    try:
        project = project_in(workspace.path)
    except InfluenceError:
        return None
    return project if fingerprint(project) == workspace.manifest.fingerprint else None
