"""The target to explain, as a link writes it: ``loss-true``, ``logit-predicted``, ``margin-4``."""

from __future__ import annotations

from dataclasses import dataclass

from influence_core.errors import TargetError
from influence_core.target import MEASURES, Kind, Measure, Of, Target

DEFAULT = "loss-true"
MEASURE_NAMES = {
    "loss": "loss",
    "logit": "logit (the model's raw output)",
    "margin": "margin (log-odds against the rest)",
    "value": "predicted value",
}


def parse(text: str, kind: Kind, n_classes: int) -> Target:
    """The target that a link asks for; an empty text is the loss of the true label.

    Raises:
        TargetError: If it is no target, or not one of this kind of task.
    """
    measure, _, of = (text or DEFAULT).partition("-")
    known: dict[str, Measure] = {name: name for names in MEASURES.values() for name in names}
    if measure not in known or not (of in {"true", "predicted"} or of.isdecimal()):
        msg = f"'{text}' is no target; write for example 'loss-true', 'logit-predicted' or 'margin-3'."
        raise TargetError(msg)
    chosen: Of = int(of) if of.isdecimal() else ("true" if of == "true" else "predicted")
    if kind in ("multilabel", "multioutput") and measure != "loss" and chosen == "true":
        chosen = 0  # a menu that leaves the loss of all together arrives at the first one's value
    target = Target(known[measure], chosen)
    target.check(kind, n_classes)
    return target


@dataclass(frozen=True)
class Choices:
    """What can be explained of one prediction.

    Attributes:
        measures: Name in links -> words.
        classes: ``true``, ``predicted`` or a class number -> words; empty in regression.
    """

    measures: dict[str, str]
    classes: dict[str, str]


def choices(kind: Kind, class_names: list[str], label: str, prediction: str) -> Choices:
    """All targets of a prediction; ``label`` and ``prediction`` are class names, ``class_names`` all that has one."""
    measures: dict[str, str] = {name: MEASURE_NAMES[name] for name in MEASURES[kind]}
    if kind in ("multilabel", "multioutput"):
        return Choices(measures, {"true": "all together"} | {str(i): name for i, name in enumerate(class_names)})
    if kind != "classification":
        return Choices(measures, {})
    named = {"true": f"{label} (true label)", "predicted": f"{prediction} (predicted)"}
    others = {str(i): name for i, name in enumerate(class_names) if name not in {label, prediction}}
    return Choices(measures, named | others)
