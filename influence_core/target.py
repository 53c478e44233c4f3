"""Which number of a prediction is explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from influence_core.errors import TargetError

Measure = Literal["loss", "logit", "margin", "value"]
Kind = Literal["classification", "multilabel", "regression", "multioutput", "custom"]
Of = Literal["true", "predicted"] | int

MEASURES: dict[Kind, tuple[Measure, ...]] = {
    "classification": ("loss", "logit", "margin"),
    "multilabel": ("loss", "logit"),
    "regression": ("loss", "value"),
    "multioutput": ("loss", "value"),
    "custom": ("loss",),
}


NUMBERED: dict[Kind, tuple[str, str]] = {
    "classification": ("class", "classes"),
    "multilabel": ("label", "labels"),
    "regression": ("value", "values"),
    "multioutput": ("value", "values"),
    "custom": ("target", "targets"),
}


@dataclass(frozen=True)
class Target:
    """A measurement of one prediction.

    Attributes:
        measure: ``loss`` (nats), ``logit``, ``margin`` (the log-odds of the class, ``z_c - logsumexp`` of the
            other logits) or, in regression, the predicted ``value``.
        of: The class that is measured: the ``true`` label, the ``predicted`` class, or a class index. Where an
            example has several labels or values, ``true`` means all of them together and an index means one.
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

    def check(self, kind: Kind, n_targets: int) -> None:
        """Raise TargetError if a task of this kind, with so many classes, labels or values, cannot measure it."""
        if self.measure not in MEASURES[kind]:
            known = ", ".join(MEASURES[kind])
            msg = f"A {kind} task has no measure '{self.measure}'; choose one of {known}."
            raise TargetError(msg)
        several = kind in ("multilabel", "multioutput")
        if kind != "classification" and (self.of == "predicted" or (self.of != "true" and not several)):
            use = "'true' or a number" if several else "'true'"
            msg = f"A {kind} task has no classes, so the target '{self.of}' means nothing; use {use}."
            raise TargetError(msg)
        if isinstance(self.of, int) and not 0 <= self.of < n_targets:
            one, many = NUMBERED[kind]
            msg = f"There is no {one} {self.of}; {many} are numbered from 0 to {n_targets - 1}."
            raise TargetError(msg)
        if several and self.measure != "loss" and self.of == "true":
            msg = f"An example has {n_targets} {NUMBERED[kind][1]}; name the one whose {self.measure} is meant."
            raise TargetError(msg)
