"""The four functions of a task, and what every task shares: how a batch is read and what L2 costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor

from influence_core.errors import ProjectError
from influence_core.target import Kind, Target

Batch = Any  # a tuple, a dict or any other pytree of tensors with a leading batch dimension
Model = Callable[..., Any]
WeightDecay = float | Mapping[str, float]  # of all parameters, or by glob pattern of their names
NOT_INPUTS = ("labels", "weights")


def inputs_and_labels(batch: Batch) -> tuple[Any, Tensor]:
    """Split ``(inputs, labels[, weights])``, or a dict that holds ``labels`` beside the model's keyword arguments."""
    if isinstance(batch, Mapping):
        if "labels" not in batch:
            msg = f"A dict batch needs the key 'labels'; it has {', '.join(map(str, batch))}."
            raise ProjectError(msg)
        return {name: value for name, value in batch.items() if name not in NOT_INPUTS}, batch["labels"]
    inputs, labels = batch[:2]
    return inputs, labels


def relabelled(batch: Batch, labels: Tensor) -> Batch:
    """The batch with other labels."""
    if isinstance(batch, Mapping):
        return {**batch, "labels": labels}
    return (batch[0], labels, *batch[2:])


def row_weights(batch: Batch) -> Tensor | None:
    """Weight of each row's training loss: the third item of a tuple or the key ``weights``; None where all weigh 1."""
    if isinstance(batch, Mapping):
        return batch.get("weights")
    return batch[2] if len(batch) > 2 else None  # noqa: PLR2004  (inputs, labels, weights)


def weighted(losses: Tensor, batch: Batch) -> Tensor:
    """The losses times the rows' weights."""
    weights = row_weights(batch)
    return losses if weights is None else losses * weights


class Task(ABC):
    """Four per-example functions; subclass it only if no ready-made task fits.

    Every function is written for a batch and is differentiated through torch.func, so it must treat the
    examples of a batch independently of each other.
    """

    @property
    def kind(self) -> Kind:
        """What the pages make of its labels and outputs; of a task of your own they show the loss."""
        return "custom"

    def outputs(self, model: Model, batch: Batch) -> Tensor:
        """The model's raw outputs, shape ``(batch, outputs)``."""
        return raw_outputs(model, batch)

    @abstractmethod
    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Training loss of each example, shape ``(batch,)``, without the regulariser."""

    def measurements(self, outputs: Tensor, batch: Batch, target: Target = Target()) -> Tensor:  # noqa: ARG002, B008  (a frozen default; subclasses use it)
        """The number that is explained, one per example, shape ``(batch,)``; by default the loss."""
        return self.losses(outputs, batch)

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """The regulariser as the training objective adds it once, a scalar."""
        return next(iter(parameters.values())).new_zeros(())

    @property
    def n_targets(self) -> int:
        """How many classes, labels or values a target may name by number; 0 where it can name none."""
        return 0


def raw_outputs(model: Model, batch: Batch) -> Tensor:
    """Call the model on a batch: a tensor, the first of a tuple, or the ``logits`` of a dict or model output.

    Raises:
        ProjectError: If none of these comes back.
    """
    inputs, _ = inputs_and_labels(batch)
    result = model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
    if isinstance(result, Mapping) and "logits" not in result:
        msg = (
            f"The model returned a dict with {', '.join(map(str, result)) or 'nothing in it'}, and 'logits' are "
            "needed; return them under that name, or override Task.outputs to pick the right entry."
        )
        raise ProjectError(msg)
    if isinstance(result, Mapping):
        result = result["logits"]
    elif hasattr(result, "logits"):
        result = result.logits
    elif isinstance(result, tuple | list) and len(result):
        result = result[0]
    if not isinstance(result, Tensor):
        msg = (
            f"The model returned a {type(result).__name__}; a tensor of outputs is needed, one row an example. "
            "Override Task.outputs to pick it out of what the model returns."
        )
        raise ProjectError(msg)
    return result


def l2_penalty(parameters: Mapping[str, Tensor], weight_decay: WeightDecay, *, penalise_intercept: bool) -> Tensor:
    """``1/2 sum_j decay_j theta_j^2`` with the decay of each parameter's name."""
    total = next(iter(parameters.values())).new_zeros(())
    for name, parameter in parameters.items():
        decay = decay_of(name, weight_decay, penalise_intercept=penalise_intercept)
        if decay:
            total = total + 0.5 * decay * parameter.square().sum()
    return total


def decay_of(name: str, weight_decay: WeightDecay, *, penalise_intercept: bool) -> float:
    """The decay of one parameter: of the first pattern that matches; names that end in ``bias`` are the intercepts."""
    if not penalise_intercept and name.endswith("bias"):
        return 0.0
    if not isinstance(weight_decay, Mapping):
        return weight_decay
    return next((decay for pattern, decay in weight_decay.items() if fnmatchcase(name, pattern)), 0.0)
