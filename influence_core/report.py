"""What an approximation owes its reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import torch
from torch import Tensor


class Outcome(IntEnum):
    """How an iterative solver ended; the numbers are what a file keeps."""

    CONVERGED = 0
    STALLED = 1  # the residual no longer falls
    DIVERGED = 2  # NaN, infinity, or a residual that only grows
    OUT_OF_STEPS = 3


SOLVERS = ("lissa", "cg")  # a file keeps the position
SOLVER_NAMES = {"lissa": "LiSSA", "cg": "conjugate gradients"}
_ENDED = {
    Outcome.STALLED: "no longer got closer",
    Outcome.DIVERGED: "diverged",
    Outcome.OUT_OF_STEPS: "ran out of steps",
}


@dataclass(frozen=True)
class Leg:
    """One solver's part of a solve.

    Attributes:
        solver: ``lissa`` or ``cg``.
        steps: Iterations.
        residual: Relative residual ``|(C + damping I) x - g| / |g|`` on the full data at its end.
        outcome: How it ended.
    """

    solver: str
    steps: int
    residual: float
    outcome: Outcome


@dataclass(frozen=True)
class SolveReport:
    """How one right-hand side was solved.

    Attributes:
        legs: One a solver, in order.
        trace: Step and relative residual on the full data at every check, over all legs.
        tolerance: The relative residual that was asked for.
        seconds: Wall-clock time of the block of columns that it was solved in; None once read from a file, whose
            bytes must not depend on it.
    """

    legs: tuple[Leg, ...]
    trace: tuple[tuple[int, float], ...]
    tolerance: float
    seconds: float | None = field(default=None, compare=False)

    @property
    def residual(self) -> float:
        """Of the answer, on the full data."""
        return self.legs[-1].residual

    @property
    def steps(self) -> int:
        """Iterations of all legs."""
        return sum(leg.steps for leg in self.legs)

    @property
    def converged(self) -> bool:
        """Whether the answer is as exact as was asked for."""
        return self.residual <= self.tolerance

    @property
    def sentence(self) -> str:
        """Which solver reached what."""
        first, last = self.legs[0], self.legs[-1]
        if len(self.legs) > 1:
            said = f"{SOLVER_NAMES[first.solver]} reached {first.residual:.1g}, finished by "
            said += f"{SOLVER_NAMES[last.solver]}: {last.residual:.1g}"
        else:
            said = f"{SOLVER_NAMES[first.solver]} reached {first.residual:.1g}"
        said = f"{said[0].upper()}{said[1:]} in {self.steps:,} steps"
        return said if self.converged else f"{said}, then {_ENDED.get(last.outcome, 'stopped')}"

    @property
    def advice(self) -> str:
        """What to change about an answer that did not converge; empty if it did."""
        if self.converged:
            return ""
        enough = 1.05 * self.residual  # so that the two digits that are printed do
        weaker = f"a tolerance of {enough:.2g}" if self.residual < 0.1 else "more damping"  # noqa: PLR2004
        finish = "" if self.legs[-1].solver == "cg" else ", or let conjugate gradients finish it (--set finish=cg)"
        return f"The residual stayed above the tolerance of {self.tolerance:g}: use {weaker}{finish}."


def largest_residual(reports: Sequence[SolveReport]) -> float:
    """Over some solves: NaN if one of them is, and of none."""
    found = torch.tensor([report.residual for report in reports], dtype=torch.float64, device="cpu")
    return float(found.max()) if len(found) else float("nan")


def to_tensors(reports: Sequence[SolveReport]) -> dict[str, Tensor]:
    """For a file: ``legs`` (m, 2, 4) and ``trace`` (m, t, 2), NaN where there is none, and ``tolerance`` (m,)."""
    legs = torch.full((len(reports), len(SOLVERS), 4), torch.nan, dtype=torch.float64, device="cpu")
    longest = max((len(report.trace) for report in reports), default=0)
    trace = torch.full((len(reports), longest, 2), torch.nan, dtype=torch.float64, device="cpu")
    for row, report in enumerate(reports):
        for place, leg in enumerate(report.legs):
            kept = (float(SOLVERS.index(leg.solver)), float(leg.steps), leg.residual, float(leg.outcome))
            legs[row, place] = torch.tensor(kept, dtype=torch.float64, device="cpu")
        if report.trace:
            trace[row, : len(report.trace)] = torch.tensor(report.trace, dtype=torch.float64, device="cpu")
    tolerance = torch.tensor([report.tolerance for report in reports], dtype=torch.float64, device="cpu")
    return {"legs": legs, "trace": trace, "tolerance": tolerance}


def from_tensors(legs: Tensor, trace: Tensor, tolerance: Tensor) -> SolveReport:
    """One row of what ``to_tensors`` made: shapes ``(2, 4)``, ``(t, 2)`` and a scalar."""
    kept = [
        Leg(SOLVERS[int(solver)], int(steps), residual, Outcome(int(outcome)))
        for solver, steps, residual, outcome in legs.tolist()
        if solver == solver  # noqa: PLR0124  (NaN: no such leg)
    ]
    checks = tuple((int(step), residual) for step, residual in trace.tolist() if step == step)  # noqa: PLR0124
    return SolveReport(tuple(kept), checks, float(tolerance))


@dataclass(frozen=True)
class FitReport:
    """How a method was fitted and how far it got.

    Attributes:
        seconds: Wall-clock time of the fit.
        peak_megabytes: Peak memory of the process, in MB.
        steps: Iterations of the longest solve; 0 for a direct method.
        residual: Largest relative residual ``|(H + damping I) x - g| / |g|`` on the full data: over all stored
            predictions of an iterative method, over a sample of a direct one.
        gradient_norm: Norm of the training objective's gradient at the trained parameters; influence functions
            assume it is zero.
        lowest_eigenvalue: Of the undamped curvature on the space that is solved, an estimate from above; None
            where it was not needed.
        largest_eigenvalue: Of the undamped curvature, an estimate from below; None where it was not needed.
        damping_used: What was added to the curvature by a method that chose it itself; else None.
        damping_rule: How it was chosen, or what is done in its place, in words; empty if the user gave the damping.
        facts: What else a reader should know of the fit, in words.
        parameters_attributed: Parameters that scores account for.
        parameters_total: All parameters of the model.
    """

    seconds: float
    peak_megabytes: float
    steps: int
    residual: float
    gradient_norm: float
    lowest_eigenvalue: float | None
    parameters_attributed: int
    parameters_total: int
    largest_eigenvalue: float | None = None
    damping_used: float | None = None
    damping_rule: str = ""
    facts: tuple[str, ...] = ()

    @property
    def coverage(self) -> float:
        """Share of the model's parameters that are attributed, 0 to 1."""
        return self.parameters_attributed / self.parameters_total
