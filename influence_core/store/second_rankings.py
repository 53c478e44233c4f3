"""What a run keeps for second rankings of its scores, and why it may lack it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from influence_core.errors import MethodError
from influence_core.rankings import RANKS, Norms, Rank
from influence_core.store.tensors import read_checked

if TYPE_CHECKING:
    from influence_core.store.run import Run

MISSING: dict[Rank, str] = {"relative": "self-influence", "relative-theta": "length of the examples' steps"}


def kept_norms(run: Run) -> Norms:
    """As far as its folder holds them."""
    path, own = run.folder / "norms.safetensors", run.self_influence()
    kept = read_checked(path) if path.is_file() else {}
    return Norms(None if own is None else torch.from_numpy(own), kept.get("gradient_norms"), kept.get("step_norms"))


def check_rank(run: Run, rank: Rank, damping: float | None = None) -> None:
    """Raise MethodError, with the reason, if the run does not know what a ranking divides by.

    Args:
        run: The run.
        rank: What to rank by.
        damping: Of the scores, where it may be another than the run's.
    """
    known = run.norms.ranks
    if rank in MISSING and run.is_direct and damping not in (None, run.damping):
        msg = (
            f"This run keeps the {MISSING[rank]} under its own damping {run.damping:g}, so scores under damping "
            f"{damping:g} cannot be ranked by {rank}; rank by cosine, or build a run with that damping."
        )
        raise MethodError(msg)
    if rank in known:
        return
    if rank not in RANKS:
        why = f"There is no ranking '{rank}'"
    elif rank in MISSING and run.norms.gradient_norms is not None:
        why = f"The method {run.method} gives no {MISSING[rank]} to rank by {rank}"
    elif run.reading is not None:
        why = f"The scores of the method {run.method} are no effects that could be ranked by {rank}"
    else:
        why = f"This run keeps nothing to rank by {rank}; where the model gives it, the same `influence build` adds it"
    msg = f"{why}; rank by {' or '.join(known)}."
    raise MethodError(msg)
