"""How far first-order scores of a training example are off, by a Newton step that needs no refit, in words."""

from __future__ import annotations

import numpy as np

from dashboard.services.wording import percent
from influence_core.methods import Newton
from influence_core.store import Run

LARGE = 0.25  # of the score: what a card says by itself


def sentence(run: Run, train_id: int) -> str:
    """What first order misses of one training example's effect; empty where it is not known."""
    said = off(run, train_id)
    if not said:
        return ""
    if run.method == Newton.name:
        return f"First order would be about {said} here; these scores are Newton steps."
    return f"First order is about {said} here, by a Newton step without this example."


def off(run: Run, train_id: int) -> str:
    """How far first order is off, such as ``12 % too small``; empty where that is not known."""
    gap = run.first_order_gap
    if gap is None or not gap.relative[train_id] > 0:
        return ""
    direction = "too small" if gap.first[train_id] <= gap.newton[train_id] else "too large"
    return f"{percent(float(gap.relative[train_id]))} {direction}"


def flags(run: Run) -> dict[int, str]:
    """Training examples whose first-order scores are far off, in words; of Newton's own scores none are."""
    gap = run.first_order_gap
    if gap is None or run.method == Newton.name:
        return {}
    return {int(i): f"scores about {off(run, int(i))}" for i in np.flatnonzero(gap.relative.numpy() >= LARGE)}
