"""Rows in shards: more of them than fit into memory, and possibly rounded to bfloat16."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from influence_core.gradient_rows import DenseRows, GradientRows
from influence_core.row_blocks import share_out

RESCORED = 200  # of either sign and each column: what is scored again where rows are rounded


@dataclass(frozen=True)
class ShardedRows:
    """Rows in shards that follow each other, in memory or memory-mapped, and possibly rounded.

    Attributes:
        shards: Shape ``(n_s, K)`` each, float or bfloat16.
        exact: Of rounded rows: some ids' rows before they were rounded, shape ``(m,)`` to ``(m, K)``; read from float32
            shards or computed anew. None if the shards are all there is.
    """

    shards: tuple[Tensor, ...]
    exact: Callable[[Tensor], Tensor] | None = None

    def __len__(self) -> int:
        """The number of examples."""
        return self._ends[-1]

    def dot(self, vectors: Tensor) -> Tensor:
        """Every row times every column; of rounded rows the strongest of each sign and column are scored again."""
        dtype = torch.promote_types(self.shards[0].dtype, torch.float32)
        result = self.shards[0].new_empty(len(self), vectors.shape[1], dtype=dtype)

        def work(parts: Iterable[tuple[int, GradientRows]]) -> None:
            for start, part in parts:
                result[start : start + len(part)] = part.dot(vectors)

        share_out(work, self.parts())
        if self.exact is not None:
            k = min(RESCORED, len(self))
            for column, vector in zip(result.unbind(1), vectors.unbind(1), strict=True):
                ids = torch.cat([column.topk(k).indices, column.topk(k, largest=False).indices])
                column[ids] = self.take(ids).dot(vector[:, None])[:, 0].to(dtype)
        return result

    def rough(self, vectors: Tensor) -> Tensor:
        """Every row times every column, to three digits of rounded rows."""
        return torch.cat([part.rough(vectors) for _, part in self.parts()])

    def dense(self, start: int, stop: int) -> Tensor:
        """Some rows in the best precision that there is."""
        return self._at(torch.arange(start, min(stop, len(self)), device=self.shards[0].device))

    def parts(self) -> Iterator[tuple[int, GradientRows]]:
        """Views of the shards."""
        for shard, end in zip(self.shards, self._ends, strict=True):
            for start, part in DenseRows(shard).parts():
                yield end - len(shard) + start, part

    def take(self, ids: Tensor) -> GradientRows:
        """Some rows in the best precision that there is."""
        return DenseRows(self._at(ids))

    def _at(self, ids: Tensor) -> Tensor:
        return gathered(self.shards, ids) if self.exact is None else self.exact(ids)

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(len(shard) for shard in self.shards))


def gathered(shards: tuple[Tensor, ...], ids: Tensor) -> Tensor:
    """Rows of shards that follow each other, by their places in the whole, shape ``(m,)`` to ``(m, K)``."""
    first, found = 0, shards[0].new_empty(len(ids), shards[0].shape[1])
    for shard in shards:
        here = (ids >= first) & (ids < first + len(shard))
        if here.any():
            found[here] = shard[ids[here] - first]
        first += len(shard)
    return found


def shard_key(name: str, start: int) -> str:
    """What a shard of the rows ``name`` is called among the tensors of a fit."""
    return f"{name}/{start:09d}"


def sharded(tensors: Mapping[str, Tensor], name: str, *, exact: bool = True) -> ShardedRows:
    """The rows that a streamed stage made: its shards, and those in float32 beside them if they were rounded.

    Args:
        tensors: Of the fit.
        name: Of the rows.
        exact: Whether the strongest scores are corrected where the rows are rounded.
    """
    shards, full = (_shards(tensors, key) for key in (name, in_full(name)))
    return ShardedRows(shards, (lambda ids: gathered(full, ids)) if full and exact else None)


def in_full(name: str) -> str:
    """The name of the float32 rows beside those that were rounded."""
    return f"{name}.float32"


def _shards(tensors: Mapping[str, Tensor], name: str) -> tuple[Tensor, ...]:
    return tuple(tensors[key] for key in sorted(tensors) if key.startswith(f"{name}/"))
