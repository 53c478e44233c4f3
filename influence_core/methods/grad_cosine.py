"""Cosine of two gradients: the gradient product without the examples' sizes.

Barshan, Brunet and Dziugaite, "RelatIF" (AISTATS 2020), for the reason to leave sizes out: a few examples with large
gradients come first for every prediction otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from influence_core import scores
from influence_core.methods.base import Tensors, Tick, check_counts
from influence_core.methods.baseline import Asked, BaselineAttributor, BaselineFit, quotient
from influence_core.methods.directions import along, gradient_norms, measurement_columns
from influence_core.methods.precision import Precision
from influence_core.project import Project
from influence_core.readings import Reading
from influence_core.solvers.iterative import normalised


@dataclass(frozen=True)
class GradCosine:
    """``grad m . grad loss_i / (|grad m| |grad loss_i|)``, from -1 to 1.

    Attributes:
        rows: Examples in memory at once.
        precision: Of all numbers. In float32 the gradient of an example that the model is sure of is rounding.
    """

    rows: int = 512
    precision: Precision = "float64"

    name: ClassVar[str] = "grad-cosine"
    title: ClassVar[str] = "Gradient cosine (baseline)"
    cost: ClassVar[str] = "Every training gradient once, then one forward-mode pass over the data a prediction"
    limits: ClassVar[str] = "No recurrent layers; no prediction of a refit; says direction, not size"
    reading: ClassVar[Reading] = Reading(
        unit="cosine",
        sentence="A baseline: the cosine of two gradients, which does not predict what a refit would change.",
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
            MethodError: If a layer does not give every example's gradient by itself.
        """
        return self.prepare(project).fit()

    def learn(self, fitted: BaselineFit, tick: Tick) -> dict[str, Tensor]:
        """Norms of the training gradients."""
        return {"gradient_norms": gradient_norms(*fitted.trunked, fitted.rows, tick)}

    def numbers(self, asked: Asked) -> Tensor:
        """The cosine in the sign of a score: positive where a step on the example helps or supports."""
        fitted = asked.fitted
        columns, _ = normalised(measurement_columns(fitted.in_float64, fitted.project, asked.test_ids, asked.target))
        found = along(*fitted.trunked, columns.to(fitted.model.dtype), fitted.blocks).double().mT
        return scores.scale(quotient(found, asked.learnt["gradient_norms"].double()), 1, asked.target)

    def own(self, learnt: Tensors) -> Tensor | None:  # noqa: ARG002  (every baseline is asked the same)
        """None: the cosine of a gradient with itself is 1 for every example."""
        return None
