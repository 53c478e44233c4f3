"""Test predictions in a subspace that is a product in each layer: no gradient of the size of a weight is formed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from influence_core.checks import check_test_ids
from influence_core.curvature.factored import Rows
from influence_core.curvature.projection import Subspace
from influence_core.predictions import predict
from influence_core.project import Project
from influence_core.rows import OutputRows
from influence_core.target import Target


@dataclass(frozen=True)
class ProjectedTests:
    """Test predictions straight from the model.

    Attributes:
        subspace: Of a model in float64: in float32 the loss of a confident prediction has a gradient of rounding
            errors.
        project: Its test data.
        rows: Gradients in memory at once.
    """

    subspace: Subspace
    project: Project
    rows: int

    def read(self, test_ids: Sequence[int]) -> OutputRows:
        """Outputs, their Jacobians in the subspace (in float32) and the scalar products of the whole Jacobians."""
        check_test_ids(self.project, test_ids)
        seen = predict(self.subspace.factored.model, self.project, "test", ids=test_ids)
        outputs = seen.outputs.reshape(len(test_ids), -1)
        model, inside, grams = self.subspace.factored, [], []
        for _, batch in model.model.batches(self.project.test, max(1, self.rows // outputs.shape[1]), list(test_ids)):
            rows = model.output_rows(batch)
            inside.append(self.subspace.project(rows).transpose(0, 1).float())
            grams.append(_gram(rows))
        return OutputRows(
            outputs=outputs,
            labels=seen.labels,
            jacobian=torch.cat(inside),
            basis=torch.empty(0, 0, dtype=outputs.dtype),
            gram=torch.cat(grams),
        )

    def gradients(self, test_ids: Sequence[int], target: Target) -> Tensor:
        """Gradient of each measurement in the subspace as a column, shape ``(K, m)``."""
        return torch.cat([self.subspace.project(rows)[0] for rows in self._rows(test_ids, target)]).mT

    def outside(self, test_ids: Sequence[int], target: Target) -> Tensor:
        """Share of each measurement gradient's squared length that the projection loses, 0 to 1, shape ``(m,)``."""
        shares = []
        for rows in self._rows(test_ids, target):
            inside = self.subspace.project(rows)[0].square().sum(dim=1)
            shares.append(1 - inside / _gram(rows)[:, 0, 0].clamp_min(1e-300))
        return torch.cat(shares).clamp(0, 1)

    def _rows(self, test_ids: Sequence[int], target: Target) -> Iterator[Rows]:
        """Gradients of the measurements, a block of test predictions at a time."""
        model = self.subspace.factored
        target.check(self.project.task.kind, self.project.task.n_targets)
        check_test_ids(self.project, test_ids)
        predict(model.model, self.project, "test", ids=test_ids)  # names the first row that does not fit
        for _, batch in model.model.batches(self.project.test, self.rows, list(test_ids)):
            yield model.measurement_rows(batch, target)


def _gram(rows: Rows) -> Tensor:
    """Scalar products of the gradients of each example with each other, shape ``(b, r, r)``."""
    return torch.stack([one.gram() for one in rows.values()]).sum(dim=0)
