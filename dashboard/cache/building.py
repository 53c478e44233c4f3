"""Another run of an open workspace, built on a thread of its own."""

from __future__ import annotations

import atexit

from dashboard.cache.examples import workspace
from dashboard.cache.scores import SOLVING
from dashboard.cache.with_code import code
from dashboard.services import run_builds
from dashboard.services.jobs import Jobs
from dashboard.services.jobs import State as Solve
from dashboard.services.opened import Folder, given_project
from dashboard.services.run_builds import RunOrder

BUILDS: Jobs[RunOrder] = Jobs()


atexit.register(BUILDS.close)


def obstacle_to_builds(folder: Folder, host: str | None) -> str:
    """Why no run can be built here, in a sentence; empty if one can."""
    return run_builds.obstacle(workspace(folder), given_project(), host)


def build_run(folder: Folder, order: RunOrder, session: str) -> None:
    """Begin to build a run, unless that is under way."""
    given = given_project()
    BUILDS.start(order, run_builds.work(order, lambda: code(folder, given), SOLVING), session)


def build_state(order: RunOrder, session: str) -> Solve | None:
    """How far a build is; None if this session did not ask for it."""
    return BUILDS.state(order, session)


def cancel_build(order: RunOrder, session: str) -> None:
    """Stop it; what is done is kept."""
    BUILDS.cancel(order, session)


def dismiss_build(order: RunOrder) -> None:
    """Forget how it ended."""
    BUILDS.dismiss(order)
