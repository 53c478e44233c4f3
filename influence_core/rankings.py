"""Second rankings of the same scores, for which a few examples that move everything do not come first everywhere.

Barshan, Brunet and Dziugaite, "RelatIF: Identifying Explanatory Training Examples via Relative Influence" (AISTATS
2020). The sign of a score is never changed, only the order within the helpful and within the harmful examples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from influence_core.errors import MethodError

Rank = Literal["effect", "relative", "relative-theta", "cosine"]
RANKS: tuple[Rank, ...] = get_args(Rank)
EXPLAINED: dict[Rank, str] = {
    "effect": "By the score itself.",
    "relative": "By the score over the root of the example's self-influence (RelatIF): what it does to this "
    "prediction for what it does to itself, so that odd examples do not come first everywhere.",
    "relative-theta": "By the score over the length of the step that removing the example makes the parameters take.",
    "cosine": "By the score over the length of the example's gradient: by direction alone, 1 is the largest.",
}


@dataclass(frozen=True)
class Norms:
    """What second rankings divide by, one number a training example; None where it is not known.

    Attributes:
        self_influence: ``(1/n) grad loss_i^T (H + damping I)^-1 grad loss_i``, shape ``(n,)``.
        gradient_norms: ``|grad loss_i|``, shape ``(n,)``.
        step_norms: ``|(H + damping I)^-1 grad loss_i|``, shape ``(n,)``.
    """

    self_influence: Tensor | None = None
    gradient_norms: Tensor | None = None
    step_norms: Tensor | None = None

    @property
    def ranks(self) -> tuple[Rank, ...]:
        """The rankings that can be made."""
        return tuple(rank for rank in RANKS if rank == "effect" or self._divisor(rank) is not None)

    def by(self, rank: Rank, scores: Tensor) -> Tensor:
        """The numbers to rank by, one a training example, in the sign of its score.

        ``effect``: the score. ``relative``: ``score / sqrt(self-influence)``, 1/sqrt(n) times the loss-relative score
        of the paper. ``relative-theta``: ``score / |(H + damping I)^-1 grad loss_i|``, 1/n times its theta-relative
        score. ``cosine``: ``score / |grad loss_i|`` as a share of the largest such size, which has the order of the
        cosine between ``(H + damping I)^-1 grad m`` and ``grad loss_i``: for one prediction they differ by a factor.
        An example without a gradient has a score of 0 and keeps it.

        Args:
            rank: Which.
            scores: Of one prediction, shape ``(n,)``.

        Raises:
            MethodError: If what it divides by is not known.
        """
        if rank == "effect":
            return scores
        divisor = self._divisor(rank)
        if divisor is None:
            msg = f"What ranking by {rank} divides by is not known here; rank by {' or '.join(self.ranks)}."
            raise MethodError(msg)
        numbers = torch.where(divisor > 0, scores.double() / divisor.where(divisor > 0, 1), 0.0)
        return numbers / numbers.abs().max().clamp_min(1e-300) if rank == "cosine" else numbers

    def _divisor(self, rank: Rank) -> Tensor | None:
        known: dict[Rank, Callable[[], Tensor | None]] = {
            "relative": lambda: None if self.self_influence is None else self.self_influence.clamp_min(0).sqrt(),
            "relative-theta": lambda: self.step_norms,
            "cosine": lambda: self.gradient_norms,
        }
        found = known[rank]()
        return None if found is None else found.double()
