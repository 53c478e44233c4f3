"""Any number of labels out of several, each a yes or no of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch.nn.functional as F  # noqa: N812  (the field's name for it)
from torch import Tensor

from influence_core.errors import ProjectError
from influence_core.target import Kind, Target
from influence_core.task.base import Batch, Task, WeightDecay, inputs_and_labels, l2_penalty, weighted


@dataclass(frozen=True)
class MultiLabelTask(Task):
    """Binary cross-entropy, the mean over ``n_labels`` logits as torch's ``BCEWithLogitsLoss`` takes it, with L2.

    Attributes:
        n_labels: Number of labels; an item's label is a vector of as many zeros and ones.
        weight_decay: As in ClassificationTask.
        penalise_intercept: Whether parameters called ``bias`` are in the penalty.
        positive_weights: Factor on the training loss where a label is 1; empty for none.
        loss: ``loss(outputs, labels) -> losses`` of shape ``(batch,)`` instead, for training only.
    """

    n_labels: int
    weight_decay: WeightDecay = 0.0
    penalise_intercept: bool = True
    positive_weights: Sequence[float] = ()
    loss: Callable[[Tensor, Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        if len(self.positive_weights) not in (0, self.n_labels):
            msg = (
                f"There are {len(self.positive_weights)} positive weights for {self.n_labels} labels; give one a label."
            )
            raise ProjectError(msg)

    @property
    def kind(self) -> Kind:
        """Any number of labels an example."""
        return "multilabel"

    @property
    def n_targets(self) -> int:
        """Any label may be the target."""
        return self.n_labels

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Training loss in nats a label."""
        labels = inputs_and_labels(batch)[1]
        if self.loss is not None:
            return weighted(self.loss(outputs, labels), batch)
        weights = outputs.new_tensor(self.positive_weights) if len(self.positive_weights) else None
        labels = labels.to(outputs.dtype)
        each = F.binary_cross_entropy_with_logits(outputs, labels, reduction="none", pos_weight=weights)
        return weighted(each.mean(dim=1), batch)

    def measurements(self, outputs: Tensor, batch: Batch, target: Target = Target()) -> Tensor:  # noqa: B008  (frozen)
        """Mean loss over the labels, the loss of one label, or its logit."""
        if target.measure == "logit":
            return outputs[:, int(target.of)]
        labels = inputs_and_labels(batch)[1].to(outputs.dtype)
        each = F.binary_cross_entropy_with_logits(outputs, labels, reduction="none")
        return each.mean(dim=1) if target.of == "true" else each[:, int(target.of)]

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """L2."""
        return l2_penalty(parameters, self.weight_decay, penalise_intercept=self.penalise_intercept)
