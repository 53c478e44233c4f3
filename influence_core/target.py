"""Which number of a prediction is explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from influence_core.errors import TargetError

Measure = Literal["loss", "logit", "margin", "value"]
Kind = Literal["classification", "regression", "custom"]
Of = Literal["true", "predicted"] | int

MEASURES: dict[Kind, tuple[Measure, ...]] = {
    "classification": ("loss", "logit", "margin"),
    "regression": ("loss", "value"),
    "custom": ("loss",),
}


@dataclass(frozen=True)
class Target:
    """A measurement of one prediction.

    Attributes:
        measure: ``loss`` (nats), ``logit``, ``margin`` (the log-odds of the class, ``z_c - logsumexp`` of the
            other logits) or, in regression, the predicted ``value``.
        of: The class that is measured: the ``true`` label, the ``predicted`` class, or a class index.
    """

    measure: Measure = "loss"
    of: Of = "true"

    @property
    def is_true_loss(self) -> bool:
        """Only this measurement may be called helpful or harmful."""
        return self == Target()

    @property
    def larger_is_better(self) -> bool:
        """Logits, margins and values grow with support; a loss shrinks."""
        return self.measure != "loss"

    def check(self, kind: Kind, n_classes: int) -> None:
        """Raise TargetError if a task of this kind cannot measure it."""
        if self.measure not in MEASURES[kind]:
            known = ", ".join(MEASURES[kind])
            msg = f"A {kind} task has no measure '{self.measure}'; choose one of {known}."
            raise TargetError(msg)
        if kind != "classification" and self.of != "true":
            msg = f"A {kind} task has no classes, so the target '{self.of}' means nothing; use 'true'."
            raise TargetError(msg)
        if isinstance(self.of, int) and not 0 <= self.of < n_classes:
            msg = f"There is no class {self.of}; classes are numbered from 0 to {n_classes - 1}."
            raise TargetError(msg)
