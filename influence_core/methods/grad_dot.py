"""Product of two gradients: influence with the curvature left out.

Charpiat et al., "Input Similarity from the Neural Network Perspective" (NeurIPS 2019). It says how much a gradient
step on one example moves the measurement of another, at the trained parameters alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from influence_core import scores
from influence_core.errors import MethodError
from influence_core.methods.base import Tensors, Tick, check_counts
from influence_core.methods.baseline import Asked, BaselineAttributor, BaselineFit
from influence_core.methods.directions import along, gradient_norms, measurement_columns
from influence_core.methods.precision import Precision
from influence_core.project import Project
from influence_core.readings import Reading
from influence_core.solvers.iterative import normalised


@dataclass(frozen=True)
class GradDot:
    """``(1/n) grad m . grad loss_i``.

    Attributes:
        rows: Examples in memory at once.
        precision: Of all numbers.
    """

    rows: int = 512
    precision: Precision = "float32"

    name: ClassVar[str] = "grad-dot"
    title: ClassVar[str] = "Gradient product (baseline)"
    cost: ClassVar[str] = "One forward-mode pass over the training data a prediction; nothing is inverted"
    limits: ClassVar[str] = "Any size of model; no prediction of a refit; favours examples with large gradients"
    reading: ClassVar[Reading] = Reading(
        unit="{} per unit of learning rate",
        sentence="A baseline: the product of two gradients, which does not predict what a refit would change.",
    )
    is_direct: ClassVar[bool] = False
    is_estimate: ClassVar[bool] = False
    is_one_by_one: ClassVar[bool] = True
    damping: ClassVar[float] = 0.0
    curvature: ClassVar[str] = "none"

    def prepare(self, project: Project) -> BaselineFit:
        """Check the project and decide how it is computed."""
        check_counts(self, "rows")
        return BaselineFit.of(self, project, self.rows, self.precision)

    def fit(self, project: Project) -> BaselineAttributor:
        """Take the norms of the training gradients.

        Raises:
            ProjectError: If model, data and task do not fit together.
        """
        return self.prepare(project).fit()

    def learn(self, fitted: BaselineFit, tick: Tick) -> dict[str, Tensor]:
        """Norms of the training gradients; none if a layer does not give every example's gradient by itself."""
        try:
            return {"gradient_norms": gradient_norms(*fitted.trunked, fitted.rows, tick)}
        except MethodError:
            return {"gradient_norms": torch.empty(0, dtype=torch.float64)}

    def numbers(self, asked: Asked) -> Tensor:
        """In the measurement's unit per unit of learning rate: a step on the mean loss holds 1/n of each gradient."""
        return scores.scale(products(asked), len(asked.fitted.project.train), asked.target)

    def own(self, learnt: Tensors) -> Tensor | None:
        """``(1/n) |grad loss_i|^2``; None if the norms are not known."""
        norms = learnt["gradient_norms"]
        return scores.self_influence(norms.square(), len(norms)) if len(norms) else None


def products(asked: Asked) -> Tensor:
    """``grad m_t . grad loss_i``, shape ``(m, n_train)``, float64."""
    fitted = asked.fitted
    given = measurement_columns(fitted.in_float64, fitted.project, asked.test_ids, asked.target)
    columns, sizes = normalised(given)
    found = along(*fitted.trunked, columns.to(fitted.model.dtype), fitted.blocks)
    return (found.double() * sizes).mT
