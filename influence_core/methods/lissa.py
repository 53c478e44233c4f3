"""LiSSA that knows when it is right: a stochastic recursion with its residual measured on the full data.

Agarwal, Bullins and Hazan (JMLR 2017), as Koh and Liang (ICML 2017) use it. See ``solvers/lissa.py`` for what is
different here: the scale comes from the curvature's own spectrum and every answer says how exact it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import ClassVar, Literal

import torch
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
from influence_core.solvers.cg import CGSolver, with_first
from influence_core.solvers.iterative import Solution
from influence_core.solvers.lanczos import ends
from influence_core.solvers.lissa import LissaSolver, batches

SAMPLED = 4  # mini-batches whose largest eigenvalue is looked at
SHARE = 0.8  # of the progress that is LiSSA's when conjugate gradients may follow


@dataclass(frozen=True)
class Lissa:
    """Solve each prediction by a recursion on mini-batches.

    Attributes:
        damping: Added to the curvature once, as written.
        curvature: ``gauss-newton``, which is never indefinite, or ``hessian``.
        tolerance: Relative residual on the full data at which an answer counts as solved.
        finish: ``cg`` lets conjugate gradients take over from an estimate that stays above the tolerance.
        batch: Most examples of a mini-batch.
        passes: Most passes over the data by mini-batches; a look at the residual, one a round, comes on top.
        seed: Of the mini-batches.
        preconditioner: ``ekfac``; ``none``; or ``auto``, which takes it where every layer has factors and a trial saves
            steps. EK-FAC also gives every prediction a first answer at once.
        rows: Examples in memory at once.
        precision: Of all numbers.
    """

    damping: float = 0.01
    curvature: CurvatureName = "gauss-newton"
    tolerance: float = 0.01
    finish: Literal["none", "cg"] = "none"
    batch: int = 128
    passes: int = 20
    seed: int = 0
    preconditioner: PreconditionerName = "auto"
    rows: int = 512
    precision: Precision = "float32"

    name: ClassVar[str] = "lissa"
    title: ClassVar[str] = "LiSSA, a stochastic recursion"
    cost: ClassVar[str] = "Some passes over the training data a prediction; no memory beyond a few gradients"
    limits: ClassVar[str] = "Any size of model; every answer states its residual; first order in the removal"
    is_direct: ClassVar[bool] = False
    is_estimate: ClassVar[bool] = True
    is_one_by_one: ClassVar[bool] = True

    def prepare(self, project: Project) -> IterativeFit:
        """Check the project and decide how it is computed."""
        check_counts(self, "batch", "passes", "rows")
        return IterativeFit.of(self, project)

    def fit(self, project: Project) -> IterativeAttributor:
        """Look at the curvature; predictions are solved when they are asked for.

        Raises:
            ProjectError: If model, data and task do not fit together.
            CurvatureError: If the curvature is indefinite under the damping.
        """
        return self.prepare(project).fit()

    def spectrum(self, system: System, tick: Tick) -> dict[str, Tensor]:
        """Largest eigenvalue on all data, the lowest of a Hessian, and the recursion's scale."""
        dtype = dtype_of(self.precision)
        known = definite(system.curvature, self.damping, dtype, tick)
        batched = islice(batches(system.curvature.n, self.batch, self.seed), SAMPLED)
        sampled = [self._largest(system, ids) for ids in batched]
        whole = self._largest(system, None) if system.preconditioner else float(known["largest"]) + self.damping
        scale = max(whole, sum(sampled) / len(sampled))
        return known | {"scale": torch.tensor(scale, dtype=torch.float64)}

    def _largest(self, system: System, ids: list[int] | None) -> float:
        """Largest eigenvalue of the damped curvature of some rows, preconditioned if it is."""
        curvature, preconditioner = system

        def product(vector: Tensor) -> Tensor:
            if preconditioner is None:
                return curvature.matvec(vector, ids) + self.damping * vector
            return preconditioner.congruent(curvature, self.damping, vector, ids)

        return ends(product, curvature.size, dtype_of(self.precision), lowest=None).largest

    def solve(self, system: System, columns: Tensor, spectrum: Tensors, tick: Tick) -> Solution:
        """LiSSA, and conjugate gradients from its estimate where that is asked for and needed."""
        curvature, preconditioner = system
        solver = LissaSolver(self.damping, self.tolerance, self.batch, self.passes, self.seed, float(spectrum["scale"]))
        conjugate = CGSolver(self.damping, self.tolerance)
        if preconditioner is not None:
            solver = replace(solver, preconditioner=preconditioner.inverse)
            conjugate = replace(conjugate, preconditioner=preconditioner.inverse)
        share = SHARE if self.finish == "cg" else 1.0
        first = solver.solve(curvature, columns, lambda done, total: tick(int(1000 * share * done / total), 1000))
        short = [i for i, report in enumerate(first.reports) if not report.converged]
        if self.finish == "none" or not short:
            return first
        begun = int(1000 * share)
        rest = Solution(first.vectors[:, short], tuple(first.reports[i] for i in short))
        finished = with_first(
            conjugate.solve(
                curvature,
                columns[:, short],
                lambda done, total: tick(begun + (1000 - begun) * done // total, 1000),
                start=rest.vectors,
            ),
            rest,
        )
        return first.replaced(short, finished)
