"""What needs the project's code: refits, and predictions that are not solved yet."""

from __future__ import annotations

import atexit

import streamlit as st

from dashboard.cache.examples import workspace
from dashboard.cache.scores import SOLVING, explanation, is_first
from dashboard.services import (
    projects,
    solving,
)
from dashboard.services import refit as refit_service
from dashboard.services.jobs import Asked, Jobs
from dashboard.services.jobs import State as Solve
from dashboard.services.opened import Folder, Project, Workspace, given_project
from dashboard.services.refit import RefitResult
from dashboard.services.targets import parse

JOBS: Jobs[Asked] = Jobs()


atexit.register(JOBS.close)


def code(folder: Folder, given: str) -> Project | None:
    """The code behind a workspace: what the user gave, or a bundled demo; None if there is neither.

    A run that is added to the workspace changes the folder's stamp, but not the project: it is not imported again.
    """
    return _code(folder.path, workspace(folder).manifest.fingerprint, given)


@st.cache_resource(max_entries=1, show_spinner=False)
def _code(path: str, fingerprint: str, given: str) -> Project | None:  # noqa: ARG001  (part of the key)
    return projects.of_workspace(Workspace(path), given)


@st.cache_resource(max_entries=1, show_spinner="Loading the project …")
def project(folder: Folder, given: str) -> Project | None:
    """The code, with a word on the page while it loads."""
    return code(folder, given)


def obstacle_to_refit(folder: Folder, run_id: str) -> str:
    """Why a refit is not on offer, and what turns it on; empty if it is."""
    opened = workspace(folder)
    run = opened.run(run_id)
    found = project(folder, given_project()) if run.is_linear_head else None  # not loaded to be told no
    return refit_service.obstacle(opened, run, found)


def refit(folder: Folder, run_id: str, asked: tuple[int, str], removed: tuple[int, ...]) -> RefitResult:
    """The change that was predicted beside the change after refitting; ``asked`` is test id and target."""
    return _refit(folder, run_id, asked, removed, is_first(folder, run_id, *asked))


@st.cache_data(max_entries=16, show_spinner="Refitting without the ticked examples …")
def _refit(
    folder: Folder,
    run_id: str,
    asked: tuple[int, str],
    removed: tuple[int, ...],
    is_first: bool,  # noqa: ARG001, FBT001  (part of the key)
) -> RefitResult:
    found, code = explanation(folder, run_id, *asked), project(folder, given_project())
    with SOLVING:
        return refit_service.refit(workspace(folder), code, found, removed)


@st.cache_resource(max_entries=2, show_spinner=False)
def solver(folder: Folder, run_id: str, given: str) -> solving.Solver:
    """What solves predictions of a run that are not stored; made on the worker's thread, as it takes seconds."""
    opened = workspace(folder)
    return solving.solver(opened.manifest, opened.run(run_id), lambda: code(folder, given), SOLVING)


def can_solve(folder: Folder) -> bool:
    """Whether there may be code to solve with; whether it is the right one is known once it is loaded."""
    return solving.is_promised(workspace(folder).manifest, given_project())


def asked(folder: Folder, run_id: str, test_id: int, target: str) -> Asked:
    """What a page asks to be solved."""
    opened = workspace(folder)
    wanted = parse(target, opened.manifest.kind, len(opened.manifest.names))
    return solving.asked(folder.path, opened.run(run_id), test_id, wanted)


def solve(folder: Folder, wanted: Asked, session: str, *, in_background: bool = False) -> None:
    """Begin to solve a prediction, unless that is under way.

    Args:
        folder: Of the workspace.
        wanted: What to solve.
        session: Who asks.
        in_background: Whether there is an answer to look at meanwhile, so that what runs for this session may end.
    """
    given = given_project()
    work = solving.work(lambda: solver(folder, wanted.run_id, given), wanted, SOLVING)
    JOBS.start(wanted, work, session, stop_running=not in_background)


def solve_state(wanted: Asked, session: str) -> Solve | None:
    """How far a solve is; None if this session did not ask for it."""
    return JOBS.state(wanted, session)


def cancel_solve(wanted: Asked, session: str) -> None:
    """Stop a solve."""
    JOBS.cancel(wanted, session)


def marks(folder: Folder, run_id: str, test_ids: list[int]) -> list[str]:
    """Whether each prediction of the list is solved, in words; empty if all are."""
    opened = workspace(folder)
    return solving.marks(opened.run(run_id), test_ids, can_solve=can_solve(folder))
