"""Check a score by refitting: the change that was predicted beside the change that happened."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from dashboard.services.influence import Explanation
from dashboard.services.projects import other_demo
from influence_core.errors import ProjectError
from influence_core.project import Project, batches
from influence_core.scores import refitted_score
from influence_core.store import Run, Workspace
from influence_core.target import Target

MOST = 20
SEED = 0


@dataclass(frozen=True)
class RefitResult:
    """Both changes have the sign of a score: positive means that the removed examples helped.

    Attributes:
        predicted: Sum of the scores of the removed examples.
        actual: The measured change after refitting without them.
        unit: Of both.
        seconds: How long the refit took.
    """

    predicted: float
    actual: float
    unit: str
    seconds: float


def obstacle(workspace: Workspace, run: Run, project: Project | None) -> str:
    """Why a refit is not on offer, and what turns it on; empty if it is."""
    manifest = workspace.manifest
    if run.reading is not None:
        return f"The method {run.method} predicts no change, so a refit has nothing to check; choose another run."
    if not run.is_linear_head:
        return "Refitting is quick for a single linear layer only, and this model has more than that."
    if project is None and (manifest.demo or manifest.is_upload):
        return other_demo(manifest)
    if project is None:
        return "Refitting needs the project's code: open it with `influence open DIR --project FILE`."
    if project.fit is None:
        return "The project does not say how to fit it again: give it `Project(fit=...)`."
    return ""


def refit(
    workspace: Workspace, project: Project | None, explanation: Explanation, removed: Sequence[int]
) -> RefitResult:
    """Refit without some training examples; the remaining objective keeps its ``1/n``.

    Raises:
        ProjectError: If there is no code to refit with.
    """
    if project is None or project.fit is None:
        msg = "Refitting needs the project's code: open it with `influence open DIR --project FILE`."
        raise ProjectError(msg)
    started = time.perf_counter()
    weights = torch.ones(len(project.train), dtype=torch.float64)
    weights[list(removed)] = 0.0
    refitted = project.fit(project.train, weights, SEED)
    seconds = time.perf_counter() - started
    target = _fixed_class(workspace, explanation)
    before, after = (_measured(project, model, explanation.test_id, target) for model in (project.model, refitted))
    return RefitResult(
        predicted=float(explanation.values[list(removed)].sum()),
        actual=float(refitted_score(before, after, target)),
        unit=explanation.unit,
        seconds=seconds,
    )


def _fixed_class(workspace: Workspace, explanation: Explanation) -> Target:
    """The predicted class is the one of the original model, also if the refitted one changes its mind."""
    target = explanation.target
    if target.of != "predicted":
        return target
    return Target(target.measure, int(workspace.test[explanation.test_id].prediction))


def _measured(project: Project, model: torch.nn.Module, test_id: int, target: Target) -> torch.Tensor:
    _, batch = next(batches(project.test, 1, [test_id]))
    with torch.no_grad():
        outputs = project.task.outputs(model, batch).double()
        return project.task.measurements(outputs, batch, target)[0]
