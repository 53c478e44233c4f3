"""Gradients of many examples, kept in the smallest form that answers exactly.

A linear head keeps its inputs and residuals (``n d + n k`` numbers), any other small model its gradients (``n p``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from influence_core.target import Target
from influence_core.task import Task


class GradientRows(Protocol):
    """The loss gradients of the training examples, one row each."""

    def __len__(self) -> int:
        """The number of examples."""
        ...

    def dot(self, vectors: Tensor) -> Tensor:
        """Every gradient times every column, shape ``(p, m)`` to ``(n, m)``."""
        ...

    def dense(self, start: int, stop: int) -> Tensor:
        """Some gradients in full, shape ``(stop - start, p)``."""
        ...


@dataclass(frozen=True)
class KroneckerRows:
    """Gradients ``factors_i (x) inputs_i`` of a linear head, output-major.

    Attributes:
        inputs: Shape ``(n, d)``.
        factors: Derivative of the loss by the outputs in the output basis, shape ``(n, k)``.
    """

    inputs: Tensor
    factors: Tensor

    def __len__(self) -> int:
        """The number of examples."""
        return len(self.inputs)

    def dot(self, vectors: Tensor) -> Tensor:
        """Every gradient times every column, one output at a time."""
        by_output = vectors.view(self.factors.shape[1], self.inputs.shape[1], -1).to(self.inputs.dtype)
        total = torch.zeros(len(self), vectors.shape[1], dtype=self.inputs.dtype)
        for factor, block in zip(self.factors.to(self.inputs.dtype).unbind(1), by_output, strict=True):
            total.addcmul_(factor[:, None], self.inputs @ block)
        return total

    def dense(self, start: int, stop: int) -> Tensor:
        """Some gradients in full."""
        factors, inputs = self.factors[start:stop], self.inputs[start:stop].to(self.factors.dtype)
        return (factors[:, :, None] * inputs[:, None, :]).flatten(1)


@dataclass(frozen=True)
class DenseRows:
    """Gradients in full.

    Attributes:
        rows: Shape ``(n, p)``.
    """

    rows: Tensor

    def __len__(self) -> int:
        """The number of examples."""
        return len(self.rows)

    def dot(self, vectors: Tensor) -> Tensor:
        """Every gradient times every column."""
        return self.rows @ vectors.to(self.rows.dtype)

    def dense(self, start: int, stop: int) -> Tensor:
        """Some gradients in full."""
        return self.rows[start:stop]


def rows_from(tensors: Mapping[str, Tensor]) -> GradientRows:
    """The rows that a fit stored."""
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
    gram: Tensor = field(default_factory=lambda: torch.empty(0))

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
        columns = torch.einsum("ab,md->admb", torch.eye(k, dtype=inputs.dtype), inputs)
        return columns.reshape(k * inputs.shape[1], -1)

    def measured(self, task: Task, target: Target, outputs: Tensor) -> Tensor:
        """The measurements if these were the outputs, shape ``(..., m, c)`` to ``(..., m)``.

        A target of the predicted class stays with the class that is predicted now.
        """
        labels, target = held(self.labels, self.outputs, target)
        flat = outputs.double().reshape(-1, outputs.shape[-1])
        repeated = labels.repeat(outputs.shape[:-2].numel(), *[1] * (labels.dim() - 1))
        return task.measurements(flat, (None, repeated), target).view(outputs.shape[:-1])

    def outside(self, task: Task, target: Target) -> Tensor | None:
        """Share of each measurement gradient's squared length outside the subspace, 0 to 1, shape ``(m,)``."""
        if not self.gram.numel():
            return None
        moved = self._slopes(task, target)
        whole = torch.einsum("mc,mcd,md->m", moved, self.gram.double(), moved).clamp_min(1e-300)
        return (1 - self.gradients(task, target).square().sum(dim=0) / whole).clamp(0, 1)

    def _slopes(self, task: Task, target: Target) -> Tensor:
        """Derivative of each measurement by the outputs, shape ``(m, c)``."""
        moved: Tensor = torch.func.grad(lambda z: task.measurements(z, (None, self.labels), target).sum())(
            self.outputs.double()
        )
        return moved

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
