"""Score shards: the test predictions of a run, a few at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["scores", "first"]  # answers, and those at once that are to be replaced by one
STRONGEST = 200  # of either sign of a test prediction
SMALL = 2**28  # bytes


@dataclass(frozen=True)
class Shard:
    """Places ``start`` to ``stop`` of a run's order of test predictions.

    The file holds, a row each, ``scores`` (float32; in a large run bfloat16 with the ``strongest`` in float32 and their
    ``strongest_ids`` beside), and what any other target needs: ``outputs``, ``labels`` and ``jacobian``; and the head's
    ``basis``. An exact run on a head for which all scores would be large has none: they are computed when asked for.
    """

    start: int
    stop: int
    path: Path

    @classmethod
    def at(cls, folder: Path, start: int, stop: int, kind: Kind = "scores") -> Shard:
        """The shard of these places."""
        return cls(start, stop, folder / f"{kind}-{start:07d}-{stop:07d}.safetensors")


def shards_of(folder: Path, kind: Kind = "scores") -> list[Shard]:
    """The shards on disk that follow each other from the first place."""
    whole: list[Shard] = []
    for path in sorted(folder.glob(f"{kind}-*.safetensors")):
        start, stop = map(int, path.stem.split("-")[1:])
        if start == (whole[-1].stop if whole else 0):
            whole.append(Shard(start, stop, path))
    return whole


def lean(kept: Mapping[str, Tensor], *, pairs: int) -> dict[str, Tensor]:
    """What a shard keeps: where all scores of a run would be large, bfloat16 and the strongest in float32 beside.

    Args:
        kept: Of some test predictions, ``scores`` in float32 among it.
        pairs: Number of scores of a whole run.
    """
    if not are_many(pairs):
        return dict(kept)
    scores = kept["scores"]
    k = min(STRONGEST, scores.shape[1])
    ids = torch.cat([scores.topk(k).indices, scores.topk(k, largest=False).indices], dim=1)
    beside = {"strongest_ids": ids.int(), "strongest": scores.gather(1, ids)}
    return {**kept, **beside, "scores": scores.bfloat16()}


def are_many(pairs: int) -> bool:
    """Whether float32 scores of that many pairs of a test and a training example are large."""
    return 4 * pairs > SMALL
