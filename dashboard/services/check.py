"""Try on a few rows everything that a build needs, and say in sentences what is wrong and how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dashboard.services import check_costs, check_model, check_optimum, check_rows, projects
from dashboard.services.findings import Checked, Finding, attempt
from influence_core.gradients import FunctionalModel
from influence_core.project import Project
from influence_core.store import Progress

Report = Callable[[Progress], None]
Step = Callable[[str], None]


def check(reference: str, progress: Report) -> Checked:
    """Look at a project; every problem is listed that can be told apart from the others.

    Raises:
        ProjectError: If the file holds no project at all.
        UnknownNameError: If it is neither a file nor a demo.
    """
    project = projects.loaded(reference, progress)
    stages: list[str] = []

    def step(stage: str) -> None:
        for before in stages[-1:]:
            progress(Progress(before, 1, 1, 0.0))
        stages.append(stage)
        progress(Progress(stage, 0, 1, None))

    found = list(findings(project, step))
    progress(Progress(stages[-1], 1, 1, 0.0))
    return Checked(project.name, found)


def findings(project: Project, step: Step = lambda _: None) -> Iterator[Finding]:
    """All of them, in an order in which a reader mends them; ``step`` is told what is done next."""
    step("Reading a few rows")
    of_rows = list(check_rows.findings(project))
    yield from of_rows
    if {finding.about for finding in of_rows if finding.mark == "problem"} & check_rows.BLOCKING:
        return  # what the model makes of such rows or weights would be no news
    model = attempt("model", lambda: FunctionalModel.of(check_model.in_eval_mode(project)))
    if isinstance(model, Finding):
        yield model
        return
    step("Running the model")
    trial = check_model.Trial(project, model)
    steady = not any(finding.mark == "problem" and finding.about == "same rows" for finding in of_rows)
    of_model = _new(check_model.findings(trial, rows_are_steady=steady), of_rows)
    yield from of_model
    if not steady or any(finding.mark == "problem" for finding in of_model):
        return
    step("Gradient of the training objective")
    yield from check_optimum.findings(trial)
    step("Time and memory of each method")
    yield from check_costs.findings(trial)


def _new(found: Iterator[Finding], earlier: list[Finding]) -> list[Finding]:
    """Without what was said before: a row that cannot be read is met by every look at it."""
    said = {finding.sentence for finding in earlier}
    kept = []
    for finding in found:
        if finding.sentence not in said:
            kept.append(finding)
            said.add(finding.sentence)
    return kept
