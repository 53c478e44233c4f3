"""Is the attributed part of a model one linear layer on fixed inputs? Then everything has a closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from influence_core.gradients import FunctionalModel
from influence_core.predictions import Predictions, predict
from influence_core.project import Project, Split
from influence_core.removal.head_fit import HeadProblem, HeadTask, as_numbers, output_basis, ridge_of
from influence_core.rows import OutputRows
from influence_core.task import ClassificationTask, MultiLabelTask, RegressionTask

READY_MADE = (ClassificationTask, MultiLabelTask, RegressionTask)  # a subclass may have another loss or regulariser
AGREEMENT = 1e-9  # relative, between the closed form and autograd on the first rows


@dataclass(frozen=True)
class Head:
    """A linear layer whose output is the model's output and whose inputs no attributed parameter reaches.

    Attributes:
        layer: The layer within ``model.module``.
        called: Its name there.
        intercept: Whether its bias is attributed with its weight.
        basis: From the layer's coefficients to the task's outputs, shape ``(c, k)``: see ``output_basis``.
        task: One of the ready-made tasks.
    """

    layer: nn.Linear
    called: str
    intercept: bool
    basis: Tensor
    task: HeadTask

    def read(self, model: FunctionalModel, project: Project, split: Split, ids: list[int] | None = None) -> Predictions:
        """Predictions whose ``inputs`` are the layer's, with a last column of ones for the intercept."""
        seen = predict(model, project, split, ids=ids, capture=self.layer)
        if not self.intercept:
            return seen
        ones = seen.inputs.new_ones(len(seen.inputs), 1)
        return replace(seen, inputs=torch.cat([seen.inputs, ones], dim=1))

    def parameters(self, coefficients: Tensor) -> dict[str, Tensor]:
        """Coefficients in the output basis, shape ``(k, d)``, as the layer's parameters by name, or changes of both."""
        whole = coefficients if len(coefficients) == self.layer.out_features else self.basis @ coefficients
        prefix = f"{self.called}." if self.called else ""
        return {f"{prefix}weight": whole[:, : self.layer.in_features], f"{prefix}bias": whole[:, -1]}

    def rows(self, model: FunctionalModel, project: Project, test_ids: Sequence[int]) -> OutputRows:
        """Test predictions with their inputs and the basis: enough to ask any target of them."""
        seen = self.read(model, project, "test", list(test_ids))
        return OutputRows(seen.outputs, seen.labels, seen.inputs, self.basis)

    def objective_gradient(self, inputs: Tensor, factors: Tensor, model: FunctionalModel) -> Tensor:
        """Gradient of the training objective by the parameters, shape ``(p,)``, from all inputs and residuals."""
        weight = self.by_layer(factors).mT @ inputs.to(factors.dtype) / len(inputs)
        return self.flat(weight, model) + model.penalty_gradient()

    def by_layer(self, factors: Tensor) -> Tensor:
        """Residuals in the output basis as derivatives by the layer's outputs, shape ``(n, k)`` to ``(n, outputs)``."""
        return factors if factors.shape[1] == self.layer.out_features else factors @ self.basis.mT

    def flat(self, weight: Tensor, model: FunctionalModel) -> Tensor:
        """A matrix over the layer's outputs and inputs, the intercept last, in the order of the parameters."""
        parts = {"weight": weight[:, : self.layer.in_features].flatten(), "bias": weight[:, -1]}
        return torch.cat([parts[name.rpartition(".")[2]] for name in model.vector.names])

    def problem(self, inputs: Tensor, labels: Tensor, row_weights: Tensor | None = None) -> HeadProblem:
        """The training objective of this head."""
        own = inputs.new_ones(len(inputs)) if row_weights is None else row_weights
        ridge = ridge_of(self.task, inputs.shape[1], self.called, intercept=self.intercept).to(inputs.device)
        labels = as_numbers(self.task, labels)
        return HeadProblem(self.task, inputs.double(), labels, own.double(), ridge, self.basis)


def is_one_layer(model: FunctionalModel) -> bool:
    """Whether one linear layer is attributed: only then can the model be a head."""
    return _only_layer(model) is not None


def head_beside(model: FunctionalModel, project: Project) -> Head | None:
    """The head for refits, of a method that makes no use of it: found in a copy of the model in float64."""
    return find_head(FunctionalModel.of(project), project) if is_one_layer(model) else None


def find_head(model: FunctionalModel, project: Project) -> Head | None:
    """The head, if the model has this form; otherwise None, and the general curvature is used."""
    task = project.task
    layer = _only_layer(model)
    if layer is None or type(task) not in READY_MADE or not isinstance(task, READY_MADE):
        return None
    intercept = any(name.endswith("bias") for name in model.vector.names)
    if layer.bias is not None and not intercept:
        return None
    called = model.vector.names[0].rpartition(".")[0]
    head = Head(layer, called, intercept, output_basis(task, layer.out_features).to(model.device), task)
    return head if _agrees(head, model, project) else None


def _only_layer(model: FunctionalModel) -> nn.Linear | None:
    prefixes = {name.rpartition(".")[0] for name in model.vector.names}
    if len(prefixes) != 1:
        return None
    layer = model.module.get_submodule(prefixes.pop())
    return layer if isinstance(layer, nn.Linear) and any(n.endswith("weight") for n in model.vector.names) else None


def _agrees(head: Head, model: FunctionalModel, project: Project) -> bool:
    """Compare the closed-form gradient with autograd on a few rows: catches tied weights and layers used twice."""
    rows = list(range(min(3, len(project.train))))
    _, batch = next(model.batches(project.train, len(rows), rows))
    seen = head.read(model, project, "train", rows)
    if seen.inputs.shape != (len(rows), head.layer.in_features + head.intercept):
        return False  # the layer is not called as a module, or not on one vector a row
    problem = head.problem(seen.inputs, seen.labels, seen.weights)
    factors = head.by_layer(problem.residuals(seen.outputs.reshape(len(rows), -1)))
    weight = factors[:, :, None] * seen.inputs[:, None, :]
    closed = torch.stack([head.flat(one, model) for one in weight])
    exact = model.loss_gradients(batch)
    return bool((closed - exact).norm() <= AGREEMENT * (1e-6 + exact.norm()))
