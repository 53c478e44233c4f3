"""The strongest of many scores, of both signs, and how all of them are distributed; never all scores at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from influence_core.gradient_rows import GradientRows
from influence_core.row_blocks import share_out
from influence_core.sharded_rows import RESCORED

TOGETHER = 16  # columns in one pass over the rows
BINS = 60
SORTED = 8  # times as many as are wanted are kept before all but these are let go
_PATTERNS = 2**16


@dataclass(frozen=True)
class Side:
    """Rows in the order of their scores, equal ones by id.

    Attributes:
        ids: Shape ``(k,)``.
        scores: Shape ``(k,)``.
    """

    ids: Tensor
    scores: Tensor


@dataclass(frozen=True)
class Strongest:
    """What one column finds among the rows.

    Attributes:
        largest: The largest scores first.
        smallest: The smallest scores first.
        edges: Of the bins of a histogram of all scores, from the smallest to the largest, shape ``(BINS + 1,)``.
        counts: Rows in each bin, shape ``(BINS,)``; a score is sorted in by its first three digits.
    """

    largest: Side
    smallest: Side
    edges: Tensor
    counts: Tensor


def strongest(rows: GradientRows, columns: Tensor, k: int) -> list[Strongest]:
    """The ``k`` largest and the ``k`` smallest of ``rows . column``, for each column.

    One pass over the rows for 16 columns. More than ``k`` rows are remembered on the way and scored again in the best
    precision that there is, so that rounded rows give the order of full precision.

    Args:
        rows: Shape ``(n, p)`` in some form.
        columns: Shape ``(p, m)``.
        k: At most ``n``.
    """
    found: list[Strongest] = []
    for some in torch.split(columns, TOGETHER, dim=1):
        kept = max(k, RESCORED)

        def work(parts: Iterable[tuple[int, GradientRows]], some: Tensor = some, kept: int = kept) -> list[_Running]:
            runnings = [_Running(kept) for _ in range(some.shape[1])]
            for start, part in parts:
                scores = part.rough(some).cpu()
                for running, column in zip(runnings, scores.unbind(1), strict=True):
                    running.see(start, column.contiguous())
            return runnings

        for column, runnings in zip(some.unbind(1), zip(*share_out(work, rows.parts()), strict=True), strict=True):
            merged = _Running(kept)
            for running in runnings:
                merged.merge(running)
            found.append(merged.result(rows, column[:, None], k))
    return found


class _Running:
    """The best so far of both signs, and how often each pattern of sign, exponent and 7 bits occurred in the scores."""

    def __init__(self, k: int) -> None:
        self.k = k
        self.sides = {1: _empty(), -1: _empty()}
        self.worst = {1: -torch.inf, -1: torch.inf}  # of those that may still be among the best
        self.counts = torch.zeros(_PATTERNS, dtype=torch.int64, device="cpu")

    def see(self, start: int, scores: Tensor) -> None:
        """Take in the scores of rows that follow each other."""
        patterns = (scores.float().view(torch.int32) >> 16) + _PATTERNS // 2  # the upper half of a float32
        self.counts += torch.bincount(patterns, minlength=_PATTERNS)
        for sign, side in self.sides.items():
            if len(side.ids) < self.k < len(scores):
                self.worst[sign] = float(scores.topk(self.k, largest=sign > 0).values[-1])
            worst = self.worst[sign]
            kept = (scores >= worst if sign > 0 else scores <= worst).nonzero()[:, 0]
            if len(kept):
                self._add(sign, Side(kept + start, scores[kept]))

    def merge(self, other: _Running) -> None:
        """Take in what another has seen."""
        self.counts += other.counts
        for sign, side in other.sides.items():
            self._add(sign, side)

    def result(self, rows: GradientRows, column: Tensor, k: int) -> Strongest:
        """The best of the best after they were scored again."""
        sides = {}
        for sign, found in self.sides.items():
            side = _first(sign, found, self.k)
            again = rows.take(side.ids).dot(column)[:, 0].cpu()
            sides[sign] = _first(sign, Side(side.ids, again), k)
        low, high = (float(sides[sign].scores[0]) for sign in (-1, 1))
        halves = torch.arange(_PATTERNS, dtype=torch.int32, device="cpu") - _PATTERNS // 2
        values = ((halves << 16) + _PATTERNS // 2).view(torch.float32).double()  # the middle of what shares a pattern
        seen = self.counts > 0
        edges = torch.linspace(low, high if high > low else low + 1, BINS + 1, dtype=torch.float64, device="cpu")
        within = values[seen].clamp(edges[0], edges[-1])
        counts = torch.histogram(within, edges, weight=self.counts[seen].double()).hist.long()
        return Strongest(sides[1], sides[-1], edges, counts)

    def _add(self, sign: int, more: Side) -> None:
        side = self.sides[sign]
        both = Side(torch.cat([side.ids, more.ids]), torch.cat([side.scores.to(more.scores.dtype), more.scores]))
        if len(both.ids) > SORTED * self.k:  # now and then: sorting after every part took as long as looking for them
            both = _first(sign, both, self.k)
            self.worst[sign] = float(both.scores[-1])
        self.sides[sign] = both


def _empty() -> Side:
    return Side(torch.empty(0, dtype=torch.int64, device="cpu"), torch.empty(0, device="cpu"))


def _first(sign: int, side: Side, k: int) -> Side:
    """The ``k`` largest of ``sign * scores``; equal ones by id, whatever the order in which they came."""
    by_id = side.ids.argsort()
    order = by_id[(sign * side.scores[by_id]).argsort(descending=True, stable=True)[:k]]
    return Side(side.ids[order], side.scores[order])
