"""Does this project hang together? Asked before any long work starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from influence_core.errors import MethodError, ProjectError, UnknownNameError
from influence_core.gradients import FunctionalModel
from influence_core.project import Dataset, Project, Split, batches
from influence_core.target import NUMBERED
from influence_core.task import inputs_and_labels

SPLITS: tuple[Split, ...] = ("train", "test")
READ_TWICE = 16  # rows of each split; a coin toss a row is then missed once in 65,000 times
# Relative change that is no rounding of this precision any more
BATCH_DEPENDENCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.bfloat16: 0.1}


def check_project(project: Project) -> None:
    """Raise ProjectError with one sentence at the first thing that does not fit."""
    for check in PROJECT_CHECKS:
        check(project)


def check_train(project: Project) -> None:
    """Raise ProjectError unless there are training rows, with one key, one metadata row and one view each."""
    _check_split(project, "train")


def check_test(project: Project) -> None:
    """The same of the test rows."""
    _check_split(project, "test")


def check_mode(project: Project) -> None:
    """Raise ProjectError if a layer would change its outputs from one call to the next."""
    if any(layer.training for layer in project.model.modules()):
        msg = (
            "The model or a layer is in train mode, where dropout and batch norm change its outputs; call model.eval()."
        )
        raise ProjectError(msg)


def check_finite(project: Project) -> None:
    """Raise ProjectError if a parameter is no number."""
    for name, parameter in project.model.named_parameters():
        if not parameter.isfinite().all():
            msg = f"The parameter '{name}' holds NaN or infinity; train the model again with a smaller learning rate."
            raise ProjectError(msg)


def check_names(project: Project) -> None:
    """Raise ProjectError unless every class, label or value has a name, or none."""
    n, named = project.task.n_targets, len(project.class_names)
    if n and named not in (0, n):
        one, many = NUMBERED[project.task.kind]
        msg = f"There are {named} {one} names for {n} {many}; give one a {one}."
        raise ProjectError(msg)


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


def check_same_rows(project: Project) -> None:
    """Raise ProjectError if a row is not the same when it is read again, as with random augmentation."""
    for split in SPLITS:
        dataset = project.split(split)
        rows = spread(len(dataset), READ_TWICE)
        first, again = ([_read(dataset, row) for row in rows] for _ in range(2))
        changed = [row for row, a, b in zip(rows, first, again, strict=True) if not _is_same(a, b)]
        if changed:
            msg = (
                f"{len(changed)} of {len(rows)} {split} rows that were read twice changed in between, the first of "
                f"them row {changed[0]}; switch off random augmentation, so that a row is always the same."
            )
            raise ProjectError(msg)


def check_same_outputs(model: FunctionalModel, project: Project) -> None:
    """Raise ProjectError if the model's outputs for the same rows change from one call to the next."""
    _, batch = next(model.batches(project.train, 4, range(min(4, len(project.train)))))
    first, again = (model.outputs(model.theta, batch) for _ in range(2))
    change = float((again - first).norm() / (1e-12 + first.norm()))
    if not change <= BATCH_DEPENDENCE[model.dtype]:
        msg = (
            f"The model's outputs for the same rows change by {100 * change:.1f} % from one call to the next; take "
            "what is random out of its forward, such as dropout that ignores model.eval()."
        )
        raise ProjectError(msg)


def spread(n: int, count: int) -> list[int]:
    """At most ``count`` row numbers of ``n``, evenly spaced, the first and the last among them."""
    return sorted({round(i * (n - 1) / max(1, count - 1)) for i in range(count)}) if n > count else list(range(n))


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
                f"The outputs of row {i} change by {100 * change:.1f} % when it is evaluated alone, so examples of a "
                "batch influence each other; use batch norm with running statistics in eval mode, or layer norm."
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


def check_shapes(project: Project) -> None:
    """Raise ProjectError if inputs are texts, or train and test inputs differ in shape."""
    shapes = {}
    for split in SPLITS:
        _, batch = next(batches(project.split(split), 1, [0]))
        inputs, _ = inputs_and_labels(batch)
        if any(isinstance(leaf, str) for leaf in tree_leaves(inputs)):
            msg = (
                f"The {split} inputs are texts and a model takes numbers; let the data set give each text's token "
                "numbers, all of one length, and show the texts with view=TextView(train_texts, test_texts)."
            )
            raise ProjectError(msg)
        shapes[split] = tuple(inputs.shape[1:]) if hasattr(inputs, "shape") else None
    if shapes["train"] != shapes["test"]:
        msg = f"Train inputs have shape {shapes['train']} and test inputs {shapes['test']}; they must be the same."
        raise ProjectError(msg)


def _read(dataset: Dataset, row: int) -> list[Any]:
    _, one = next(batches(dataset, 1, [row]))
    return tree_leaves(one)


def _is_same(first: list[Any], again: list[Any]) -> bool:
    return len(first) == len(again) and all(_is_equal(a, b) for a, b in zip(first, again, strict=True))


def _is_equal(first: Any, again: Any) -> bool:
    if isinstance(first, Tensor) and isinstance(again, Tensor):
        same = first.shape == again.shape and first.dtype == again.dtype
        return same and bool(torch.isclose(first, again, rtol=0, atol=0, equal_nan=True).all())
    return bool(first == again)


PROJECT_CHECKS: tuple[Callable[[Project], None], ...] = (
    check_train,
    check_test,
    check_mode,
    check_finite,
    check_names,
    check_shapes,
    check_same_rows,
)
"""What a project has to be before the model is run; each can be asked by itself once the first two are fine."""
