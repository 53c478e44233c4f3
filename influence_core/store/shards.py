"""Score shards: the test predictions of a run, a few at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["scores", "first"]  # answers, and those at once that are to be replaced by one


@dataclass(frozen=True)
class Shard:
    """Places ``start`` to ``stop`` of a run's order of test predictions.

    The file holds, a row each, ``scores`` (float32), and what any other target needs: ``outputs``, ``labels`` and
    ``jacobian``; and the head's ``basis``.
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
