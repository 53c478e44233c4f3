"""What is known of the examples: the training gradients in one of three forms, and the outputs of test predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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


def held(labels: Tensor, outputs: Tensor, target: Target) -> tuple[Tensor, Target]:
    """Labels and a target that measure the class which these outputs predict, also where the outputs change."""
    if target.of != "predicted":
        return labels, target
    return outputs.argmax(dim=1), Target(target.measure, "true")


@dataclass(frozen=True)
class OutputRows:
    """What is known of some test predictions: enough to ask any target of them without the model.

    Attributes:
        outputs: Raw outputs, shape ``(m, c)``.
        labels: True labels, shape ``(m,)``.
        jacobian: Derivative of the outputs by the parameters, shape ``(m, c, p)``; or, of a linear head,
            its inputs, shape ``(m, d)``; or, of a method that works in a subspace, its coordinates there.
        basis: Output basis of a linear head, shape ``(c, k)``; empty for any other model.
        gram: ``J J^T`` of the whole Jacobian, shape ``(m, c, c)``, where ``jacobian`` is of a subspace; else empty.
    """

    outputs: Tensor
    labels: Tensor
    jacobian: Tensor
    basis: Tensor
    gram: Tensor = field(default_factory=lambda: torch.empty(0, device="cpu"))

    def gradients(self, task: Task, target: Target) -> Tensor:
        """Gradient of each measurement as a column, shape ``(p, m)``."""
        moved = self._slopes(task, target)
        if self.basis.numel():
            inputs = self.jacobian.double()
            return ((moved @ self.basis.double())[:, :, None] * inputs[:, None, :]).flatten(1).mT
        return torch.einsum("mc,mcp->pm", moved, self.jacobian.double())

    def some(self, start: int, stop: int) -> OutputRows:
        """A few of them."""
        return replace(
            self,
            outputs=self.outputs[start:stop],
            labels=self.labels[start:stop],
            jacobian=self.jacobian[start:stop],
        )

    def columns(self) -> Tensor:
        """Derivative of each output of a linear head, in its output basis, as a column, shape ``(p, m k)``."""
        inputs, k = self.jacobian.double(), self.basis.shape[1]
        columns = torch.einsum("ab,md->admb", torch.eye(k, dtype=inputs.dtype, device=inputs.device), inputs)
        return columns.reshape(k * inputs.shape[1], -1)

    def measured(self, task: Task, target: Target, outputs: Tensor) -> Tensor:
        """The measurements if these were the outputs, shape ``(..., m, c)`` to ``(..., m)``.

        A target of the predicted class stays with the class that is predicted now.
        """
        labels, target = held(self.labels, self.outputs, target)
        flat = outputs.double().reshape(-1, outputs.shape[-1])
        repeated = labels.repeat(outputs.shape[:-2].numel(), *[1] * (labels.dim() - 1))
        return task.measurements(flat, (None, repeated), target).view(outputs.shape[:-1])

    def rows(self, task: Task, target: Target) -> GradientRows:
        """Gradient of each measurement as a row; of a linear head in factors."""
        if self.basis.numel():
            return KroneckerRows(self.jacobian, self._slopes(task, target) @ self.basis.double())
        return DenseRows(self.gradients(task, target).mT)

    def outside(self, task: Task, target: Target) -> Tensor | None:
        """Share of each measurement gradient's squared length outside the subspace, 0 to 1, shape ``(m,)``."""
        if not self.gram.numel():
            return None
        moved = self._slopes(task, target)
        whole = torch.einsum("mc,mcd,md->m", moved, self.gram.double(), moved).clamp_min(1e-300)
        return (1 - self.gradients(task, target).square().sum(dim=0) / whole).clamp(0, 1)

    def _slopes(self, task: Task, target: Target) -> Tensor:
        """Derivative of each measurement by the outputs, shape ``(m, c)``."""
        with torch.enable_grad():  # not torch.func.grad, whose first call imports 75 MB that a query has no use for
            outputs = self.outputs.detach().double().clone().requires_grad_()
            measured = task.measurements(outputs, (None, self.labels), target).sum()
            return torch.autograd.grad(measured, outputs)[0]

    def tensors(self) -> dict[str, Tensor]:
        """For a file."""
        gram = {"gram": self.gram} if self.gram.numel() else {}
        return {
            **gram,
            "outputs": self.outputs,
            "labels": self.labels,
            "jacobian": self.jacobian,
            "basis": self.basis,
        }
