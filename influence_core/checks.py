"""Does this project hang together? Asked before any long work starts."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from influence_core.errors import MethodError, ProjectError, UnknownNameError
from influence_core.gradients import FunctionalModel
from influence_core.project import Project, Split, batches
from influence_core.target import NUMBERED
from influence_core.task import inputs_and_labels

BATCH_DEPENDENCE = {torch.float64: 1e-6, torch.float32: 1e-3}  # relative; rounding stays a thousand times below


def check_project(project: Project) -> None:
    """Raise ProjectError with one sentence at the first thing that does not fit."""
    for split in ("train", "test"):
        _check_split(project, split)
    if any(layer.training for layer in project.model.modules()):
        msg = (
            "The model or a layer is in train mode, where dropout and batch norm change its outputs; call model.eval()."
        )
        raise ProjectError(msg)
    for name, parameter in project.model.named_parameters():
        if not parameter.isfinite().all():
            msg = f"The parameter '{name}' holds NaN or infinity; train the model again with a smaller learning rate."
            raise ProjectError(msg)
    n, named = project.task.n_targets, len(project.class_names)
    if n and named not in (0, n):
        one, many = NUMBERED[project.task.kind]
        msg = f"There are {named} {one} names for {n} {many}; give one a {one}."
        raise ProjectError(msg)
    _check_shapes(project)


def check_test_ids(project: Project, test_ids: Sequence[int]) -> None:
    """Raise UnknownNameError unless these are ids of test examples, at least one."""
    n = len(project.test)
    if not len(test_ids):
        msg = f"No test example is named; give ids from 0 to {n - 1}."
        raise UnknownNameError(msg)
    for test_id in test_ids:
        if not 0 <= test_id < n:
            msg = f"There is no test example {test_id}; ids run from 0 to {n - 1}."
            raise UnknownNameError(msg)


def check_batch_independence(model: FunctionalModel, project: Project) -> None:
    """Raise ProjectError if an example's outputs depend on the batch it is in."""
    n = min(4, len(project.train))
    _, together = next(model.batches(project.train, n, range(n)))
    outputs = model.outputs(model.theta, together)
    for i in range(n):
        _, single = next(model.batches(project.train, 1, [i]))
        alone = model.outputs(model.theta, single)[0]
        change = float((alone - outputs[i]).norm() / (1e-12 + outputs[i].norm()))
        if not change <= BATCH_DEPENDENCE[model.dtype]:
            msg = (
                f"The outputs of row {i} change by {change:.1%} when it is evaluated alone, so examples of a batch "
                "influence each other; use batch norm with running statistics in eval mode, or layer norm."
            )
            raise ProjectError(msg)


def check_derivatives(model: FunctionalModel, project: Project, *, one_by_one: bool) -> None:
    """Raise MethodError if a layer or the loss lacks a derivative that a method needs; tried on one training row.

    Args:
        model: The model as a function of its parameters.
        project: Its data.
        one_by_one: Whether the method needs every example's gradient by itself, which no recurrent layer of torch has.
    """
    _, batch = next(model.batches(project.train, 1, [0]))
    others = "use the method cg, or " if one_by_one else ""
    try:
        if one_by_one:
            model.output_jacobians(batch)
        others = ""
        directions = torch.ones(model.vector.size, 1, dtype=model.dtype)
        model.loss_hessian_products(batch, directions)
        model.loss_gauss_newton_products(batch, directions)
    except RuntimeError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        msg = f"A layer of the model or its loss lacks a derivative ({reason}); {others}write it with plain operations."
        raise MethodError(msg) from error


def _check_split(project: Project, split: Split) -> None:
    n = len(project.split(split))
    if n == 0:
        msg = f"The {split} set is empty; give at least one example."
        raise ProjectError(msg)
    keys = project.train_keys if split == "train" else project.test_keys
    shown = None if project.view is None else (project.view.train if split == "train" else project.view.test)
    for what, given in (
        ("keys", keys if len(keys) else None),
        ("metadata rows", project.metadata(split)),
        ("views", shown),
    ):
        if given is not None and len(given) != n:
            msg = f"There are {len(given)} {split} {what} for {n} examples; give one an example."
            raise ProjectError(msg)


def _check_shapes(project: Project) -> None:
    shapes = {}
    for split in ("train", "test"):
        _, batch = next(batches(project.split(split), 1, [0]))
        inputs, _ = inputs_and_labels(batch)
        shapes[split] = tuple(inputs.shape[1:]) if hasattr(inputs, "shape") else None
    if shapes["train"] != shapes["test"]:
        msg = f"Train inputs have shape {shapes['train']} and test inputs {shapes['test']}; they must be the same."
        raise ProjectError(msg)
