"""One number, or several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from influence_core.errors import ProjectError
from influence_core.target import Kind, Target
from influence_core.task.base import Batch, Task, WeightDecay, inputs_and_labels, l2_penalty, weighted


@dataclass(frozen=True)
class RegressionTask(Task):
    """Squared error ``(z - y)^2``, the mean over the outputs as torch's ``MSELoss`` takes it, with an L2 penalty.

    Attributes:
        weight_decay: As in ClassificationTask.
        penalise_intercept: Whether parameters called ``bias`` are in the penalty.
        unit: The label's unit in words, such as ``euro``; empty if it has none.
        n_outputs: Number of values an example has; with more than one its label is a vector.
        loss: ``loss(outputs, labels) -> losses`` of shape ``(batch,)`` instead of the squared error, such as Huber's;
            both arguments have shape ``(batch, n_outputs)``. For training only: the squared error is what is measured.
    """

    weight_decay: WeightDecay = 0.0
    penalise_intercept: bool = True
    unit: str = ""
    n_outputs: int = 1
    loss: Callable[[Tensor, Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        if self.n_outputs < 1:
            msg = f"A regression has {self.n_outputs} outputs; give 1 or more."
            raise ProjectError(msg)

    @property
    def kind(self) -> Kind:
        """One value an example, or several."""
        return "regression" if self.n_outputs == 1 else "multioutput"

    @property
    def n_targets(self) -> int:
        """A single output needs no name."""
        return self.n_outputs if self.n_outputs > 1 else 0

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Training loss, by default in squared label units."""
        if self.loss is None:
            return weighted(self._squared(outputs, batch).mean(dim=1), batch)
        return weighted(self.loss(*self._columns(outputs, batch)), batch)

    def measurements(self, outputs: Tensor, batch: Batch, target: Target = Target()) -> Tensor:  # noqa: B008  (frozen)
        """The squared error or a predicted value: of all outputs together, or of the one that the target names."""
        of = 0 if target.of == "true" else int(target.of)
        if target.measure == "value":
            return outputs.reshape(outputs.shape[0], -1)[:, of]
        squared = self._squared(outputs, batch)
        return squared.mean(dim=1) if target.of == "true" else squared[:, of]

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """L2."""
        return l2_penalty(parameters, self.weight_decay, penalise_intercept=self.penalise_intercept)

    def _squared(self, outputs: Tensor, batch: Batch) -> Tensor:
        values, labels = self._columns(outputs, batch)
        return (values - labels).square()

    def _columns(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        rows = outputs.shape[0]
        return outputs.reshape(rows, -1), inputs_and_labels(batch)[1].reshape(rows, -1)
