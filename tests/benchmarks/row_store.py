"""A store of 1,000,000 x 256 bfloat16 rows on disk: top 20 of both signs, against reading its bytes once."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from influence_core.methods.base import RowStage, Tensors
from influence_core.sharded_rows import ShardedRows
from influence_core.store.row_store import RowStore, stored_rows
from influence_core.strongest import strongest
from tests.benchmarks.figures import Figure, command
from tests.benchmarks.races import Race
from tests.benchmarks.timing import p95, taken

ROWS, WIDTH, TOP = 1_000_000, 256, 20
QUERIES, WARM_UP = 100, 20


def drawn(_: Tensors, start: int, stop: int) -> dict[str, Tensor]:
    """Rows of a falling spectrum, as projected gradients have it; each shard from its own seed."""
    rows = torch.randn(stop - start, WIDTH, generator=torch.Generator().manual_seed(start))
    return {"rows": rows * torch.arange(1, WIDTH + 1) ** -0.5}


def bandwidth(rows: ShardedRows) -> float:
    """Bytes a second when all shards are summed as whole numbers, the fastest reading torch has; the median."""
    read = taken(lambda: [shard.view(torch.int64).sum() for shard in rows.shards], QUERIES, WARM_UP)
    return float(sum(shard.numel() * shard.element_size() for shard in rows.shards) / np.median(read))


def run() -> list[Figure | Race]:
    """Build, open, ask."""
    columns = torch.randn(WIDTH, QUERIES + WARM_UP, generator=torch.Generator().manual_seed(1)).unbind(1)
    with tempfile.TemporaryDirectory() as folder:
        stored_rows(Path(folder), RowStage("rows", "Rows", ROWS, drawn, shard=131_072), {}, lambda done, total: None)
        rows = RowStore(Path(folder), "rows").rows(complete=False)
        asked = iter(columns)
        seconds = taken(lambda: strongest(rows, next(asked)[:, None], TOP), QUERIES, WARM_UP)
        size = sum(shard.numel() * shard.element_size() for shard in rows.shards)
        speed = bandwidth(rows)
        right = [_is_right(rows, column[:, None]) for column in columns[:5]]
    return [
        Figure("read bandwidth", speed / 1e9, "GB/s", note="median of summing the mapped shards"),
        Figure("top 20, median", float(np.median(seconds)) * 1000, "ms"),
        Race(
            f"top {TOP} of both signs and histogram in {ROWS:,} x {WIDTH} bfloat16, p95",
            "reading its bytes once",
            required=3,
            seconds_ours=p95(seconds),
            seconds_theirs=size / speed,
            agreement=float(np.mean(right)),
            sense="most",
        ),
    ]


def _is_right(rows: ShardedRows, column: Tensor) -> bool:
    """Whether the top is that of all rows in float32."""
    exact = torch.cat([(drawn({}, start, start + len(s))["rows"] @ column)[:, 0] for start, s in _starts(rows)])
    (found,) = strongest(rows, column, TOP)
    return torch.equal(exact.topk(TOP).indices, found.largest.ids)


def _starts(rows: ShardedRows) -> list[tuple[int, Tensor]]:
    ends = np.cumsum([len(shard) for shard in rows.shards])
    return [(int(end) - len(shard), shard) for end, shard in zip(ends, rows.shards, strict=True)]


def main() -> None:
    """Run this benchmark alone."""
    command("row_store", run)


if __name__ == "__main__":
    main()
