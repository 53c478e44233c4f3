"""Test predictions as a run keeps them: enough to ask any target of them without the user's code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from influence_core.rows import OutputRows
from influence_core.store.manifest import Manifest
from influence_core.store.solved_rows import SolvedRows
from influence_core.target import Target
from influence_core.task import ClassificationTask, MultiLabelTask, RegressionTask, Task


@dataclass(frozen=True)
class StoredTests:
    """The test predictions of one run.

    Attributes:
        rows: What the run has solved.
        target: The stored measurement, under which they are found.
        task: Measures them.
    """

    rows: SolvedRows
    target: Target
    task: Task

    def read(self, test_ids: Sequence[int]) -> OutputRows:
        """What is stored of some test predictions."""
        found = [one for one in (self.rows.find(i, self.target) for i in test_ids) if one is not None]
        names = ["outputs", "labels", "jacobian"] + (["gram"] if "gram" in found[0].tensors else [])
        parts = {name: torch.stack([one.tensors[name][one.row] for one in found]) for name in names}
        return OutputRows(**parts, basis=found[0].tensors["basis"])

    def gradients(self, test_ids: Sequence[int], target: Target) -> Tensor:
        """Gradient of each measurement as a column."""
        return self.read(test_ids).gradients(self.task, target)

    def outside(self, test_ids: Sequence[int], target: Target) -> Tensor | None:
        """Share of each measurement gradient's squared length that the method leaves out; None if nothing."""
        return self.read(test_ids).outside(self.task, target)


def measuring_task(manifest: Manifest) -> Task:
    """A task with the measurements of the project's own; its training loss is not known."""
    n = len(manifest.names)
    if manifest.kind in ("regression", "multioutput"):
        return RegressionTask(unit=manifest.label_unit, n_outputs=max(1, n))
    return MultiLabelTask(n) if manifest.kind == "multilabel" else ClassificationTask(n, link=manifest.link)
