"""Solve what a run has not solved, outside the browser."""

from __future__ import annotations

from collections.abc import Callable

from dashboard.services import projects
from dashboard.services.explanation import Explained, Question, explain, target_of
from dashboard.services.named import find_test
from influence_core.errors import NotSolvedError
from influence_core.store import OnDemand, Progress, Workspace


def explain_or_solve(
    workspace: Workspace, question: Question, given: str | None, progress: Callable[[Progress], None]
) -> Explained:
    """Ask one question; what is not solved yet is solved first if the project's code is at hand.

    A first answer is refined in the same way, unless the question says that it will do.

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
        found = explain(workspace, question)
        if question.first or not found.answer.is_first:
            return found
        project = projects.of_workspace(workspace, given, progress)
        if project is None:
            return found
    except NotSolvedError:
        project = projects.of_workspace(workspace, given, progress)
        if project is None:
            raise
    run, target = workspace.run(question.run), target_of(workspace.manifest, question)
    OnDemand(run, project).solve(find_test(workspace, question.test), run.solve_for(target), progress)
    return explain(workspace, question)
