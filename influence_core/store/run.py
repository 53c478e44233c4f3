"""One stored run, answered without the user's code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from influence_core.errors import (
    DamagedWorkspaceError,
    NotSolvedError,
    TargetError,
    UnknownNameError,
    UnwritableWorkspaceError,
)
from influence_core.evaluation.agreement import Check
from influence_core.methods import METHODS
from influence_core.methods.attributor import ExactAttributor, factor_from
from influence_core.report import FitReport
from influence_core.rows import OutputRows
from influence_core.scores import InfluenceScores, unit
from influence_core.solvers.base import check_damping
from influence_core.solvers.eigen import Eigen, EigenFactor
from influence_core.store.files import check_sum
from influence_core.store.manifest import Manifest, ReportRecord, RunRecord, read_record
from influence_core.store.shards import Shard, shards_of
from influence_core.store.tensors import read_tensors, write_tensors
from influence_core.target import Target
from influence_core.task import ClassificationTask, RegressionTask, Task


@dataclass(frozen=True)
class Run:
    """A complete run of a workspace. Everything is read from its folder, memory-mapped, on first use."""

    folder: Path
    manifest: Manifest

    @property
    def id(self) -> str:
        """Hash of the method, its hyperparameters, its measurement and the project."""
        return self.folder.name

    @cached_property
    def record(self) -> RunRecord:
        """Method, hyperparameters and measurement."""
        check_sum(self.folder / "run.json")
        return read_record(self.folder / "run.json", RunRecord)

    @cached_property
    def _report(self) -> ReportRecord:
        return read_record(self.folder / "report.json", ReportRecord)

    @property
    def report(self) -> FitReport:
        """How the method was fitted and how far it got."""
        return self._report.fit

    @property
    def check(self) -> Check | None:
        """How the scores compare with refits; None if that was not checked."""
        return self._report.check

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.record.method

    @property
    def title(self) -> str:
        """The method in words."""
        return METHODS[self.method].title

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Of the method."""
        return dict(self.record.hyperparameters)

    @property
    def damping(self) -> float:
        """Of the stored scores."""
        return float(self.record.hyperparameters["damping"])

    @property
    def curvature(self) -> str:
        """Which curvature was inverted."""
        return str(self.record.hyperparameters["curvature"])

    @property
    def target(self) -> Target:
        """The stored measurement."""
        return self.record.target

    @property
    def n_train(self) -> int:
        """Number of training examples."""
        return self.manifest.n_train

    @property
    def is_linear_head(self) -> bool:
        """Whether refits are quick and convex."""
        return self.manifest.is_linear_head

    @property
    def solved(self) -> np.ndarray:
        """Test ids with stored scores, most worth explaining first."""
        return np.array(self.record.order[: self._report.solved], dtype=np.int64)

    def scores(self, test_id: int, target: Target | None = None, damping: float | None = None) -> InfluenceScores:
        """Scores of one test prediction against every training example.

        The stored measurement under the stored damping is read; anything else takes one solve (another damping
        the eigenvectors too, once).

        Raises:
            UnknownNameError: If there is no such test example.
            NotSolvedError: If it is not among the solved ones.
            TargetError: If the target cannot be measured.
            CurvatureError: If the damping leaves the curvature indefinite.
        """
        target = target or self.target
        check_damping(self.damping if damping is None else damping)
        target.check(self.manifest.kind, len(self.manifest.class_names))
        shard, row = self._stored(self._place(test_id))
        if target == self.target and damping in (None, self.damping):
            return self._stored_scores(test_id, shard["scores"][row])
        if self.manifest.kind == "custom":
            msg = (
                f"This project has a task of its own, so only the stored measurement ({self.target.measure}) is known."
            )
            raise TargetError(msg)
        attributor = self._attributor
        if damping is not None and damping != self.damping:
            attributor = attributor.with_factor(self._eigen.with_damping(damping))
        return attributor.scores([test_id], target)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Stored scores of test ids ``start`` to ``stop``, shape ``(stop - start, n_train)``; NaN where not solved."""
        block = np.full((stop - start, self.n_train), np.nan, dtype=np.float32)
        for test_id in range(start, stop):
            place = self._places.get(test_id)
            if place is not None:
                shard, row = self._stored(place)
                block[test_id - start] = shard["scores"][row].numpy()
        return block

    def influenced(self, train_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Test ids and this training example's score for each, the stored measurement, in the order of ``solved``."""
        if not 0 <= train_id < self.n_train:
            msg = f"There is no training example {train_id}; ids run from 0 to {self.n_train - 1}."
            raise UnknownNameError(msg)
        columns = [self._file(shard.path)["scores"][:, train_id] for shard in self._shards]
        return self.solved, torch.cat(columns)[: len(self.solved)].double().numpy()

    def self_influence(self) -> np.ndarray:
        """Self-influence of every training example, shape ``(n_train,)``."""
        values: np.ndarray = self._file(self.folder / "self-influence.safetensors")["self_influence"].numpy()
        return values

    def read(self, test_ids: Sequence[int]) -> OutputRows:
        """What is stored of some test predictions."""
        known = [self._stored(self._place(i)) for i in test_ids]
        names = ("outputs", "labels", "jacobian")
        parts = {name: torch.stack([shard[name][row] for shard, row in known]) for name in names}
        return OutputRows(**parts, basis=known[0][0]["basis"])

    def gradients(self, test_ids: Sequence[int], target: Target) -> Tensor:
        """Gradient of each measurement as a column."""
        return self.read(test_ids).gradients(self._task, target)

    @property
    def _task(self) -> Task:
        if self.manifest.kind == "regression":
            return RegressionTask(unit=self.manifest.label_unit)
        return ClassificationTask(len(self.manifest.class_names))

    @cached_property
    def _places(self) -> dict[int, int]:
        return {int(test_id): place for place, test_id in enumerate(self.solved)}

    def _place(self, test_id: int) -> int:
        if not 0 <= test_id < self.manifest.n_test:
            msg = f"There is no test example {test_id}; ids run from 0 to {self.manifest.n_test - 1}."
            raise UnknownNameError(msg)
        if test_id not in self._places:
            project = self.manifest.project_ref.removeprefix("demo:") or "PROJECT"
            needed = self.record.order.index(test_id) + 1
            msg = (
                f"Test example {test_id} is not solved yet ({len(self._places)} of {self.manifest.n_test} are); run "
                f"`influence build {project} --out {self.folder.parent.parent} --test-limit {needed}`."
            )
            raise NotSolvedError(msg)
        return self._places[test_id]

    @cached_property
    def _shards(self) -> list[Shard]:
        shards = [shard for shard in shards_of(self.folder) if shard.start < self._report.solved]
        known = shards[-1].stop if shards else 0
        if known < self._report.solved:
            msg = (
                f"A scores file of run {self.id} is missing (the file that starts at {known}); "
                "build the workspace again, or copy it again from where it came from."
            )
            raise DamagedWorkspaceError(msg)
        return shards

    def _stored(self, place: int) -> tuple[dict[str, Tensor], int]:
        """The shard that holds a place, and the row of it there."""
        shard = next(s for s in self._shards if s.start <= place < s.stop)
        return self._file(shard.path), place - shard.start

    @cached_property
    def _open(self) -> dict[Path, dict[str, Tensor]]:
        return {}

    def _file(self, path: Path) -> dict[str, Tensor]:
        if path not in self._open:
            check_sum(path)
            self._open[path] = read_tensors(path)
        return self._open[path]

    @cached_property
    def _attributor(self) -> ExactAttributor:
        stages = {name: self._file(self.folder / f"{name}.safetensors") for name in ("train", "curvature", "factor")}
        train, curvature = stages["train"], stages["curvature"]["curvature"].double()
        factor = factor_from({name: t.double() for name, t in stages["factor"].items()}, self.damping)
        return ExactAttributor.of({**train, "curvature": curvature}, self._task, self, factor)

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

    def _stored_scores(self, test_id: int, row: Tensor) -> InfluenceScores:
        return InfluenceScores(
            values=row[None].clone(),
            test_ids=(test_id,),
            target=self.target,
            unit=unit(self.target, self.manifest.kind, self.manifest.label_unit),
            method=self.method,
            damping=self.damping,
            residual=self.report.residual,
        )
