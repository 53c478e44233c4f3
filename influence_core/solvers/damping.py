"""How much damping there is where nobody wants to choose it.

Damping replaces the ``1/e`` by which an eigenvalue ``e`` of the curvature is inverted. A number ``lambda`` makes it
``1/(e + lambda)``. Where the model was trained by a known number of steps of gradient descent, a direction of little
curvature was not followed to its end, and neither would it be after a removal; the spectral filter says how far.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor

from influence_core.errors import CurvatureError
from influence_core.project import SGD
from influence_core.solvers.base import check_damping

Damping = float | Literal["auto"]
AUTO: Literal["auto"] = "auto"
CAP = math.log(2)  # of the exponent; with it a strongly negative eigenvalue e is inverted to 1/|e|, as |H| inverts it


@dataclass(frozen=True)
class MeanEigenvalue:
    """A share of the curvature's mean eigenvalue: with it the damping has the curvature's own scale.

    Attributes:
        share: Of the mean eigenvalue.
    """

    share: float = 0.1

    def damping(self, mean: float) -> float:
        """The damping, where ``mean`` is the trace over the number of parameters.

        Raises:
            CurvatureError: If the mean is not positive, so that no share of it can be a damping.
        """
        if not 0 < mean < float("inf"):
            msg = (
                f"The curvature's mean eigenvalue is {mean:.3g}, so a share of it is no damping; give the damping as a "
                "number, or use the Gauss-Newton curvature."
            )
            raise CurvatureError(msg)
        return self.share * mean

    def sentence(self, damping: float) -> str:
        """How ``damping`` was chosen."""
        return f"damping {damping:.3g} = {self.share:g} × the mean eigenvalue"


@dataclass(frozen=True)
class SpectralFilter:
    """What gradient descent of some steps does in place of the inverse: ``f(e) = (1 - exp(-rate T e)) / e``.

    With ``rate = learning_rate / (1 - momentum)`` and ``T`` steps, ``f(e)`` is about ``1/e`` where ``rate T e`` is
    large and at most ``f(0) = rate T`` where it is small (Bae, Lin, Lorraine and Grosse, "Training Data Attribution
    via Approximate Unrolled Differentiation", 2024). For ``e < 0`` the exponent is capped at log 2: from there on
    ``f(e) = 1/|e|``, where unlimited growth would say that a refit leaves every bound. An example's gradient at the end
    of training stands for that of every step, which is coarse while the model is still fitting it.

    Attributes:
        learning_rate: Of each step.
        momentum: Heavy-ball momentum, 0 to 1.
        steps: Steps on the whole objective or on mini-batches of it.
    """

    learning_rate: float
    momentum: float
    steps: int

    @classmethod
    def of(cls, recipe: SGD) -> SpectralFilter:
        """That of a known training."""
        return cls(**asdict(recipe))

    @property
    def reach(self) -> float:
        """``f(0)``: how far a direction without curvature is followed."""
        return self.learning_rate / (1 - self.momentum) * self.steps

    def apply(self, values: Tensor) -> Tensor:
        """``f(e)`` of each eigenvalue, in float64; all are positive."""
        e = values.double()
        exponent = (-self.reach * e).clamp_max(CAP)
        return torch.where(e == 0, self.reach, -torch.expm1(exponent) / e.where(e != 0, 1))

    @property
    def sentence(self) -> str:
        """What was done, with its numbers."""
        momentum = f", momentum {self.momentum:g}" if self.momentum else ""
        return f"spectral filter of {self.steps:,} steps of SGD (learning rate {self.learning_rate:g}{momentum})"

    def tensors(self) -> dict[str, Tensor]:
        """For a file."""
        numbers = [self.learning_rate, self.momentum, float(self.steps)]
        return {"filter": torch.tensor(numbers, dtype=torch.float64)}

    @classmethod
    def from_tensor(cls, stored: Tensor) -> SpectralFilter:
        """The inverse of ``tensors``."""
        learning_rate, momentum, steps = stored.tolist()
        return cls(learning_rate, momentum, int(steps))


@dataclass(frozen=True)
class Chosen:
    """What is done to each eigenvalue.

    Attributes:
        damping: Added to it; 0 under a filter.
        filter: In place of the inverse; None if it is inverted.
    """

    damping: float
    filter: SpectralFilter | None = None


def check(damping: float | str) -> None:
    """Raise CurvatureError unless it is ``auto`` or can be added to a curvature."""
    if not isinstance(damping, str):
        check_damping(damping)
    elif damping != AUTO:
        msg = f"Damping is '{damping}'; it must be a finite number of 0 or more, or {AUTO}."
        raise CurvatureError(msg)


def choose(damping: Damping, recipe: SGD | None, mean: float) -> Chosen:
    """The damping itself; of ``auto`` the filter of a known training, else a share of the mean eigenvalue.

    Raises:
        CurvatureError: If the mean eigenvalue is needed and not positive.
    """
    if damping != AUTO:
        return Chosen(damping)
    if recipe is not None:
        return Chosen(0.0, SpectralFilter.of(recipe))
    return Chosen(MeanEigenvalue().damping(mean))


def rule(asked: Damping, used: Chosen) -> str:
    """How the damping was chosen, or what is done in its place, in words; empty if it was given as a number."""
    if asked != AUTO:
        return ""
    return MeanEigenvalue().sentence(used.damping) if used.filter is None else used.filter.sentence
