"""A direct run's gradients and factor as its folder keeps them: any target, any damping, without the user's code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from influence_core.errors import UnwritableWorkspaceError
from influence_core.methods.attributor import ExactAttributor, factor_from
from influence_core.methods.base import Tests
from influence_core.methods.newton import Newton
from influence_core.methods.newton_attributor import HeadMoves, NewtonAttributor
from influence_core.scores import InfluenceScores
from influence_core.solvers.eigen import Eigen, EigenFactor
from influence_core.store.row_store import in_double, read_rows
from influence_core.store.tensors import read_checked, read_tensors, write_tensors
from influence_core.target import Target
from influence_core.task import Task


@dataclass(frozen=True)
class StoredExact:
    """What a direct run can still be asked.

    Attributes:
        folder: Of the run.
        method: Name of its method.
        damping: Of its stored scores.
        tests: What it keeps of its test predictions.
        task: A task with the project's measurements.
        damping_rule: How the damping was chosen, in words; empty if it was given.
    """

    folder: Path
    method: str
    damping: float
    tests: Tests
    task: Task
    damping_rule: str = ""

    def scores(self, test_id: int, target: Target, damping: float | None) -> InfluenceScores:
        """One solve; a damping in place of the run's own takes the eigenvectors too, once.

        Raises:
            CurvatureError: If the damping leaves the curvature indefinite.
        """
        if self.method == Newton.name:
            return self._newton.scores([test_id], target)
        attributor = self._attributor
        if damping is not None:
            attributor = attributor.with_factor(self._eigen.with_damping(damping))
        return attributor.scores([test_id], target)

    @cached_property
    def _newton(self) -> NewtonAttributor:
        """The Newton steps that a run on a linear head keeps beside its exact curvature."""
        kept = (read_rows(self.folder, "train"), read_checked(self.folder / "removal.safetensors"))
        tensors = in_double({name: tensor for stage in kept for name, tensor in stage.items()})
        first = self._attributor
        return NewtonAttributor(first, HeadMoves.of(tensors, first.factor), tensors["newton_own"])

    @cached_property
    def mean_eigenvalue(self) -> float:
        """Of the undamped curvature, that outside the directions of a subspace included."""
        stored = read_checked(self.folder / "curvature.safetensors")
        return float(stored.get("mean_eigenvalue", stored["curvature"].diagonal().mean()))

    @cached_property
    def _attributor(self) -> ExactAttributor:
        stages = {name: read_checked(self.folder / f"{name}.safetensors") for name in ("curvature", "factor")}
        train, curvature = read_rows(self.folder, "train"), stages["curvature"]["curvature"].double()
        factor = factor_from({name: t.double() for name, t in stages["factor"].items()}, self.damping)
        tensors = {**train, "curvature": curvature}
        made = ExactAttributor.of(self.method, tensors, self.task, self.tests, factor)
        return replace(made, damping_rule=self.damping_rule)

    @cached_property
    def _eigen(self) -> EigenFactor:
        """Made when it is first asked for; kept in the folder where that can be written to."""
        attributor = self._attributor
        if isinstance(attributor.factor, EigenFactor):
            return attributor.factor
        path = self.folder / "cache" / "eigen.safetensors"
        if path.is_file():
            loaded = factor_from(read_tensors(path), 0.0)
            if isinstance(loaded, EigenFactor) and loaded.inverts(attributor.curvature):
                return loaded
        made = Eigen(self.damping).factorise(attributor.curvature)  # a damping that is known to do
        try:
            write_tensors(path, made.tensors())
        except UnwritableWorkspaceError:
            return made  # a read-only workspace keeps it in memory
        return made
