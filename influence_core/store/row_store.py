"""Rows on disk, one a training example: shards that are whole or absent, memory-mapped when they are read.

Many rows are kept in bfloat16, with float32 shards beside them from which the strongest scores are computed again:
half the bytes to read, and the order of what is shown is that of full precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from influence_core.errors import DamagedWorkspaceError
from influence_core.methods.base import RowStage, Stage, Tensors, Tick
from influence_core.sharded_rows import ShardedRows, in_full, shard_key, sharded
from influence_core.store.files import listed
from influence_core.store.tensors import read_checked, read_tensors, write_tensors

SMALL = 2**28  # bytes of float32 rows up to which nothing is rounded


@dataclass(frozen=True)
class RowStore:
    """The shards of one stage in a folder.

    Attributes:
        folder: Of the run.
        name: Of the stage; the files are ``NAME-START-STOP.safetensors``, and ``NAME.float32-...`` beside rounded ones.
    """

    folder: Path
    name: str

    def write(self, start: int, stop: int, shard: Mapping[str, Tensor], *, rounded: bool) -> None:
        """Write one shard: float32, or bfloat16 and float32 beside it. Whole numbers are kept as they are."""
        full = {key: rows.float() if rows.is_floating_point() else rows for key, rows in shard.items()}
        if rounded:
            beside = {in_full(key): rows for key, rows in full.items() if _is_wide(rows)}
            write_tensors(self._path(in_full(self.name), start, stop), beside)
            full = {key: rows.bfloat16() if _is_wide(rows) else rows for key, rows in full.items()}
        write_tensors(self._path(self.name, start, stop), full)

    def has(self, start: int, stop: int) -> bool:
        """Whether a shard is there and whole, with the float32 rows beside it if it is rounded."""
        try:
            kept = read_tensors(self._path(self.name, start, stop))
            if any(rows.dtype is torch.bfloat16 for rows in kept.values()):
                read_tensors(self._path(in_full(self.name), start, stop))
        except DamagedWorkspaceError:
            return False
        return True

    def tensors(self, *, complete: bool = True) -> dict[str, Tensor]:
        """All shards by ``sharded_rows.shard_key``, memory-mapped.

        Args:
            complete: Whether the folder is a complete run's, whose files are compared with its digests.

        Raises:
            DamagedWorkspaceError: If a file is missing, truncated or altered.
        """
        found: dict[str, Tensor] = {}
        for name in (self.name, in_full(self.name)):
            paths = self.folder.glob(f"{name}-*.safetensors") if not complete else listed(self.folder, f"{name}-")
            for path in sorted(paths):
                start = int(path.stem.split("-")[-2])
                read = read_checked(path) if complete else read_tensors(path)
                found |= {shard_key(key, start): rows for key, rows in read.items()}
        return found

    def rows(self, key: str = "rows", *, complete: bool = True) -> ShardedRows:
        """The rows of one name."""
        return sharded(self.tensors(complete=complete), key)

    def _path(self, name: str, start: int, stop: int) -> Path:
        return self.folder / f"{name}-{start:09d}-{stop:09d}.safetensors"


def stored_rows(folder: Path, stage: RowStage, earlier: Tensors, tick: Tick) -> dict[str, Tensor]:
    """Make the shards of a stage that are not there yet, one in memory at a time; all of them, memory-mapped.

    Raises:
        MethodError: If a row holds NaN or infinity.
        UnwritableWorkspaceError: If the folder is read-only, or the disk is full; what is written is kept.
    """
    store = RowStore(folder, stage.name)
    for start, stop in stage.bounds:
        if not store.has(start, stop):
            shard = stage.rows(earlier, start, stop)
            width = sum(rows[0].numel() for rows in shard.values() if _is_wide(rows))
            store.write(start, stop, shard, rounded=4 * stage.total * width > SMALL)
        tick(stop, stage.total)
    return store.tensors(complete=False)


def read_stage(folder: Path, stage: Stage | RowStage) -> dict[str, Tensor]:
    """What a stage of a complete run left.

    Raises:
        DamagedWorkspaceError: If a file is missing, truncated or altered.
    """
    if isinstance(stage, RowStage):
        return RowStore(folder, stage.name).tensors()
    kept = read_checked(folder / f"{stage.name}.safetensors")
    return in_double(kept) if stage.in_double else kept


def read_rows(folder: Path, name: str) -> dict[str, Tensor]:
    """The rows of a complete run, whether the stage that made them was streamed or not.

    Raises:
        DamagedWorkspaceError: If a file is missing, truncated or altered.
    """
    shards = RowStore(folder, name).tensors()
    return shards or read_checked(folder / f"{name}.safetensors")


def in_double(tensors: Tensors) -> dict[str, Tensor]:
    """What a stage of a fit left, in the precision that it is computed with."""
    return {name: t.double() if t.is_floating_point() else t for name, t in tensors.items()}


def _is_wide(rows: Tensor) -> bool:
    """Vectors are rounded, single numbers are not."""
    return rows.is_floating_point() and rows.dim() > 1
