"""The leave-one-out Newton step: what a prediction would be without each training example, beyond first order.

First-order influence is too small for examples that hold much of their own curvature. Here that curvature is taken out
(rank C, by Woodbury's identity), a step is made, and the prediction is measured at the moved parameters. The formula is
in ``removal/newton_step.py``. Cook, "Detection of Influential Observation in Linear Regression" (1977); Pregibon,
"Logistic Regression Diagnostics" (Annals of Statistics, 1981).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from influence_core.errors import CurvatureError, MethodError
from influence_core.gradients import FunctionalModel
from influence_core.heads import Head
from influence_core.methods.attributor import factor_from
from influence_core.methods.base import Fit, Stage, Tensors, Tick, check_choices, run_stages
from influence_core.methods.exact import Exact, ExactFit
from influence_core.methods.newton_attributor import HeadMoves, ModelMoves, NewtonAttributor
from influence_core.methods.newton_examples import HeadExamples, ModelExamples
from influence_core.predictions import Predictions
from influence_core.project import Project, Split
from influence_core.solvers.damping import AUTO

LARGEST_MOVES = 250_000_000  # training examples x parameters whose moves are kept, 2 GB in float64
STEPS = (1, 2)
QUICK = 20_000_000_000  # n p^2 operations: about two seconds


@dataclass(frozen=True)
class Newton:
    """Take out each training example with its own curvature.

    Attributes:
        damping: Added to the curvature once, as written. 0 is right where the objective is strictly convex.
        curvature: ``hessian``, or ``gauss-newton``, which is never indefinite.
        steps: 1, or 2 for one step more from the remaining objective's gradient at the moved parameters.
    """

    damping: float = 0.0
    curvature: Literal["hessian", "gauss-newton"] = "hessian"
    steps: int = 1

    name: ClassVar[str] = "newton"
    is_direct: ClassVar[bool] = False
    is_estimate: ClassVar[bool] = True
    is_one_by_one: ClassVar[bool] = False
    title: ClassVar[str] = "Leave-one-out Newton step"
    cost: ClassVar[str] = "As exact, and n p^2 operations once, n^2 p more with steps=2; then C products a prediction"
    limits: ClassVar[str] = (
        "Up to about 10,000 attributed parameters; what is no linear head is run for every training example"
    )

    def prepare(self, project: Project) -> NewtonFit:
        """Check the project and decide how it is computed.

        Raises:
            ProjectError: If model, data and task do not fit together.
            MethodError: If the model or, with two steps, the training set is too large.
        """
        check_choices(self)
        if self.steps not in STEPS:
            msg = f"The method newton's steps is {self.steps}; it must be 1 or 2."
            raise MethodError(msg)
        exact = ExactFit.of(Exact(self.damping, self.curvature), project, self.name)
        n, p = len(project.train), exact.model.vector.size
        if self.steps > 1 and n * p > LARGEST_MOVES:
            msg = (
                f"The second Newton step keeps {p:,} parameters' moves for each of {n:,} training examples "
                f"({8 * n * p / 1e9:.0f} GB); use steps=1, or attribute fewer layers with Project(attributed=...)."
            )
            raise MethodError(msg)
        return NewtonFit(self, exact)

    def fit(self, project: Project) -> NewtonAttributor:
        """Fit in memory.

        Raises:
            ProjectError: If model, data and task do not fit together.
            CurvatureError: If the curvature is not positive definite, with all training examples or without one.
        """
        prepared = self.prepare(project)
        return prepared.attributor(run_stages(prepared.stages))


def newton_beside(fit: Fit, tensors: Tensors) -> NewtonAttributor | None:
    """The Newton steps on the curvature of an exact fit of a linear head with a damping that was given, or None.

    None too where they would take more than seconds, or where there is no step without some example.
    """
    if not isinstance(fit, ExactFit) or fit.head is None or fit.method.damping == AUTO:
        return None
    n, p = len(fit.project.train), len(tensors["curvature"])
    if n * p * p > QUICK:
        return None
    newton = NewtonFit(Newton(fit.method.damping, fit.method.curvature), fit)
    try:
        return newton.attributor({**tensors, **newton.stages[-1].compute(tensors, lambda done, total: None)})
    except CurvatureError:
        return None  # one example alone holds some direction: there is no step without it


@dataclass(frozen=True)
class NewtonFit:
    """One project being fitted.

    Attributes:
        method: The hyperparameters.
        exact: The exact curvature that the steps are taken on.
    """

    method: Newton
    exact: ExactFit

    @property
    def project(self) -> Project:
        """What is fitted."""
        return self.exact.project

    @property
    def model(self) -> FunctionalModel:
        """The private copy of its model."""
        return self.exact.model

    @property
    def head(self) -> Head | None:
        """The linear head, if the model is one."""
        return self.exact.head

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Those of exact, then the steps."""
        return (*self.exact.stages, Stage("removal", "Newton steps without each training example", self._removal))

    def predictions(self, split: Split) -> Predictions:
        """What the model says of a split."""
        return self.exact.predictions(split)

    def attributor(self, tensors: Tensors) -> NewtonAttributor:
        """The fitted method, answering from the live model."""
        first = self.exact.attributor(tensors)
        if self.head is not None:
            return NewtonAttributor(first, HeadMoves.of(tensors, first.factor), tensors["newton_own"])
        moves = ModelMoves(self.model, self.project, tensors["newton_moves"])
        return NewtonAttributor(first, moves, tensors["newton_own"])

    def _removal(self, tensors: Tensors, tick: Tick) -> dict[str, Tensor]:
        """Each training example's step, and the change of its own loss.

        Raises:
            CurvatureError: If the curvature is not positive definite without one of them.
        """
        head, steps = self.head, self.method.steps
        examples = (
            ModelExamples(*self.exact.trunked, self.exact.kind) if head is None else HeadExamples.of(head, tensors)
        )
        factor, curvature = factor_from(tensors, self.method.damping), tensors["curvature"]
        trained = examples.trained(factor.solve(torch.ones_like(curvature[0]).diag()))
        drift = trained.gradient() @ trained.inverse
        parts: list[tuple[Tensor, Tensor]] = []
        for removal in examples.removals(trained, steps):
            factors = removal.factors(drift)
            moves = removal.changes(factors) if steps == 1 else removal.second(removal.changes(factors), drift)
            parts.append((factors if head is not None and steps == 1 else moves, examples.own(removal, moves)))
            tick(removal.rows[-1] + 1, trained.n)
        kept, own = (torch.cat(part) for part in zip(*parts, strict=True))
        return {"newton_factors" if head is not None and steps == 1 else "newton_moves": kept, "newton_own": own}
