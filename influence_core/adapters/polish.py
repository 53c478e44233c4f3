"""From the coefficients as they were fitted to the optimum of the same objective, in a copy.

scikit-learn stops at a gradient of about 1e-3 by default, and influence functions speak of the optimum. What the
gradient says before the polish also tells a wrong objective: at an optimum the loss and the penalty balance.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from influence_core.errors import CurvatureError, ProjectError
from influence_core.removal.head_fit import HeadProblem, newton_fit

SETTLED = 1e-6  # gradient norm at which unpolished coefficients of a singular problem are an optimum as well
OFF = 0.1  # of the outputs' spread: a polish that moves the predictions further met another objective
BALANCED = 0.2  # of the gradient's norm: what another strength of the penalty may leave of it to explain it


@dataclass(frozen=True)
class Polished:
    """Coefficients at the optimum.

    Attributes:
        coefficients: Shape ``(k, d)``.
        before: Norm of the objective's gradient as fitted.
        after: Norm of the objective's gradient at the optimum.
        moved: Largest change of an output on the training rows, as a share of the outputs' standard deviation.
    """

    coefficients: Tensor
    before: float
    after: float
    moved: float

    @property
    def said(self) -> str:
        """One sentence for the pages."""
        return (
            f"The coefficients were polished by Newton's method in a copy: gradient norm {self.before:.1e} as fitted, "
            f"{self.after:.1e} here; no training prediction moved by more than {100 * self.moved:.2g} % of their "
            "spread."
        )


def polished(problem: HeadProblem, fitted: Tensor) -> Polished:
    """The optimum next to the fitted coefficients, shape ``(k, d)``.

    Raises:
        ProjectError: If the fitted coefficients belong to another objective, or there is no single optimum.
    """
    ones = torch.ones(len(problem.inputs), dtype=torch.float64)
    before = float(problem.gradient(fitted, ones).norm())
    try:
        found = newton_fit(problem, start=fitted)
    except CurvatureError as error:
        if before <= SETTLED * problem.scale:
            return Polished(fitted, before, before, 0.0)  # such as least squares on columns that depend on each other
        msg = f"The estimator's objective has no single optimum ({error}) Its gradient norm is {before:.1e}."
        raise ProjectError(msg) from error
    outputs = problem.outputs(fitted)
    spread = float(outputs.std(dim=0).max().clamp_min(1e-12))
    moved = float((problem.outputs(found) - outputs).abs().max()) / spread
    if moved > OFF:
        _refuse_another_objective(problem, fitted, before, moved)
    return Polished(found, before, float(problem.gradient(found, ones).norm()), moved)


def _refuse_another_objective(problem: HeadProblem, fitted: Tensor, norm: float, moved: float) -> None:
    """Raise ProjectError if another strength of the penalty explains the gradient: not unfinished, but wrong."""
    ones = torch.ones(len(problem.inputs), dtype=torch.float64)
    penalty = problem.ridge * fitted
    loss = problem.gradient(fitted, ones) - penalty
    if float(penalty.norm()) == 0:
        return
    factor = -float((loss * penalty).sum() / penalty.square().sum())
    left = float((loss + factor * penalty).norm())
    if left <= BALANCED * norm:
        msg = (
            f"At the fitted coefficients the gradient's norm is {norm:.1e}, and the optimum is {100 * moved:.0f} % of "
            f"the outputs' spread away; a penalty {factor:.3g} times as strong would balance it. Give the estimator "
            "with the settings, the rows and the sample_weight that it was fitted with."
        )
        raise ProjectError(msg)
