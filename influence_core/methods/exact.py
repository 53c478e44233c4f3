"""Exact influence: the full curvature, factorised once.

Koh & Liang, "Understanding Black-box Predictions via Influence Functions" (ICML 2017), without approximation of the
inverse. A linear head is solved in closed form on its class contrasts, any other model through torch.func.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Literal

import torch
from torch import Tensor

from influence_core.checks import check_derivatives, check_project, spread
from influence_core.curvature.dense import GaussNewton, Hessian
from influence_core.errors import CurvatureError, MethodError
from influence_core.gradients import FunctionalModel
from influence_core.heads import Head, find_head
from influence_core.memory import SHARE, free_bytes, gigabytes
from influence_core.methods.attributor import ExactAttributor, LiveTests, factor_from, rule_of
from influence_core.methods.base import Stage, Tensors, Tick, check_choices, run_stages, try_rows
from influence_core.methods.seen import seen
from influence_core.placement import number
from influence_core.predictions import Predictions, predict
from influence_core.project import Dataset, Project, Split
from influence_core.removal.objective import ModelObjective, Objective
from influence_core.rows import rows_from
from influence_core.solvers.base import Factor
from influence_core.solvers.cholesky import Cholesky, CholeskyFactor
from influence_core.solvers.damping import AUTO, Chosen, Damping, check, choose
from influence_core.solvers.eigen import Eigen
from influence_core.solvers.inverse import ACCURACY, inverse_of
from influence_core.trunk import with_trunk

LARGEST = 10_000  # parameters; the curvature then takes 800 MB and its factorisation a minute
ROWS = 256
INVERTED = 2_000  # parameters of a head from which queries go by the inverse
SAMPLES = 16  # training gradients on which the inverse is tried


@dataclass(frozen=True)
class Exact:
    """Invert the full curvature.

    Attributes:
        damping: Added to the curvature once, as written. 0 is right where the objective is strictly convex; ``auto``
            takes what the project's recipe of training says, or else 0.1 x the curvature's mean eigenvalue.
        curvature: ``hessian``, or ``gauss-newton``, which is never indefinite.
        indefinite: What to do if the curvature is not positive definite: ``refuse``, or use |H| (``absolute``).
    """

    damping: Damping = 0.0
    curvature: Literal["hessian", "gauss-newton"] = "hessian"
    indefinite: Literal["refuse", "absolute"] = "refuse"

    name: ClassVar[str] = "exact"
    title: ClassVar[str] = "Exact inverse curvature"
    cost: ClassVar[str] = "p^2 memory and p^3 / 3 operations once; then one matrix product a prediction"
    limits: ClassVar[str] = "Up to about 10,000 attributed parameters; first order in the removal"
    is_direct: ClassVar[bool] = True
    is_estimate: ClassVar[bool] = True
    is_one_by_one: ClassVar[bool] = False

    def prepare(self, project: Project) -> ExactFit:
        """Check the project and decide how it is computed.

        Raises:
            ProjectError: If model, data and task do not fit together.
            MethodError: If the model has too many parameters.
        """
        check_choices(self)
        return ExactFit.of(self, project)

    def fit(self, project: Project) -> ExactAttributor:
        """Fit in memory.

        Raises:
            ProjectError: If model, data and task do not fit together.
            CurvatureError: If the curvature is indefinite or singular under the damping.
        """
        return self.prepare(project).fitted


@dataclass(frozen=True)
class ExactFit:
    """One project being fitted.

    Attributes:
        method: The hyperparameters.
        project: What is fitted.
        model: The private copy of its model.
        head: The linear head, if the model is one.
    """

    method: Exact
    project: Project
    model: FunctionalModel
    head: Head | None

    @classmethod
    def of(cls, method: Exact, project: Project, name: str = Exact.name) -> ExactFit:
        """Check the project; ``name`` is the method that needs the exact curvature.

        Raises:
            ProjectError: If model, data and task do not fit together.
            MethodError: If the model has too many parameters.
        """
        check(method.damping)
        check_project(project)
        model = FunctionalModel.of(project)
        if model.vector.size > LARGEST:
            msg = (
                f"The model has {model.vector.size:,} attributed parameters and the {name} method serves up to "
                f"{LARGEST:,}; attribute fewer layers with Project(attributed=...), or use the method cg."
            )
            raise MethodError(msg)
        try_rows(model, project)
        head = find_head(model, project)
        _check_size(model, project, head, name)
        if head is None:
            check_derivatives(model, project, one_by_one=True)
        return cls(method, project, model, head)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Train gradients, curvature, factor; the inverse too where a solve by the factor takes long."""
        is_large = self.head is not None and self.model.vector.size >= INVERTED
        inverse = Stage("inverse", "Inverse for queries", self._inverse, in_double=False)
        return (
            Stage("train", "Gradients of the training examples", self._train, in_double=not is_large),
            Stage("curvature", "Curvature", self._curvature),
            Stage("factor", "Factorisation", self._factor),
            *([inverse] if is_large else []),
        )

    def predictions(self, split: Split) -> Predictions:
        """What the model says of a split."""
        if self.head is not None:
            return predict(self.model, self.project, split)
        return seen(split, self.model, self.project, lambda: self.trunked)

    def attributor(self, tensors: Tensors) -> ExactAttributor:
        """The fitted method, answering from the live model."""
        asked = self.method.damping
        factor = factor_from(tensors, asked)
        made = ExactAttributor.of(self.method.name, tensors, self.project.task, self.tests, factor)
        layers = self.model.vector.layers if self.head is None else {self.head.called: (slice(None),)}
        return replace(made, damping_rule=rule_of(asked, factor), layers=layers)

    @cached_property
    def fitted(self) -> ExactAttributor:
        """The stages run in memory.

        Raises:
            CurvatureError: If the curvature is indefinite or singular under the damping.
        """
        return self.attributor(run_stages(self.stages))

    @cached_property
    def objective(self) -> tuple[Objective, Tensor]:
        """The training objective, and the trained parameters as it takes them: of a head, coefficients ``(k, d)``."""
        if self.head is None:
            model, train = self.trunked
            return ModelObjective(model, train, self.kind), model.theta
        seen = self.head.read(self.model, self.project, "train")
        problem = self.head.problem(seen.inputs, seen.labels, seen.weights)
        return problem, problem.coefficients(self.head.layer)

    def flat(self, change: Tensor) -> Tensor:
        """A change of the objective's parameters as one of the model's, shape ``(p,)``."""
        return change if self.head is None else self.model.vector.flatten(self.head.parameters(change))

    @property
    def tests(self) -> LiveTests:
        """Test predictions straight from the model."""
        return LiveTests(self.model, self.project, self.head)

    @property
    def kind(self) -> type[Hessian] | type[GaussNewton]:
        """Which curvature a model that is no head has."""
        return Hessian if self.method.curvature == "hessian" else GaussNewton

    @cached_property
    def trunked(self) -> tuple[FunctionalModel, Dataset]:
        """The model and its training data in memory if they fit, its frozen trunk run once."""
        return with_trunk(self.model, self.project.train)

    def _train(self, _: Tensors, tick: Tick) -> dict[str, Tensor]:
        if self.head is not None:
            seen = self.head.read(self.model, self.project, "train")
            factors = self.head.problem(seen.inputs, seen.labels, seen.weights).residuals(seen.outputs)
            norm = self.head.objective_gradient(seen.inputs, factors, self.model).norm()
            stored = {
                "inputs": seen.inputs,
                "factors": factors,
                "outputs": seen.outputs,
                "labels": seen.labels,
                "weights": seen.weights,
            }
            return {**stored, "gradient_norm": norm}
        model, train = self.trunked
        self.predictions("train")  # names the first row that does not fit
        norm, n = model.objective_gradient(train).norm(), len(train)
        rows = model.theta.new_empty(n, model.vector.size)
        for ids, batch in model.batches(train, ROWS):
            rows[ids[0] : ids[-1] + 1] = model.loss_gradients(batch)
            tick(ids[-1] + 1, n)
        return {"rows": rows, "gradient_norm": norm}

    def _curvature(self, tensors: Tensors, tick: Tick) -> dict[str, Tensor]:
        if self.head is None:
            return {"curvature": self.kind(*self.trunked).matrix(tick)}
        problem = self.head.problem(tensors["inputs"], tensors["labels"], tensors.get("weights"))
        return {"curvature": problem.curvature_at(tensors["outputs"]).matrix()}

    def _factor(self, tensors: Tensors, _: Tick) -> dict[str, Tensor]:
        mean = float(tensors["curvature"].diagonal().mean())
        chosen = choose(self.method.damping, self.project.recipe, mean)
        kept = {"damping": number(chosen.damping)} if self.method.damping == AUTO else {}
        return self._invert(tensors, chosen).tensors() | kept

    def _inverse(self, tensors: Tensors, _: Tick) -> dict[str, Tensor]:
        """Empty but for its residual if it is not accurate enough: the factor then answers."""
        factor, rows = factor_from(tensors, self.method.damping), rows_from(tensors)
        if not isinstance(factor, CholeskyFactor):
            return {"inverse_residual": number(torch.inf)}
        samples = rows.take(torch.tensor(spread(len(rows), SAMPLES), device="cpu")).dense(0, SAMPLES).double().mT
        made = inverse_of(factor, tensors["curvature"], samples)
        kept = made.tensors()
        return kept if made.residual <= ACCURACY else {"inverse_residual": kept["inverse_residual"]}

    def _invert(self, tensors: Tensors, chosen: Chosen) -> Factor:
        matrix = tensors["curvature"]
        if self.method.indefinite == "absolute" or chosen.filter is not None:
            absolute = self.method.indefinite == "absolute"
            return Eigen(chosen.damping, absolute, chosen.filter).factorise(matrix)
        try:
            return Cholesky(chosen.damping).factorise(matrix)
        except CurvatureError:
            if chosen.damping > 0:
                raise
            rows = rows_from(tensors)
            return Eigen().factorise(matrix, rows.dense(0, len(rows)).mT)


def needed_bytes(model: FunctionalModel, project: Project, head: Head | None) -> float:
    """What the gradients, the curvature, the damped one and its factor take together."""
    n, p = len(project.train), model.vector.size
    kept = n * p if head is None else n * (len(head.basis) + head.layer.in_features)
    return 8.0 * (kept + 3 * p * p)


def _check_size(model: FunctionalModel, project: Project, head: Head | None, name: str) -> None:
    """Raise MethodError if that does not fit into memory: names what serves the model."""
    free, needed = free_bytes(model.device), needed_bytes(model, project, head)
    if free is not None and needed > SHARE * free:
        msg = (
            f"The {name} method needs about {gigabytes(needed)} for {model.vector.size:,} parameters and "
            f"{gigabytes(free)} are free; use --method cg, or attribute fewer layers with Project(attributed=...)."
        )
        raise MethodError(msg)
