"""Solve a prediction that a run has not solved, with the project's code at hand."""

from __future__ import annotations

from dataclasses import fields
from functools import cached_property

from torch import Tensor

from influence_core.checks import check_test_ids
from influence_core.errors import NewerWorkspaceError
from influence_core.methods import METHODS
from influence_core.methods.base import Attributor, Method
from influence_core.project import Project
from influence_core.store.progress import Report, Ticker
from influence_core.store.row_store import read_stage
from influence_core.store.run import Run
from influence_core.target import Target


class OnDemand:
    """A run's method on the live project; what its fit stored is read, not made again.

    Args:
        run: The run.
        project: The code that it was built from; the caller has compared the fingerprints.
    """

    def __init__(self, run: Run, project: Project) -> None:
        self.run = run
        self.project = project

    def solve(self, test_id: int, target: Target, progress: Report = lambda _: None) -> None:
        """Solve one prediction and keep the answer in the workspace, or in memory if the folder is read-only.

        Args:
            test_id: The prediction.
            target: What is measured of it. Of an exact run the stored measurement answers every other.
            progress: Told every fraction of a second; an exception that it raises stops the solve, and nothing is lost.

        Raises:
            UnknownNameError: If there is no such test example.
            TargetError: If the task cannot measure the target.
            CurvatureError: If the curvature is indefinite under the damping.
        """
        manifest = self.run.manifest
        check_test_ids(self.project, [test_id])
        target.check(manifest.kind, len(manifest.names))
        with Ticker("Looking at the model", progress):
            attributor = self._attributor
        with Ticker("Solving this prediction", progress) as tick:
            kept = attributor.kept([test_id], target, tick)
        self.run.answers.keep(test_id, target, kept)

    @cached_property
    def _attributor(self) -> Attributor:
        fit = self._method().prepare(self.project)
        tensors: dict[str, Tensor] = {}
        for stage in fit.stages:
            tensors |= read_stage(self.run.folder, stage)
        return fit.attributor(tensors)

    def _method(self) -> Method:
        kind, given = METHODS.get(self.run.method), self.run.hyperparameters
        known = set() if kind is None else {one.name for one in fields(kind)}
        unknown = [] if kind is None else sorted(given.keys() - known)
        absent = sorted(known - given.keys())
        if kind is None or unknown:
            what = f"the method '{self.run.method}'" + (f" with {', '.join(unknown)}" if unknown else "")
            msg = (
                f"Run {self.run.id} was made by {what}, which this version does not know, so nothing more can be "
                "solved for it; upgrade influence-dashboard."
            )
            raise NewerWorkspaceError(msg)
        if absent:
            msg = (
                f"Run {self.run.id} was made by an older version, before {self.run.method} had {' and '.join(absent)}, "
                "so nothing more can be solved for it; build it again."
            )
            raise NewerWorkspaceError(msg)
        return kind(**given)
