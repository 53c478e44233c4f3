"""LiSSA: the inverse by a recursion on mini-batches, with its noise averaged away and its answer measured.

Agarwal, Bullins and Hazan, "Second-Order Stochastic Optimization for Machine Learning in Linear Time" (JMLR 2017);
Koh and Liang (ICML 2017). The recursion ``d <- d + (r - (C_batch + damping I) d) / scale`` converges to the damped
solve whatever ``scale`` is: damping is added to the curvature, never to the scaled one. What is different here:

- ``scale`` comes from the largest eigenvalue that mini-batches of this size have, not from the user;
- iterates are averaged with weight ``4 / (k + 4)``, so that the noise of the mini-batches falls;
- after every round the residual is measured on the full data, and the next round solves for what is left of it
  (iterative refinement): the noise has no floor, and the residual that is reported is the true one;
- a round that makes the residual grow is taken back and repeated with half the step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from influence_core.curvature.dense import Curvature
from influence_core.report import Leg, Outcome, SolveReport
from influence_core.solvers.iterative import Solution, Tick, check_tolerance, damped, relative

LEAST_STEPS = 32  # of a round: a look at the full data costs a pass over it
PASSES = 2  # over the data, a round
FALL = 0.9  # of the residual, that a round has to reach
STRIKES = 3  # rounds in a row that did not


@dataclass(frozen=True)
class LissaSolver:
    """Hyperparameters.

    Attributes:
        damping: Added to the curvature, as written.
        tolerance: Relative residual on the full data at which a column is done.
        batch: Most examples of a mini-batch.
        passes: Most passes over the data by mini-batches; a look at the residual, one a round, comes on top.
        seed: Of the mini-batches, which are drawn by seed and row id.
        scale: At least half the largest eigenvalue of a damped mini-batch curvature, preconditioned if it is.
        preconditioner: Applies a positive definite matrix near the inverse to each column, before every step.
    """

    damping: float
    tolerance: float
    batch: int
    passes: int
    seed: int
    scale: float
    preconditioner: Callable[[Tensor], Tensor] = lambda columns: columns

    def solve(self, curvature: Curvature, columns: Tensor, tick: Tick = lambda done, total: None) -> Solution:
        """Apply the inverse to each column, shape ``(p, m)``.

        Args:
            curvature: Undamped and positive definite under the damping.
            columns: Right-hand sides.
            tick: Called after every step with steps and most steps; may raise to stop.

        Raises:
            MethodError: If the tolerance cannot be met in this precision.
        """
        check_tolerance(self.tolerance, columns.dtype)
        batch = min(self.batch, curvature.n)
        a_pass = -(-curvature.n // batch)
        a_round = max(LEAST_STEPS, PASSES * a_pass)
        most = self.passes * a_pass
        block = _Block(self, columns, most)
        sample = batches(curvature.n, batch, self.seed)
        while block.left:
            steps = min(a_round, most - block.steps)
            moves = self._round(curvature, block, steps, sample, tick)
            trial = block.vectors[:, block.left] + moves
            residuals = columns[:, block.left] - damped(curvature, self.damping, trial)
            block.judge(trial, residuals, steps)
        return Solution(block.vectors, block.reports())

    def _round(
        self, curvature: Curvature, block: _Block, steps: int, sample: Iterator[list[int] | None], tick: Tick
    ) -> Tensor:
        """The averaged iterate of one round: an approximate solve for the residuals of the open columns."""
        goal, scale = block.residuals[:, block.left], block.scales[block.left]
        last, mean = torch.zeros_like(goal), torch.zeros_like(goal)
        for step in range(steps):
            product = curvature.matvec(last, next(sample)) + self.damping * last
            last = last + self.preconditioner(goal - product) / scale
            weight = 4 / (step + 4)
            mean += weight * (last - mean)
            tick(block.steps + step + 1, block.most)
        return mean


def batches(n: int, size: int, seed: int) -> Iterator[list[int] | None]:
    """Row ids of mini-batches without end: every pass shuffles anew; None stands for all rows.

    The mini-batches of a pass are as equal as can be: one of a few leftover rows would have a curvature far above that
    of the others, and the recursion would not converge under their scale.
    """
    a_pass = 0
    while True:
        if size >= n:
            yield None
            continue
        order = torch.randperm(n, generator=torch.Generator().manual_seed(1_000_003 * seed + a_pass))
        yield from (rows.tolist() for rows in torch.tensor_split(order, -(-n // size)))
        a_pass += 1


@dataclass
class _Block:
    """The columns that are still worked on, and what became of each."""

    solver: LissaSolver
    columns: Tensor
    most: int
    steps: int = 0
    left: list[int] = field(init=False)

    def __post_init__(self) -> None:
        m = self.columns.shape[1]
        self.vectors, self.residuals = torch.zeros_like(self.columns), self.columns.clone()
        self.scales = torch.full((m,), self.solver.scale, dtype=self.columns.dtype)
        values = relative(self.columns, self.columns).tolist()  # 1, or 0 for a column of zeros
        self.left = [column for column in range(m) if values[column] > 0]
        self.strikes, self.risen = [0] * m, [0] * m
        self.legs = [Leg("lissa", 0, value, Outcome.CONVERGED) for value in values]
        self.trace: list[list[tuple[int, float]]] = [[] for _ in range(m)]

    def judge(self, trial: Tensor, residuals: Tensor, steps: int) -> None:
        """Keep what brought a column closer, take back what did not, and close the columns that are done."""
        self.steps += steps
        values = relative(residuals, self.columns[:, self.left]).tolist()
        for place, (column, value) in enumerate(zip(list(self.left), values, strict=True)):
            self.trace[column].append((self.steps, value))
            before = self.legs[column].residual
            if value < before:
                self.vectors[:, column], self.residuals[:, column] = trial[:, place], residuals[:, place]
            else:
                self.scales[column] *= 2
            self.strikes[column] = 0 if value < FALL * before else self.strikes[column] + 1
            self.risen[column] += not value < before
            kept = min(value, before) if value == value else before  # noqa: PLR0124  (NaN)
            outcome = self._outcome(column, kept)
            ended = Outcome.OUT_OF_STEPS if outcome is None else outcome
            self.legs[column] = Leg("lissa", self.steps, kept, ended)
            if outcome is not None:
                self.left.remove(column)

    def reports(self) -> tuple[SolveReport, ...]:
        """One a column."""
        tolerance = self.solver.tolerance
        return tuple(SolveReport((leg,), tuple(t), tolerance) for leg, t in zip(self.legs, self.trace, strict=True))

    def _outcome(self, column: int, residual: float) -> Outcome | None:
        if residual <= self.solver.tolerance:
            return Outcome.CONVERGED
        if self.strikes[column] >= STRIKES:
            return Outcome.DIVERGED if self.risen[column] >= STRIKES else Outcome.STALLED
        return Outcome.OUT_OF_STEPS if self.steps >= self.most else None
