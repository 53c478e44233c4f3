"""What an approximation owes its reader."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FitReport:
    """How a method was fitted and how far it got.

    Attributes:
        seconds: Wall-clock time of the fit.
        peak_megabytes: Peak memory of the process, in MB.
        steps: Iterations; 0 for a direct method.
        residual: Largest relative residual ``|(H + damping I) x - g| / |g|`` on the full data over the sampled
            right-hand sides.
        gradient_norm: Norm of the training objective's gradient at the trained parameters; influence functions
            assume it is zero.
        lowest_eigenvalue: Of the undamped curvature on the space that is solved; an estimate from above.
        parameters_attributed: Parameters that scores account for.
        parameters_total: All parameters of the model.
    """

    seconds: float
    peak_megabytes: float
    steps: int
    residual: float
    gradient_norm: float
    lowest_eigenvalue: float
    parameters_attributed: int
    parameters_total: int

    @property
    def coverage(self) -> float:
        """Share of the model's parameters that are attributed, 0 to 1."""
        return self.parameters_attributed / self.parameters_total
