"""Conjugate gradients on a block of columns (Hestenes and Stiefel 1952), preconditioned if one knows how.

The columns share every product with the curvature but not their search directions: a true block method would take
fewer steps, and its answers would depend on which predictions happen to be solved together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from influence_core.curvature.dense import Curvature, Hessian
from influence_core.report import Leg, Outcome, SolveReport
from influence_core.solvers.base import refuse_direction
from influence_core.solvers.iterative import Solution, Tick, check_tolerance, damped, normalised, relative

RESTARTS = 3  # from the true residual, where the recursion's own had drifted away from it


@dataclass(frozen=True)
class CGSolver:
    """Hyperparameters.

    Attributes:
        damping: Added to the curvature, as written.
        tolerance: Relative residual on the full data at which a column is done.
        steps: Most products with the curvature.
        preconditioner: Applies a positive definite matrix near the inverse to each column; the nearer, the fewer steps.
            The answer and its residual are those of the curvature itself.
    """

    damping: float
    tolerance: float
    steps: int = 500
    preconditioner: Callable[[Tensor], Tensor] = lambda columns: columns

    def solve(
        self,
        curvature: Curvature,
        columns: Tensor,
        tick: Tick = lambda done, total: None,
        start: Tensor | None = None,
    ) -> Solution:
        """Apply the inverse to each column, shape ``(p, m)``.

        Args:
            curvature: Undamped.
            columns: Right-hand sides.
            tick: Called after every step with the progress in thousandths; may raise to stop.
            start: Where to start, shape ``(p, m)``; zero if absent.

        Raises:
            CurvatureError: At a direction of negative curvature; names its value.
            MethodError: If the tolerance cannot be met in this precision.
        """
        check_tolerance(self.tolerance, columns.dtype)
        columns, sizes = normalised(columns)
        block = _Block(self, curvature, columns)
        vectors = torch.zeros_like(columns) if start is None else (start.double() / sizes).to(columns.dtype)
        residuals = columns - damped(curvature, self.damping, vectors) if start is not None else columns.clone()
        for _ in range(RESTARTS):
            block.descend(vectors, residuals, tick)
            residuals = columns - damped(curvature, self.damping, vectors)
            if not block.reopen(relative(residuals, columns)):
                break
        return Solution((vectors.double() * sizes).to(columns.dtype), block.reports())


class _Block:
    """The columns that are still worked on, and what became of each.

    A residual that rises for many steps is no reason to give up: what falls in every step is the error in the norm of
    the curvature, and on an ill-conditioned one the residual starts to fall long after it.
    """

    def __init__(self, solver: CGSolver, curvature: Curvature, columns: Tensor) -> None:
        self.solver, self.curvature, self.columns = solver, curvature, columns
        m = columns.shape[1]
        self.left = list(range(m))
        self.steps, self.residual = [0] * m, [1.0] * m
        self.outcome = [Outcome.OUT_OF_STEPS] * m
        self.trace: list[list[tuple[int, float]]] = [[] for _ in range(m)]
        self.best = [float("inf")] * m  # residual so far
        self.largest = 0.0  # damped curvature that was met along a search direction

    def descend(self, vectors: Tensor, residuals: Tensor, tick: Tick) -> None:
        """Step the open columns of ``vectors`` in place until each is done."""
        now = residuals.clone()
        self._settle(now)
        search = self.solver.preconditioner(now).clone()
        products = (now * search).sum(dim=0)
        while self.left:
            product = damped(self.curvature, self.solver.damping, search[:, self.left])
            along = (search[:, self.left] * product).sum(dim=0)
            able = self._is_curved(search[:, self.left], along)
            product, along = product[:, able], along[able]
            size = products[self.left] / along
            vectors[:, self.left] += size * search[:, self.left]
            now[:, self.left] -= size * product
            nearer = self.solver.preconditioner(now[:, self.left])
            renewed = (now[:, self.left] * nearer).sum(dim=0)
            search[:, self.left] = nearer + renewed / products[self.left] * search[:, self.left]
            products[self.left] = renewed
            for column in self.left:
                self.steps[column] += 1
            self._settle(now)
            tick(self._thousandths(), 1000)

    def reopen(self, true: Tensor) -> bool:
        """Note the true residuals; columns that the recursion took for done, but are not, are opened again."""
        for column, value in enumerate(true.tolist()):
            self.residual[column] = value
            if self.outcome[column] is Outcome.CONVERGED and not value <= self.solver.tolerance:
                self.outcome[column] = Outcome.STALLED
                self.left.append(column)
                self.best[column] = value
        return bool(self.left)

    def reports(self) -> tuple[SolveReport, ...]:
        """One a column."""
        legs = [Leg("cg", *kept) for kept in zip(self.steps, self.residual, self.outcome, strict=True)]
        tolerance = self.solver.tolerance
        return tuple(SolveReport((leg,), tuple(t), tolerance) for leg, t in zip(legs, self.trace, strict=True))

    def _settle(self, residuals: Tensor) -> None:
        """Close the columns that are done, broken or out of steps."""
        values = relative(residuals[:, self.left], self.columns[:, self.left]).tolist()
        for column, value in zip(list(self.left), values, strict=True):
            self.residual[column] = value
            self.trace[column].append((self.steps[column], value))
            self.best[column] = min(self.best[column], value)
            outcome = self._outcome(column, value)
            if outcome is not None:
                self.outcome[column] = outcome
                self.left.remove(column)

    def _outcome(self, column: int, value: float) -> Outcome | None:
        if value <= self.solver.tolerance:
            return Outcome.CONVERGED
        if not value < float("inf"):
            return Outcome.DIVERGED
        return Outcome.OUT_OF_STEPS if self.steps[column] >= self.solver.steps else None

    def _is_curved(self, search: Tensor, along: Tensor) -> Tensor:
        """Which columns can step: a curvature that is lost in rounding ends one, a negative one is refused."""
        curved = along / search.square().sum(dim=0)
        if bool(curved.isfinite().any()):
            self.largest = max(self.largest, float(curved[curved.isfinite()].max()))
        lost = 100 * torch.finfo(along.dtype).eps * self.largest
        if bool((curved < -lost).any()):
            value = float(curved[curved < -lost].min()) - self.solver.damping
            raise refuse_direction(value, self.solver.damping, is_hessian=isinstance(self.curvature, Hessian))
        able = ~(curved <= 0)
        for place in (~able).nonzero()[:, 0].tolist():
            self.outcome[self.left[place]] = Outcome.STALLED
        self.left = [column for column, steps in zip(self.left, able.tolist(), strict=True) if steps]
        return able

    def _thousandths(self) -> int:
        """Progress of the slowest column, on the logarithm of its residual."""
        if not self.left:
            return 1000
        shares = [_share(self.best[column], self.solver.tolerance) for column in self.left]
        return int(999 * min(shares))


def _share(residual: float, tolerance: float) -> float:
    reached = torch.tensor([residual, tolerance], dtype=torch.float64).clamp(tolerance, 1.0).log()
    return float(reached[0] / reached[1])


def with_first(solution: Solution, first: Solution) -> Solution:
    """The reports of two solvers, one after the other."""
    joined = []
    for earlier, later in zip(first.reports, solution.reports, strict=True):
        before = earlier.steps
        trace = earlier.trace + tuple((before + step, value) for step, value in later.trace)
        joined.append(replace(later, legs=earlier.legs + later.legs, trace=trace))
    return Solution(solution.vectors, tuple(joined))
