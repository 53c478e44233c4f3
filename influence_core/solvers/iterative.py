"""What iterative solvers share: the question, the columns that are still being worked on, and the answer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from influence_core.curvature.dense import Curvature
from influence_core.errors import MethodError
from influence_core.report import SolveReport
from influence_core.solvers.base import check_damping

Tick = Callable[[int, int], None]

# No residual below it can be told from rounding
REACH = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 0.02}


@dataclass(frozen=True)
class Solution:
    """Solved columns.

    Attributes:
        vectors: ``(curvature + damping I)^-1`` times each column, shape ``(p, m)``, as far as the reports say.
        reports: One a column.
    """

    vectors: Tensor
    reports: tuple[SolveReport, ...]

    def timed(self, started: float) -> Solution:
        """The same, with the seconds since ``started``, a reading of ``time.perf_counter``."""
        seconds = time.perf_counter() - started
        return Solution(self.vectors, tuple(replace(report, seconds=seconds) for report in self.reports))

    def replaced(self, places: list[int], by: Solution) -> Solution:
        """The same with some columns solved by another solver."""
        vectors, reports = self.vectors.clone(), list(self.reports)
        vectors[:, places] = by.vectors
        for place, report in zip(places, by.reports, strict=True):
            reports[place] = report
        return Solution(vectors, tuple(reports))


class IterativeSolver(Protocol):
    """A frozen record of hyperparameters. Each column is solved for itself, whatever its companions are."""

    def solve(self, curvature: Curvature, columns: Tensor, tick: Tick = ...) -> Solution:
        """Apply the inverse to each column, shape ``(p, m)``; ``tick`` may raise to stop it."""
        ...


def check_tolerance(tolerance: float, dtype: torch.dtype) -> float:
    """The tolerance itself, if it can be met at all.

    Raises:
        MethodError: If it is not between this precision's reach and 1.
    """
    reach = REACH[dtype]
    if not math.isfinite(tolerance) or not reach <= tolerance < 1:
        name = str(dtype).removeprefix("torch.")
        msg = (
            f"Tolerance is {tolerance:g}, but in {name} a residual means something from {reach:g} up to 1; stay there."
        )
        raise MethodError(msg)
    return tolerance


def damped(curvature: Curvature, damping: float, vectors: Tensor) -> Tensor:
    """``(curvature + damping I)`` times each column, on the full data."""
    return curvature.matvec(vectors) + check_damping(damping) * vectors


def lengths(columns: Tensor) -> Tensor:
    """Norm of each column, in float64."""
    result: Tensor = torch.linalg.vector_norm(columns, dim=0, dtype=torch.float64)
    return result


def normalised(columns: Tensor) -> tuple[Tensor, Tensor]:
    """Columns of length 1 and their lengths in float64, so that no square of a number leaves the range of float32."""
    sizes = lengths(columns)
    sizes = sizes.where(sizes > 0, 1)
    return (columns.double() / sizes).to(columns.dtype), sizes


def relative(residuals: Tensor, columns: Tensor) -> Tensor:
    """Relative residual of each column; a column of zeros is solved by zero."""
    return lengths(residuals) / lengths(columns).clamp_min(1e-300)
