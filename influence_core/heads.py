"""Is the attributed part of a model one linear layer on fixed inputs? Then everything has a closed form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from influence_core.curvature.linear_head import contrasts
from influence_core.gradients import FunctionalModel
from influence_core.predictions import Predictions, predict
from influence_core.project import Project, Split
from influence_core.removal.head_fit import HeadProblem, ridge_of
from influence_core.task import ClassificationTask, RegressionTask

AGREEMENT = 1e-9  # relative, between the closed form and autograd on the first rows


@dataclass(frozen=True)
class Head:
    """A linear layer whose output is the model's output and whose inputs no attributed parameter reaches.

    Attributes:
        layer: The layer within ``model.module``.
        intercept: Whether its bias is attributed with its weight.
        basis: Orthonormal basis of the outputs, shape ``(c, k)``: the class contrasts, or 1 in regression.
        task: One of the two ready-made tasks.
    """

    layer: nn.Linear
    intercept: bool
    basis: Tensor
    task: ClassificationTask | RegressionTask

    def read(self, model: FunctionalModel, project: Project, split: Split, ids: list[int] | None = None) -> Predictions:
        """Predictions whose ``inputs`` are the layer's, with a last column of ones for the intercept."""
        seen = predict(model, project, split, ids=ids, capture=self.layer)
        if not self.intercept:
            return seen
        ones = torch.ones(len(seen.inputs), 1, dtype=seen.inputs.dtype)
        return Predictions(seen.outputs, seen.labels, seen.losses, torch.cat([seen.inputs, ones], dim=1))

    def problem(self, inputs: Tensor, labels: Tensor) -> HeadProblem:
        """The convex training objective of this head."""
        ridge = ridge_of(
            inputs.shape[1],
            self.task.weight_decay,
            intercept=self.intercept,
            penalise_intercept=self.task.penalise_intercept,
        )
        softmax = isinstance(self.task, ClassificationTask)
        labels = labels if softmax else labels.double().reshape(-1)
        return HeadProblem(inputs.double(), labels, ridge, self.basis, softmax)


def is_one_layer(model: FunctionalModel) -> bool:
    """Whether one linear layer is attributed: only then can the model be a head."""
    return _only_layer(model) is not None


def find_head(model: FunctionalModel, project: Project) -> Head | None:
    """The head, if the model has this form; otherwise None, and the general curvature is used."""
    task = project.task
    layer = _only_layer(model)
    if layer is None or type(task) not in (ClassificationTask, RegressionTask):
        return None
    if not isinstance(task, ClassificationTask | RegressionTask):
        return None
    intercept = any(name.endswith("bias") for name in model.vector.names)
    if layer.bias is not None and not intercept:
        return None
    basis = contrasts(task.n_classes) if isinstance(task, ClassificationTask) else torch.ones(1, 1).double()
    head = Head(layer, intercept, basis, task)
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
    problem = head.problem(seen.inputs, seen.labels)
    factors = problem.residuals(seen.outputs.reshape(len(rows), -1)) @ head.basis.mT
    weight = factors[:, :, None] * seen.inputs[:, None, :]
    parts = {"weight": weight[:, :, : head.layer.in_features].flatten(1), "bias": weight[:, :, -1]}
    closed = torch.cat([parts[name.rpartition(".")[2]] for name in model.vector.names], dim=1)
    exact = model.loss_gradients(batch)
    return bool((closed - exact).norm() <= AGREEMENT * (1e-6 + exact.norm()))
