"""Solve what a run has not solved, outside the browser."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import cast

from dashboard.services import projects
from dashboard.services.explanation import Explained, Question, explain
from dashboard.services.named import find_class, find_test
from influence_core.errors import NotSolvedError
from influence_core.store import OnDemand, Progress, Workspace
from influence_core.target import Measure, Target


def explain_or_solve(
    workspace: Workspace, question: Question, given: str | None, progress: Callable[[Progress], None]
) -> Explained:
    """Ask one question; what is not solved yet is solved first if the project's code is at hand.

    Args:
        workspace: The workspace.
        question: What is asked.
        given: The project reference that the user gave; a bundled demo needs none.
        progress: Told every fraction of a second.

    Raises:
        NotSolvedError: If it is not solved and there is no code to solve it with.
        InfluenceError: Whatever else keeps it from being answered.
    """
    try:
        return explain(workspace, question)
    except NotSolvedError:
        progress(Progress("Data and model", 0, 1, None))
        with redirect_stdout(sys.stderr):  # what the user's file prints is no result of ours
            project = projects.of_workspace(workspace.manifest, given)
        if project is None:
            raise
        progress(Progress("Data and model", 1, 1, 0.0))
    manifest = workspace.manifest
    target = Target(cast(Measure, question.measure), find_class(question.target, manifest.kind, manifest.class_names))
    run = workspace.run(question.run)
    if run.method == "exact":
        target = run.target  # from which an exact run answers every other
    OnDemand(run, project).solve(find_test(workspace, question.test), target, progress)
    return explain(workspace, question)
