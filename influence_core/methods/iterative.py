"""What methods that solve one prediction at a time share: nothing of size p x p is ever formed.

A right-hand side is the gradient of one measurement. Once it is solved, its derivative along the losses of all
training examples is one forward-mode pass over the data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from influence_core.checks import check_derivatives, check_project
from influence_core.curvature.dense import Blocks, Curvature, Hessian
from influence_core.curvature.ekfac import EKFAC
from influence_core.curvature.factored import FactoredModel
from influence_core.curvature.retained import gauss_newton
from influence_core.errors import CurvatureError, MethodError
from influence_core.gradients import FunctionalModel
from influence_core.heads import Head, head_beside
from influence_core.memory import check_memory
from influence_core.methods.base import Method, Stage, Tensors, Tick, check_choices, run_stages, try_rows
from influence_core.methods.ekfac import Ekfac, EkfacFit
from influence_core.methods.iterative_attributor import PRODUCTS, IterativeAttributor
from influence_core.methods.precision import Precision, dtype_of
from influence_core.methods.seen import seen
from influence_core.placement import number
from influence_core.predictions import Predictions
from influence_core.project import Dataset, Project, Split
from influence_core.solvers.base import check_damping, refuse
from influence_core.solvers.cg import CGSolver
from influence_core.solvers.iterative import Solution, check_tolerance, normalised
from influence_core.solvers.lanczos import ends
from influence_core.solvers.preconditioner import Preconditioner
from influence_core.target import Target
from influence_core.trunk import with_trunk

CurvatureName = Literal["gauss-newton", "hessian"]
PreconditionerName = Literal["auto", "ekfac", "none"]
TRIED = 3  # right-hand sides on which a preconditioner has to save steps


class System(NamedTuple):
    """What is solved.

    Attributes:
        curvature: Undamped.
        preconditioner: A matrix near its inverse, if there is one.
        like: The trained parameters, in the precision and on the device of what is solved.
    """

    curvature: Curvature
    preconditioner: Preconditioner | None
    like: Tensor


class IterativeMethod(Method, Protocol):
    """A method that solves one prediction at a time, and the hyperparameters that all of them have."""

    @property
    def damping(self) -> float:
        """Added to the curvature once, as written."""
        ...

    @property
    def tolerance(self) -> float:
        """Relative residual on the full data at which an answer counts as solved."""
        ...

    @property
    def rows(self) -> int:
        """Examples in memory at once."""
        ...

    @property
    def precision(self) -> Precision:
        """Of all numbers."""
        ...

    @property
    def preconditioner(self) -> PreconditionerName:
        """``auto`` takes EK-FAC where every layer has factors."""
        ...

    def spectrum(self, system: System, tick: Tick) -> dict[str, Tensor]:
        """What the solver must know of the curvature before the first solve."""
        ...

    def solve(self, system: System, columns: Tensor, spectrum: Tensors, tick: Tick) -> Solution:
        """Solve columns on the damped curvature."""
        ...


@dataclass(frozen=True)
class IterativeFit:
    """One project being fitted.

    Attributes:
        method: The hyperparameters.
        project: What is fitted.
        model: The private copy of its model.
        head: The linear head, if the model is one; nothing here makes use of it, but it can be refitted quickly.
        factored: The model's layers, if EK-FAC is to precondition the solves and to give the first answers.
    """

    method: IterativeMethod
    project: Project
    model: FunctionalModel
    head: Head | None
    factored: FactoredModel | None

    @classmethod
    def of(cls, method: IterativeMethod, project: Project) -> IterativeFit:
        """Check hyperparameters, project and memory.

        Raises:
            ProjectError: If model, data and task do not fit together.
            MethodError: If the tolerance cannot be met, or the memory does not suffice.
        """
        dtype = dtype_of(method.precision)
        check_choices(method)
        check_damping(method.damping)
        check_tolerance(method.tolerance, dtype)
        check_project(project)
        model = FunctionalModel.of(project, dtype)
        try_rows(model, project)
        check_derivatives(model, project, one_by_one=False)
        check_memory(model, project.train, method.rows, PRODUCTS)
        head = head_beside(model, project)
        return cls(method, project, model, head, _factored(method, model, project))

    @cached_property
    def trunked(self) -> tuple[FunctionalModel, Dataset]:
        """The model and its training data in memory if they fit, its frozen trunk run once."""
        return with_trunk(self.model, self.project.train)

    def predictions(self, split: Split) -> Predictions:
        """What the model says of a split."""
        return seen(split, self.model, self.project, lambda: self.trunked)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """How far the model is from its optimum, its factors, and what the solver must know of the curvature."""
        first = Stage("train", "Gradient of the training objective", self._gradient)
        last = Stage(
            "spectrum",
            "Spectrum of the curvature",
            lambda tensors, tick: self.method.spectrum(self.system(tensors), tick),
        )
        if self.first is None:
            return (first, last)
        trial = Stage("preconditioner", "Trial of the preconditioner", self._trial)
        tried = (trial,) if self.method.preconditioner == "auto" else ()
        return (first, self.first.factors_stage, *tried, last)

    @cached_property
    def first(self) -> EkfacFit | None:
        """EK-FAC on the same project: a preconditioner, and an answer at once."""
        if self.factored is None:
            return None
        method = Ekfac(damping=self.method.damping, rows=self.method.rows, precision=self.method.precision)
        return EkfacFit(method, self.project, self.factored, self.head, self.trunked)

    def system(self, tensors: Tensors) -> System:
        """What is solved, from what the stages made."""
        if self.factored is None or not bool(tensors.get("preconditioned", True)):
            return System(self.curvature, None, self.model.theta)
        ekfac = EKFAC.of(self.factored, tensors, len(self.project.train))
        return System(self.curvature, Preconditioner(ekfac, self.method.damping), self.model.theta)

    @property
    def curvature(self) -> Curvature:
        """Undamped."""
        blocks = Blocks(self.method.rows, PRODUCTS)
        kind = gauss_newton if self.method.curvature == "gauss-newton" else Hessian
        return kind(*self.trunked, blocks)

    def attributor(self, tensors: Tensors) -> IterativeAttributor:
        """The fitted method."""
        first = None if self.first is None else self.first.attributor(tensors)
        return IterativeAttributor(self, tensors, self.system(tensors), first)

    def fit(self) -> IterativeAttributor:
        """Run the stages in memory."""
        return self.attributor(run_stages(self.stages))

    def _trial(self, tensors: Tensors, tick: Tick) -> dict[str, Tensor]:
        """Whether the preconditioner saves steps: on the gradients of the training examples of largest loss."""
        losses = self.predictions("train").losses
        ids = losses.topk(min(TRIED, len(losses))).indices.tolist()
        rows = self.model.batches(self.project.train, 1, ids)
        gradients = [self.model.measurement_gradient(batch, Target()) for _, batch in rows]
        columns, _ = normalised(torch.stack(gradients, dim=1))
        plain = CGSolver(self.method.damping, self.method.tolerance)
        curvature, preconditioner, _ = self.system(tensors)
        assert preconditioner is not None  # noqa: S101  (it is what is tried)
        quick = replace(plain, preconditioner=preconditioner.inverse)
        try:
            steps = [sum(r.steps for r in solver.solve(curvature, columns, tick).reports) for solver in (plain, quick)]
        except CurvatureError:  # of a Hessian, which is looked at next
            return {"preconditioned": torch.tensor(False, device="cpu")}  # noqa: FBT003
        return {"preconditioned": torch.tensor(steps[1] < steps[0], device="cpu")}

    def _gradient(self, _: Tensors, __: Tick) -> dict[str, Tensor]:
        model, train = self.trunked
        self.predictions("train")  # names the first row that does not fit
        return {"gradient_norm": model.objective_gradient(train, self.method.rows).norm().double()}


def _factored(method: IterativeMethod, model: FunctionalModel, project: Project) -> FactoredModel | None:
    """The model's layers, if they are wanted and all have factors.

    Raises:
        MethodError: If they are insisted on and one has none.
    """
    if method.preconditioner == "none":
        return None
    try:
        factored = FactoredModel.of(model, project.train)
        factored.check_whole("ekfac")
    except MethodError:
        if method.preconditioner == "ekfac":
            raise
        return None
    return factored


def definite(system: System, damping: float, tick: Tick) -> dict[str, Tensor]:
    """Largest eigenvalue; of a Hessian the lowest too, which must stay positive under the damping.

    Raises:
        CurvatureError: If it does not; names it and the damping that would do.
    """
    curvature = system.curvature
    is_hessian = isinstance(curvature, Hessian)
    enough = damping / 10 if is_hessian else None
    found = ends(curvature.matvec, system.like, lowest=enough, tick=tick)
    if is_hessian and found.lowest + damping <= 0:
        raise refuse(found.lowest, damping, absolute=False)
    known = {"largest": number(found.largest)}
    return known | ({"lowest": number(found.lowest)} if is_hessian else {})
