"""Test predictions in a subspace: their gradients along some directions, and how much of them lies outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from influence_core.checks import check_test_ids
from influence_core.gradients import FunctionalModel
from influence_core.predictions import predict
from influence_core.project import Project
from influence_core.rows import OutputRows
from influence_core.target import Target
from influence_core.task import Batch

NUMBERS = 2**25  # of one block of Jacobians or gradients: 256 MB in float64


@dataclass(frozen=True)
class SubspaceTests:
    """Test predictions straight from the model.

    Attributes:
        model: In float64: in float32 the loss of a confident prediction has a gradient of rounding errors.
        project: Its test data.
        directions: Orthonormal columns, shape ``(p, k)``.
    """

    model: FunctionalModel
    project: Project
    directions: Tensor

    def read(self, test_ids: Sequence[int]) -> OutputRows:
        """Outputs, their Jacobians along the directions and the scalar products of the whole Jacobians."""
        check_test_ids(self.project, test_ids)
        seen = predict(self.model, self.project, "test", ids=test_ids)
        outputs = seen.outputs.reshape(len(test_ids), -1)
        inside, grams = [], []
        for batch in self._batches(test_ids, outputs.shape[1]):
            jacobian = self.model.output_jacobians(batch)
            inside.append(jacobian @ self.directions)
            grams.append(jacobian @ jacobian.mT)
        return OutputRows(
            outputs=outputs,
            labels=seen.labels,
            jacobian=torch.cat(inside),
            basis=torch.empty(0, 0, dtype=outputs.dtype),
            gram=torch.cat(grams),
        )

    def gradients(self, test_ids: Sequence[int], target: Target) -> Tensor:
        """Gradient of each measurement along the directions as a column, shape ``(k, m)``."""
        blocks = [whole @ self.directions for whole in self._whole(test_ids, target)]
        return torch.cat(blocks).mT

    def outside(self, test_ids: Sequence[int], target: Target) -> Tensor:
        """Share of each measurement gradient's squared length outside the directions, 0 to 1, shape ``(m,)``."""
        shares = []
        for whole in self._whole(test_ids, target):
            inside = (whole @ self.directions).square().sum(dim=1)
            shares.append(1 - inside / whole.square().sum(dim=1).clamp_min(1e-300))
        return torch.cat(shares).clamp(0, 1)

    def _whole(self, test_ids: Sequence[int], target: Target) -> Iterator[Tensor]:
        """Gradients of the measurements, shape ``(rows, p)`` a block."""
        target.check(self.project.task.kind, self.project.task.n_targets)
        check_test_ids(self.project, test_ids)
        predict(self.model, self.project, "test", ids=test_ids)  # names the first row that does not fit
        for batch in self._batches(test_ids, 1):
            yield self.model.measurement_gradients(batch, target)

    def _batches(self, test_ids: Sequence[int], outputs: int) -> Iterator[Batch]:
        """As many rows at once as keep a block of their derivatives small."""
        rows = max(1, NUMBERS // (outputs * self.model.vector.size))
        for _, batch in self.model.batches(self.project.test, rows, list(test_ids)):
            yield batch
