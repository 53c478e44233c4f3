"""What the training examples of a prediction can be ranked by on the page."""

from __future__ import annotations

from dashboard.services.refining import self_influence_named
from influence_core.rankings import EXPLAINED, Rank
from influence_core.store import Run

__all__ = ["EFFECT", "Rank", "explained", "offered"]

EFFECT: Rank = "effect"
ON_PAGE: tuple[Rank, ...] = (EFFECT, "relative", "cosine")


def offered(run: Run) -> list[Rank]:
    """The rankings that a run can make."""
    known = run.norms.ranks
    return [rank for rank in ON_PAGE if rank in known]


def explained(run: Run, rank: Rank) -> str:
    """What a ranking goes by, and whose self-influence it is where that is another method's."""
    return EXPLAINED[rank].replace("self-influence", self_influence_named(run))
