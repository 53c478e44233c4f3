"""What every solver gives back."""

from __future__ import annotations

import math
from typing import Protocol

from torch import Tensor

from influence_core.errors import CurvatureError


class Factor(Protocol):
    """``(curvature + damping I)`` ready to be inverted."""

    @property
    def damping(self) -> float:
        """The damping that was added."""
        ...

    @property
    def lowest_eigenvalue(self) -> float:
        """Of the undamped curvature on the space that is solved; an estimate from above."""
        ...

    def solve(self, columns: Tensor) -> Tensor:
        """Apply the inverse to each column, shape ``(p, m)`` to ``(p, m)``."""
        ...

    def whiten(self, columns: Tensor) -> Tensor:
        """Map columns so that dot products become ``g^T (curvature + damping I)^-1 h``."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """For a file."""
        ...


def check_damping(damping: float) -> float:
    """The damping itself, if it can be one.

    Raises:
        CurvatureError: If it is negative, NaN or infinite.
    """
    if not math.isfinite(damping) or damping < 0:
        msg = f"Damping is {damping:g}; it must be a finite number of 0 or more."
        raise CurvatureError(msg)
    return damping


def refuse(lowest: float, damping: float, *, absolute: bool = True) -> CurvatureError:
    """The curvature stays indefinite or singular under this damping: say how much would do.

    Args:
        lowest: Its lowest eigenvalue.
        damping: What was added.
        absolute: Whether the method could use |H| instead.
    """
    if abs(lowest) <= 1e-8:  # noqa: PLR2004  (a curvature of about zero)
        problem = f"is about {lowest:.1g}, so the curvature is singular"
    else:
        problem = f"is {lowest:.3g}, so damping {damping:g} leaves it indefinite"
    ways = ", the Gauss-Newton curvature, or |H|" if absolute else ", or the Gauss-Newton curvature"
    msg = f"The curvature's lowest eigenvalue {problem}; use damping of at least {enough(lowest):.1g}{ways}."
    return CurvatureError(msg)


def refuse_direction(value: float, damping: float, *, is_hessian: bool) -> CurvatureError:
    """A solver met a direction along which the damped curvature is not positive: ``value`` is the undamped one."""
    other = ", or the Gauss-Newton curvature" if is_hessian else ", or precision='float64' if this is rounding"
    msg = (
        f"Conjugate gradients met a direction of curvature {value:.3g}, so damping {damping:g} leaves it indefinite; "
        f"use damping of at least {enough(value):.1g}{other}."
    )
    return CurvatureError(msg)


def enough(lowest: float) -> float:
    """Damping for such a lowest eigenvalue: twice its size, rounded up to one digit so that what is printed will do."""
    size = max(2 * abs(lowest), 1e-6)
    digit = 10.0 ** math.floor(math.log10(size))
    return math.ceil(size / digit) * digit
