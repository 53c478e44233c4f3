"""Every method of the menu with settings under which its promises can be held to many digits; new ones come by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch

from influence_core.methods import METHODS
from influence_core.project import Project
from tests.influence_core import samples
from tests.influence_core.test_baselines import with_checkpoints

DAMPING = 0.5  # enough for the curvature of every sample that is used here
RANGE = range(6)  # the test examples of a sample

SETTINGS: dict[str, dict[str, Any]] = {
    "exact": {"curvature": "gauss-newton"},
    "newton": {"curvature": "gauss-newton"},
    "cg": {"tolerance": 1e-11},
    "lissa": {"tolerance": 1e-4, "batch": 8, "passes": 4000},
    "arnoldi": {"kept": 200},
    "logra": {"rank": 50},
}
WITHOUT_A_SOLVE_FOR_EACH = ("cg", "lissa")  # their self-influence is that of ekfac
NOT_LINEAR = ("grad-cosine", "similarity", "loss", "random")  # in what is measured
NOT_ABOUT_THE_ROW = ("random",)  # its numbers belong to places
SAMPLED = {"lissa": 1e-3}  # relative error that the stated residual of 1e-4 allows on these curvatures
IN_FLOAT32 = ("similarity",)  # features are kept in it
FIRST_ORDER = tuple(name for name, kind in METHODS.items() if kind.is_estimate and name != "newton")


def precise(name: str, **settings: Any) -> Any:
    """One method, damped and in float64 where it has a choice, with nothing left out where it can leave out."""
    kind = METHODS[name]
    known = {one.name for one in fields(kind)}
    general = {"damping": DAMPING, "precision": "float64"}
    made = kind(**{key: value for key, value in general.items() if key in known} | SETTINGS.get(name, {}))
    return replace(made, **settings)


def has(name: str, setting: str) -> bool:
    """Whether a method has a setting of that name."""
    return setting in {one.name for one in fields(METHODS[name])}


def project_of(name: str = "mlp") -> Project:
    """A sample that every method serves."""
    return with_checkpoints(samples.sample(name))


def scores_of(method: Any, project: Project, ids: Sequence[int] = RANGE) -> torch.Tensor:
    """Fit, and score some test predictions."""
    values: torch.Tensor = method.fit(project).scores(ids).values
    return values


def error_of(name: str, rounding: float = 1e-10) -> float:
    """How far two answers to one question may be from each other: rounding, or what a sampling method states."""
    return SAMPLED.get(name, 1e-6 if name in IN_FLOAT32 else rounding)
