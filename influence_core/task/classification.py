"""One class out of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812  (the field's name for it)
from torch import Tensor

from influence_core.errors import ProjectError
from influence_core.target import Kind, Target
from influence_core.task.base import (
    Batch,
    Model,
    Task,
    WeightDecay,
    inputs_and_labels,
    l2_penalty,
    raw_outputs,
    weighted,
)

Link = Literal["softmax", "one-vs-rest"]
BINARY = 2


@dataclass(frozen=True)
class ClassificationTask(Task):
    """Cross-entropy over ``n_classes`` logits with an L2 penalty.

    What is measured is always the plain cross-entropy of the prediction in nats (or its logit or margin): class
    weights, row weights, label smoothing and a loss of your own belong to the training objective alone.

    Attributes:
        n_classes: Number of classes; labels run from 0 to ``n_classes - 1``. With two, the model may give one
            logit ``z`` a row; it is read as ``-z/2`` and ``z/2``, whose margin is ``z``.
        weight_decay: ``R = weight_decay / 2 * ||theta||^2``, torch's and scikit-learn's (``1 / (n C)``) convention;
            or one number for each glob pattern of parameter names, the first match counts, the others get none.
        penalise_intercept: Whether parameters called ``bias`` are in the penalty.
        class_weights: Factor on the training loss of each class's examples; empty for none. torch's weighted mean
            divides by the weights' sum: give ``n * weights / sum of the rows' weights`` to match it.
        label_smoothing: Share of the training target that is spread over all classes.
        link: ``softmax``, or ``one-vs-rest``: a logistic loss a class, as scikit-learn's SGDClassifier has it;
            probabilities are then the normalised sigmoids and ``class_weights`` weigh a class against its rest.
        loss: ``loss(outputs, labels) -> losses`` of shape ``(batch,)`` instead of the cross-entropy, such as a focal
            loss; class weights and smoothing are then yours to apply.
    """

    n_classes: int
    weight_decay: WeightDecay = 0.0
    penalise_intercept: bool = True
    class_weights: Sequence[float] = ()
    label_smoothing: float = 0.0
    link: Link = "softmax"
    loss: Callable[[Tensor, Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        if len(self.class_weights) not in (0, self.n_classes):
            msg = f"There are {len(self.class_weights)} class weights for {self.n_classes} classes; give one a class."
            raise ProjectError(msg)
        if not 0 <= self.label_smoothing < 1:
            msg = f"The label smoothing is {self.label_smoothing}; it must be 0 or more and below 1."
            raise ProjectError(msg)
        if self.loss is not None and (len(self.class_weights) or self.label_smoothing):
            msg = "A loss of your own comes with class_weights or label_smoothing; apply these inside the loss."
            raise ProjectError(msg)
        if self.link == "one-vs-rest" and self.label_smoothing:
            msg = "Label smoothing belongs to the softmax link; leave it out, or use a loss of your own."
            raise ProjectError(msg)

    @property
    def kind(self) -> Kind:
        """One class an example."""
        return "classification"

    @property
    def n_targets(self) -> int:
        """Any class may be the target."""
        return self.n_classes

    def outputs(self, model: Model, batch: Batch) -> Tensor:
        """One logit a class; a single logit of a binary model is read as two."""
        raw = raw_outputs(model, batch)
        if self.n_classes == BINARY and (raw.dim() == 1 or raw.shape[1:] == (1,)):
            half = raw.reshape(-1, 1) / 2
            return torch.cat([-half, half], dim=1)
        return raw

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Training loss in nats."""
        labels = inputs_and_labels(batch)[1]
        if self.loss is not None:
            return weighted(self.loss(outputs, labels), batch)
        weights = outputs.new_tensor(self.class_weights) if len(self.class_weights) else None
        if self.link == "one-vs-rest":
            each = F.binary_cross_entropy_with_logits(
                outputs, is_class(labels, outputs).to(outputs.dtype), reduction="none", pos_weight=weights
            )
            return weighted(each.sum(dim=1), batch)
        each = F.cross_entropy(outputs, labels, weight=weights, reduction="none", label_smoothing=self.label_smoothing)
        return weighted(each, batch)

    def measurements(self, outputs: Tensor, batch: Batch, target: Target = Target()) -> Tensor:  # noqa: B008  (frozen)
        """Loss, logit or margin of the target's class."""
        labels = inputs_and_labels(batch)[1]
        chosen = self._classes(outputs, labels, target)
        if target.measure == "logit":
            return outputs.gather(1, chosen[:, None])[:, 0]
        scores = self.log_scores(outputs)
        if target.measure == "loss":
            return F.cross_entropy(scores, chosen, reduction="none")
        is_chosen = is_class(chosen, outputs)
        return scores.gather(1, chosen[:, None])[:, 0] - scores.masked_fill(is_chosen, -torch.inf).logsumexp(dim=1)

    def log_scores(self, outputs: Tensor) -> Tensor:
        """What a softmax turns into the class probabilities, shape ``(batch, n_classes)``."""
        return F.logsigmoid(outputs) if self.link == "one-vs-rest" else outputs

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """L2."""
        return l2_penalty(parameters, self.weight_decay, penalise_intercept=self.penalise_intercept)

    def _classes(self, outputs: Tensor, labels: Tensor, target: Target) -> Tensor:
        if target.of == "true":
            return labels
        if target.of == "predicted":
            return outputs.argmax(dim=1)
        return torch.full_like(labels, int(target.of))


def is_class(labels: Tensor, outputs: Tensor) -> Tensor:
    """Whether each row is of each class, shape of the outputs."""
    return labels[:, None] == torch.arange(outputs.shape[1], device=outputs.device)  # one_hot has no vmap rule
