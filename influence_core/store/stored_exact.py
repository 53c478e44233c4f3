"""A direct run's gradients and factor as its folder keeps them: any target, any damping, without the user's code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from torch import Tensor

from influence_core.errors import UnwritableWorkspaceError
from influence_core.methods.attributor import ExactAttributor, factor_from
from influence_core.methods.base import Tests
from influence_core.methods.newton import Newton
from influence_core.methods.newton_attributor import HeadMoves, NewtonAttributor
from influence_core.rows import OutputRows
from influence_core.scores import InfluenceScores
from influence_core.solvers.eigen import Eigen, EigenFactor
from influence_core.store.row_store import in_double, read_rows
from influence_core.store.tensors import read_checked, read_tensors, write_tensors
from influence_core.strongest import Strongest
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

    def block(self, test_ids: Sequence[int], target: Target) -> Tensor:
        """Scores of several test predictions, shape ``(len(test_ids), n_train)``."""
        return self._attributor.scores(test_ids, target).values

    def strongest(self, test_id: int, target: Target, k: int) -> Strongest:
        """The strongest scores of one test prediction and the histogram of all, by one pass over the rows."""
        return self._attributor.strongest([test_id], target, k)[0]

    def influenced(self, train_id: int, tests: Iterable[OutputRows], target: Target) -> Tensor:
        """The scores of one training example for the test predictions of several shards, shape ``(m,)``."""
        return self._attributor.influenced(train_id, (some.rows(self.task, target) for some in tests), target)

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
        kept = {name: t.double() for name, t in stages["factor"].items()}
        inverse = self.folder / "inverse.safetensors"
        factor = factor_from({**kept, **(read_checked(inverse) if inverse.is_file() else {})}, self.damping)
        made = ExactAttributor.of(self.method, {**train, "curvature": curvature}, self.task, self.tests, factor)
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
