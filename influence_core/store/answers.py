"""Predictions that were solved when somebody asked for them: one file a prediction and target, beside the shards.

They are outside a run's digests and have their own; one that is damaged counts as not solved, since it can be
solved again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from influence_core.errors import DamagedWorkspaceError, UnwritableWorkspaceError
from influence_core.store.files import write_sums
from influence_core.store.tensors import read_checked, write_tensors
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
        if name not in self.memory and (self.folder / name).is_file():
            try:
                self.memory[name] = read_checked(self.folder / name)
            except DamagedWorkspaceError:
                return None
        return self.memory.get(name)

    def keep(self, test_id: int, target: Target, tensors: Mapping[str, Tensor]) -> None:
        """Keep one answer: on disk, or for this process only where the folder cannot be written to."""
        name = _name(test_id, target)
        try:
            write_tensors(self.folder / name, tensors)
            write_sums(self.folder)
        except UnwritableWorkspaceError:
            pass
        self.memory[name] = dict(tensors)

    def ids(self, target: Target) -> list[int]:
        """Test ids that have an answer for a target, in ascending order."""
        prefix = _prefix(target)
        names = {path.name for path in self.folder.glob(f"{prefix}*.safetensors")} | set(self.memory)
        stems = (name.removesuffix(".safetensors") for name in names if name.startswith(prefix))
        return sorted(int(stem.removeprefix(prefix)) for stem in stems)


def _prefix(target: Target) -> str:
    return f"{target.measure}-{target.of}-"


def _name(test_id: int, target: Target) -> str:
    return f"{_prefix(target)}{test_id:07d}.safetensors"
