"""Conjugate gradients on the full data: deterministic, and the reference for everything larger than exact.

Hestenes and Stiefel (1952); for influence functions Koh and Liang (ICML 2017), after Martens (ICML 2010).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from influence_core.methods.base import Tensors, Tick, check_counts
from influence_core.methods.iterative import (
    CurvatureName,
    IterativeFit,
    PreconditionerName,
    System,
    definite,
)
from influence_core.methods.iterative_attributor import IterativeAttributor
from influence_core.methods.precision import Precision, dtype_of
from influence_core.project import Project
from influence_core.solvers.cg import CGSolver
from influence_core.solvers.iterative import Solution


@dataclass(frozen=True)
class ConjugateGradients:
    """Solve each prediction by conjugate gradients.

    Attributes:
        damping: Added to the curvature once, as written.
        curvature: ``gauss-newton``, which is never indefinite, or ``hessian``.
        tolerance: Relative residual on the full data at which an answer counts as solved.
        steps: Most passes over the data.
        preconditioner: ``ekfac``; ``none``; or ``auto``, which takes it where every layer has factors and a trial saves
            steps. EK-FAC also gives every prediction a first answer at once.
        rows: Examples in memory at once.
        precision: Of all numbers.
    """

    damping: float = 0.01
    curvature: CurvatureName = "gauss-newton"
    tolerance: float = 0.01
    steps: int = 500
    preconditioner: PreconditionerName = "auto"
    rows: int = 512
    precision: Precision = "float32"

    name: ClassVar[str] = "cg"
    title: ClassVar[str] = "Conjugate gradients"
    cost: ClassVar[str] = "A few dozen passes over the training data a prediction; no memory beyond a few gradients"
    limits: ClassVar[str] = "Any size of model; every answer states its residual; first order in the removal"
    is_direct: ClassVar[bool] = False
    is_estimate: ClassVar[bool] = True
    is_one_by_one: ClassVar[bool] = True

    def prepare(self, project: Project) -> IterativeFit:
        """Check the project and decide how it is computed."""
        check_counts(self, "steps", "rows")
        return IterativeFit.of(self, project)

    def fit(self, project: Project) -> IterativeAttributor:
        """Look at the curvature; predictions are solved when they are asked for.

        Raises:
            ProjectError: If model, data and task do not fit together.
            CurvatureError: If the curvature is indefinite under the damping.
        """
        return self.prepare(project).fit()

    def spectrum(self, system: System, tick: Tick) -> dict[str, Tensor]:
        """Largest eigenvalue, for the report; the lowest of a Hessian."""
        return definite(system.curvature, self.damping, dtype_of(self.precision), tick)

    def solve(self, system: System, columns: Tensor, spectrum: Tensors, tick: Tick) -> Solution:  # noqa: ARG002  (the recursion of LiSSA needs it)
        """Conjugate gradients from zero."""
        solver = CGSolver(self.damping, self.tolerance, self.steps)
        if system.preconditioner is not None:
            solver = replace(solver, preconditioner=system.preconditioner.inverse)
        return solver.solve(system.curvature, columns, tick)
