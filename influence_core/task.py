"""What a model is for: its training loss, its measurements and its regulariser.

Train loss, measurement and regulariser are three separate things. The training objective is
``J(theta) = (1/n) sum_i loss_i(theta) + penalty(theta)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812  (the field's name for it)
from torch import Tensor

from influence_core.errors import ProjectError
from influence_core.target import Kind, Target

Batch = Any  # a tuple, a dict or any other pytree of tensors with a leading batch dimension
Model = Callable[..., Any]


def inputs_and_labels(batch: Batch) -> tuple[Any, Tensor]:
    """Split ``(inputs, labels)``, or a dict that holds ``labels`` beside the model's keyword arguments."""
    if isinstance(batch, Mapping):
        if "labels" not in batch:
            msg = f"A dict batch needs the key 'labels'; it has {', '.join(map(str, batch))}."
            raise ProjectError(msg)
        return {name: value for name, value in batch.items() if name != "labels"}, batch["labels"]
    inputs, labels = batch
    return inputs, labels


class Task(ABC):
    """Four per-example functions; subclass it only if neither ready-made task fits.

    Every function is written for a batch and is differentiated through torch.func, so it must treat the
    examples of a batch independently of each other.
    """

    kind: ClassVar[Kind] = "custom"

    def outputs(self, model: Model, batch: Batch) -> Tensor:
        """The model's raw outputs, shape ``(batch, outputs)``."""
        inputs, _ = inputs_and_labels(batch)
        result = model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
        if isinstance(result, Mapping):
            result = result["logits"]
        elif hasattr(result, "logits"):
            result = result.logits
        elif isinstance(result, tuple):
            result = result[0]
        if not isinstance(result, Tensor):
            msg = f"The model returned a {type(result).__name__}; a tensor of outputs is needed, one row an example."
            raise ProjectError(msg)
        return result

    @abstractmethod
    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Training loss of each example, shape ``(batch,)``, without the regulariser."""

    def measurements(self, outputs: Tensor, batch: Batch, target: Target = Target()) -> Tensor:  # noqa: ARG002, B008  (a frozen default; subclasses use it)
        """The number that is explained, one per example, shape ``(batch,)``; by default the loss."""
        return self.losses(outputs, batch)

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """The regulariser as the training objective adds it once, a scalar."""
        return torch.zeros((), dtype=next(iter(parameters.values())).dtype)


def half_squared_norm(parameters: Mapping[str, Tensor], weight_decay: float, *, penalise_intercept: bool) -> Tensor:
    """``weight_decay / 2`` times the squared norm; names that end in ``bias`` are the intercepts."""
    chosen = [p for name, p in parameters.items() if penalise_intercept or not name.endswith("bias")]
    total = sum((p.square().sum() for p in chosen), start=torch.zeros((), dtype=next(iter(parameters.values())).dtype))
    return 0.5 * weight_decay * total


@dataclass(frozen=True)
class ClassificationTask(Task):
    """Cross-entropy over ``n_classes`` logits with an L2 penalty.

    Attributes:
        n_classes: Number of classes; labels run from 0 to ``n_classes - 1``.
        weight_decay: ``R = weight_decay / 2 * ||theta||^2``, torch's and scikit-learn's (``1 / (n C)``) convention.
        penalise_intercept: Whether parameters called ``bias`` are in the penalty.
    """

    n_classes: int
    weight_decay: float = 0.0
    penalise_intercept: bool = True
    kind: ClassVar[Kind] = "classification"

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy in nats."""
        return F.cross_entropy(outputs, inputs_and_labels(batch)[1], reduction="none")

    def measurements(self, outputs: Tensor, batch: Batch, target: Target = Target()) -> Tensor:  # noqa: B008  (frozen)
        """Loss, logit or margin of the target's class."""
        labels = inputs_and_labels(batch)[1]
        chosen = self._classes(outputs, labels, target)
        if target.measure == "loss":
            return F.cross_entropy(outputs, chosen, reduction="none")
        logits = outputs.gather(1, chosen[:, None])[:, 0]
        if target.measure == "logit":
            return logits
        is_chosen = chosen[:, None] == torch.arange(outputs.shape[1])  # one_hot has no vmap rule
        return logits - outputs.masked_fill(is_chosen, -torch.inf).logsumexp(dim=1)

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """L2."""
        return half_squared_norm(parameters, self.weight_decay, penalise_intercept=self.penalise_intercept)

    def _classes(self, outputs: Tensor, labels: Tensor, target: Target) -> Tensor:
        if target.of == "true":
            return labels
        if target.of == "predicted":
            return outputs.argmax(dim=1)
        return torch.full_like(labels, int(target.of))


@dataclass(frozen=True)
class RegressionTask(Task):
    """Squared error ``(z - y)^2`` of one output with an L2 penalty.

    Attributes:
        weight_decay: ``R = weight_decay / 2 * ||theta||^2``.
        penalise_intercept: Whether parameters called ``bias`` are in the penalty.
        unit: The label's unit in words, such as ``euro``; empty if it has none.
    """

    weight_decay: float = 0.0
    penalise_intercept: bool = True
    unit: str = ""
    kind: ClassVar[Kind] = "regression"

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Squared error in squared label units."""
        return (self._values(outputs) - inputs_and_labels(batch)[1].reshape(-1)).square()

    def measurements(self, outputs: Tensor, batch: Batch, target: Target = Target()) -> Tensor:  # noqa: B008  (frozen)
        """The squared error or the predicted value."""
        return self._values(outputs) if target.measure == "value" else self.losses(outputs, batch)

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """L2."""
        return half_squared_norm(parameters, self.weight_decay, penalise_intercept=self.penalise_intercept)

    def _values(self, outputs: Tensor) -> Tensor:
        return outputs.reshape(outputs.shape[0], -1)[:, 0]
