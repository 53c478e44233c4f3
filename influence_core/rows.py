"""What is known of the examples: the training gradients in one of three forms, and the outputs of test predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from influence_core.gradient_rows import DenseRows, GradientRows, KroneckerRows
from influence_core.sharded_rows import ShardedRows, sharded
from influence_core.target import Target
from influence_core.task import Task

__all__ = ["DenseRows", "GradientRows", "KroneckerRows", "OutputRows", "ShardedRows", "rows_from"]


def rows_from(tensors: Mapping[str, Tensor]) -> GradientRows:
    """The rows that a fit made."""
    if any(key.startswith("rows/") for key in tensors):
        return sharded(tensors, "rows")
    if "rows" in tensors:
        return DenseRows(tensors["rows"])
    return KroneckerRows(tensors["inputs"], tensors["factors"])


@dataclass(frozen=True)
class OutputRows:
    """What is known of some test predictions: enough to ask any target of them without the model.

    Attributes:
        outputs: Raw outputs, shape ``(m, c)``.
        labels: True labels, shape ``(m,)``.
        jacobian: Derivative of the outputs by the parameters, shape ``(m, c, p)``; or, of a linear head,
            its inputs, shape ``(m, d)``.
        basis: Output basis of a linear head, shape ``(c, k)``; empty for any other model.
    """

    outputs: Tensor
    labels: Tensor
    jacobian: Tensor
    basis: Tensor

    def gradients(self, task: Task, target: Target) -> Tensor:
        """Gradient of each measurement as a column, shape ``(p, m)``."""
        outputs = self.outputs.double()
        moved: Tensor = torch.func.grad(lambda z: task.measurements(z, (None, self.labels), target).sum())(outputs)
        if self.basis.numel():
            inputs = self.jacobian.double()
            return ((moved @ self.basis.double())[:, :, None] * inputs[:, None, :]).flatten(1).mT
        return torch.einsum("mc,mcp->pm", moved, self.jacobian.double())

    def tensors(self) -> dict[str, Tensor]:
        """For a file."""
        return {
            "outputs": self.outputs,
            "labels": self.labels,
            "jacobian": self.jacobian,
            "basis": self.basis,
        }
