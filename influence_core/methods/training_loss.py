"""The loss of each training example: the plainest way to find odd ones, and the same for every prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from influence_core.methods.base import Tensors, Tick
from influence_core.methods.baseline import Asked, BaselineAttributor, BaselineFit
from influence_core.project import Project
from influence_core.readings import Reading


@dataclass(frozen=True)
class TrainingLoss:
    """Loss of the training example above the mean of all."""

    name: ClassVar[str] = "loss"
    title: ClassVar[str] = "Training loss (baseline)"
    cost: ClassVar[str] = "One pass over the training data"
    limits: ClassVar[str] = "Any model; no prediction of a refit; the same ranking for every prediction"
    reading: ClassVar[Reading] = Reading(
        unit="{} above the mean",
        sentence="A baseline: each training example's own loss, the same for every prediction; it predicts no refit.",
        positive="high loss",
        negative="low loss",
        meaning="Positive = high loss: the loss of the training example itself is above the mean of all.",
        for_any_target=True,
    )
    is_direct: ClassVar[bool] = False
    is_estimate: ClassVar[bool] = False
    is_one_by_one: ClassVar[bool] = False
    damping: ClassVar[float] = 0.0
    curvature: ClassVar[str] = "none"

    def prepare(self, project: Project) -> BaselineFit:
        """Check the project and decide how it is computed."""
        return BaselineFit.of(self, project, precision="float64")

    def fit(self, project: Project) -> BaselineAttributor:
        """Run the model over the training data.

        Raises:
            ProjectError: If model, data and task do not fit together.
        """
        return self.prepare(project).fit()

    def learn(self, fitted: BaselineFit, tick: Tick) -> dict[str, Tensor]:
        """The losses."""
        losses = fitted.predictions("train").losses.double()
        tick(1, 1)
        return {"losses": losses}

    def numbers(self, asked: Asked) -> Tensor:
        """The same row for every prediction."""
        losses = asked.learnt["losses"].double()
        return (losses - losses.mean()).expand(len(asked.test_ids), -1)

    def own(self, learnt: Tensors) -> Tensor | None:  # noqa: ARG002  (every baseline is asked the same)
        """None: the number belongs to one example, not to two."""
        return None
