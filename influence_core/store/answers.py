"""Predictions that were solved when somebody asked for them: one file a prediction and target, beside the shards.

They are outside a run's digests. Each has its own digest beside it, so that two processes never write one file for
both their answers, and a new answer never vouches for an old one; one that is damaged counts as not solved, since it
can be solved again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from influence_core.errors import DamagedWorkspaceError, UnwritableWorkspaceError
from influence_core.store.files import digest, write_text
from influence_core.store.tensors import read_tensors, write_tensors
from influence_core.target import Target


@dataclass(frozen=True)
class Answers:
    """The answers of one run.

    Attributes:
        folder: Where they are; made with the first of them.
        memory: Answers that are at hand, by file name; the only home of those that could not be written.
    """

    folder: Path
    memory: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    def find(self, test_id: int, target: Target) -> dict[str, Tensor] | None:
        """The tensors of one answer, a row each; None if there is none."""
        name = _name(test_id, target)
        if name not in self.memory and self._is_whole(name):
            try:
                self.memory[name] = read_tensors(self.folder / name)
            except DamagedWorkspaceError:
                return None
        return self.memory.get(name)

    def keep(self, test_id: int, target: Target, tensors: Mapping[str, Tensor]) -> None:
        """Keep one answer: on disk, or for this process only where the folder cannot be written to."""
        name = _name(test_id, target)
        path = self.folder / name
        try:
            write_tensors(path, tensors)
            write_text(_digest_of(path), f"{digest(path)}  {name}\n")
        except UnwritableWorkspaceError:
            pass
        self.memory[name] = dict(tensors)

    def ids(self, target: Target) -> list[int]:
        """Test ids that have an answer for a target, in ascending order."""
        prefix = _prefix(target)
        names = {path.name for path in self.folder.glob(f"{prefix}*.safetensors")} | set(self.memory)
        stems = (name.removesuffix(".safetensors") for name in names if name.startswith(prefix))
        return sorted(int(stem.removeprefix(prefix)) for stem in stems)

    def _is_whole(self, name: str) -> bool:
        path, kept = self.folder / name, _digest_of(self.folder / name)
        if not (path.is_file() and kept.is_file()):
            return False
        return kept.read_bytes() == f"{digest(path)}  {name}\n".encode()


def _digest_of(path: Path) -> Path:
    return path.with_suffix(".sha256")  # the format of sha256sum --check


def _prefix(target: Target) -> str:
    return f"{target.measure}-{target.of}-"


def _name(test_id: int, target: Target) -> str:
    return f"{_prefix(target)}{test_id:07d}.safetensors"
