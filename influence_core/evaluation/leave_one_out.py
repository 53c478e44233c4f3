"""Leave-one-out by real refits of a linear head, cheap because each starts at the full optimum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from influence_core import scores
from influence_core.removal.head_fit import HeadProblem, chord_fit
from influence_core.rows import OutputRows
from influence_core.solvers.cholesky import Cholesky
from influence_core.target import Target
from influence_core.task import Task


@dataclass(frozen=True)
class Measured:
    """What is measured after each refit.

    Attributes:
        tests: The test predictions; their ``jacobian`` holds the head's inputs.
        task: Measures them.
        target: What is measured.
    """

    tests: OutputRows
    task: Task
    target: Target

    def of(self, outputs: Tensor) -> Tensor:
        """The measurements at these outputs, shape ``(test,)``."""
        return self.tests.measured(self.task, self.target, outputs)


def refitted_scores(  # noqa: PLR0913  (an objective at its optimum, what is removed and measured, and two that are optional)
    problem: HeadProblem,
    coefficients: Tensor,
    measured: Measured,
    removed: Sequence[int],
    *,
    solve: Callable[[Tensor], Tensor] | None = None,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """The changes that scores predict, by refitting without each of ``removed``, shape ``(removed, test)``.

    Args:
        problem: The training objective.
        coefficients: The trained head in the output basis, shape ``(k, d)``.
        measured: The test predictions and what is measured of them.
        removed: One refit each; the objective keeps its ``1/n``.
        solve: Applies the inverse curvature at the optimum to a column; a factor is made if it is not given.
        tick: Progress.

    Raises:
        CurvatureError: If the objective has no single optimum.
    """
    n = len(problem.inputs)
    solve = solve or Cholesky().factorise(problem.curvature_at(problem.outputs(coefficients)).matrix()).solve
    before = measured.of(measured.tests.outputs)
    changes = []
    for done, row in enumerate(removed, start=1):
        weights = problem.inputs.new_ones(n)
        weights[row] = 0
        refitted = chord_fit(problem, weights, coefficients, solve)
        after = measured.of(problem.outputs(refitted, measured.tests.jacobian.double()))
        changes.append(scores.refitted_score(before, after, measured.target))
        tick(done, len(removed))
    return torch.stack(changes)
