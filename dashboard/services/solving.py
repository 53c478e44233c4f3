"""Solve a prediction that a run has not stored, while somebody waits for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from dashboard.services.jobs import Asked, Report, Work
from dashboard.services.projects import other_demo
from dashboard.services.turns import Turns
from influence_core.errors import NotSolvedError, ProjectError
from influence_core.project import Project
from influence_core.store import Manifest, OnDemand, Progress, Run
from influence_core.target import Target


class Solver(Protocol):
    """Solves predictions of one run and keeps the answers, so that the run knows them afterwards."""

    def solve(self, test_id: int, target: Target, progress: Report = ...) -> None:
        """Solve one prediction; an exception raised in ``progress`` stops it."""
        ...


def on_demand(run: Run, project: Project) -> Solver:
    """The engine's solver of single predictions."""
    return OnDemand(run, project)


def is_promised(manifest: Manifest, given: str) -> bool:
    """Whether the user gave code, or the workspace is a bundled demo's or an upload's; nothing is loaded to know."""
    return bool(given or manifest.demo or manifest.is_upload)


def asked(workspace: str, run: Run, test_id: int, target: Target) -> Asked:
    """What has to be solved to explain a target: of an exact run the stored one, which answers every other."""
    return Asked(workspace, run.id, test_id, run.solve_for(target))


def solver(manifest: Manifest, run: Run, load: Callable[[], Project | None], turns: Turns) -> Solver:
    """A solver of a run's predictions.

    Args:
        manifest: Of the workspace.
        run: Keeps the answers.
        load: The project's code, or None if there is none that fits.
        turns: Held while the solver is made, not while the code is loaded.

    Raises:
        ProjectError: If the code is not the one that made the workspace.
    """
    project = load()
    if project is None:
        raise ProjectError(other_demo(manifest))
    with turns:
        return on_demand(run, project)


def work(make: Callable[[], Solver], wanted: Asked, turns: Turns) -> Work:
    """What a job does: make the solver, then solve, letting short computations pass between two steps."""

    def solve(report: Report) -> None:
        report(Progress("Loading the project", 0, 0, None))
        found = make()

        def step(progress: Progress) -> None:
            report(progress)
            turns.let_pass()

        report(Progress("Getting ready", 0, 0, None))  # stops here what was cancelled while loading
        with turns:
            found.solve(wanted.test_id, wanted.target, step)

    return solve


def marks(run: Run, test_ids: Sequence[int], *, can_solve: bool) -> list[str]:
    """How test predictions stand; empty if the build has solved all there are.

    ``solved``, ``failed`` (tried, but no answer was reached), ``to do`` (by picking it) or ``none``. Where a run has
    first answers, ``refined`` or ``first`` in place of these.
    """
    solved = set(run.solved.tolist())
    if len(solved) == run.manifest.n_test:
        return []
    known = "refined" if run.has_first else "solved"
    other = "to do" if can_solve else "none"
    return [known if i in solved else _mark(run, i, known, other) for i in test_ids]


def _mark(run: Run, test_id: int, known: str, other: str) -> str:
    """Of a prediction that somebody asked for, or that the build tried."""
    if run.is_first(test_id):
        return "first"
    try:
        return known if run.scores(test_id).converged else "failed"
    except NotSolvedError:
        return other
