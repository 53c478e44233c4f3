"""What a run has solved: the shards of its build, and the answers that were asked for later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from influence_core.errors import DamagedWorkspaceError
from influence_core.report import SolveReport, from_tensors
from influence_core.rows import OutputRows
from influence_core.store.answers import Answers
from influence_core.store.shards import Shard, shards_of
from influence_core.store.tensors import read_checked, read_tensors
from influence_core.target import Target


@dataclass(frozen=True)
class SolvedRow:
    """One test prediction.

    Attributes:
        tensors: Of the file that holds it.
        row: Its row there.
    """

    tensors: dict[str, Tensor]
    row: int

    @property
    def has_scores(self) -> bool:
        """Whether its scores are stored; else they are computed from the rows of the run."""
        return "scores" in self.tensors

    @property
    def scores(self) -> Tensor:
        """Against every training example, float32, shape ``(n_train,)``; the strongest unrounded in any case."""
        row = self.tensors["scores"][self.row].float().clone()
        if "strongest" in self.tensors:
            row[self.tensors["strongest_ids"][self.row].long()] = self.tensors["strongest"][self.row]
        return row

    @property
    def solve(self) -> SolveReport | None:
        """How it was solved, by an iterative method."""
        if "legs" not in self.tensors:
            return None
        return from_tensors(*(self.tensors[name][self.row] for name in ("legs", "trace", "tolerance")))

    @property
    def converged(self) -> bool:
        """Whether its scores are an answer."""
        return self.solve is None or self.solve.converged


def output_rows(tensors: Mapping[str, Tensor]) -> OutputRows:
    """What a file keeps of its test predictions."""
    return OutputRows(
        **{name: tensors[name] for name in ("outputs", "labels", "jacobian", "basis", "gram") if name in tensors}
    )


def _column(tensors: Mapping[str, Tensor], train_id: int) -> Tensor:
    """One training example's scores in one file, float32."""
    column = tensors["scores"][:, train_id].float().clone()
    if "strongest" in tensors:
        row, place = (tensors["strongest_ids"] == train_id).nonzero(as_tuple=True)
        column[row] = tensors["strongest"][row, place]
    return column


def solved_rows(shard: Shard) -> list[SolvedRow]:
    """The rows of one shard of a build that goes on; its folder has no digests yet."""
    tensors = read_tensors(shard.path)
    return [SolvedRow(tensors, row) for row in range(shard.stop - shard.start)]


@dataclass(frozen=True)
class SolvedRows:
    """The rows of one run.

    Attributes:
        folder: Of the run.
        order: Test ids, most worth explaining first.
        stored: How many of them the build has solved.
        target: The measurement that was stored.
    """

    folder: Path
    order: Sequence[int]
    stored: int
    target: Target

    @cached_property
    def answers(self) -> Answers:
        """What was solved after the build."""
        return Answers(self.folder / "answers")

    @cached_property
    def ids(self) -> np.ndarray:
        """Test ids of the build whose scores converged, most worth explaining first."""
        ids: np.ndarray = np.array(self.order[: self.stored], dtype=np.int64)[self._converged]
        return ids

    @property
    def answered(self) -> list[int]:
        """Test ids that were solved for the stored measurement after the build, and are answers, ascending."""
        found = ((test_id, self.answers.find(test_id, self.target)) for test_id in self.answers.ids(self.target))
        return [test_id for test_id, kept in found if kept is not None and SolvedRow(kept, 0).converged]

    def find(self, test_id: int, target: Target) -> SolvedRow | None:
        """One prediction; None if it is not solved for this target."""
        place = self._places.get(test_id) if target == self.target else None
        if place is None:
            answer = self.answers.find(test_id, target)
            return None if answer is None else SolvedRow(answer, 0)
        shard = next(s for s in self._shards if s.start <= place < s.stop)
        return SolvedRow(self._file(shard.path), place - shard.start)

    @property
    def have_scores(self) -> bool:
        """Whether scores are stored at all; else they are computed from the rows of the run."""
        return all("scores" in self._file(shard.path) for shard in self._shards[:1])

    def first(self, test_id: int) -> SolvedRow | None:
        """The answer at once to one prediction, for the stored measurement; None if the method gives none."""
        place = self._order.get(test_id)
        shard = next((s for s in self._firsts if place is not None and s.start <= place < s.stop), None)
        return None if shard is None or place is None else SolvedRow(self._file(shard.path), place - shard.start)

    @property
    def has_first(self) -> bool:
        """Whether every prediction has an answer at once."""
        return bool(self._firsts)

    def column(self, train_id: int) -> np.ndarray:
        """One training example's stored score for each of ``ids``, float64."""
        return self.of_converged(torch.cat([_column(self._file(shard.path), train_id) for shard in self._shards]))

    def of_converged(self, values: Tensor) -> np.ndarray:
        """Of values for each stored test prediction those for ``ids``, float64."""
        kept: np.ndarray = values[: self.stored].double().numpy()[self._converged]
        return kept

    def outputs(self) -> Iterator[OutputRows]:
        """What is kept of the test predictions of a direct run, a shard at a time."""
        for shard in self._shards:
            yield output_rows(self._file(shard.path))

    @cached_property
    def _places(self) -> dict[int, int]:
        return {test_id: place for place, test_id in enumerate(self.order[: self.stored])}

    @cached_property
    def _order(self) -> dict[int, int]:
        return {test_id: place for place, test_id in enumerate(self.order)}

    @cached_property
    def _firsts(self) -> list[Shard]:
        return shards_of(self.folder, "first")

    @cached_property
    def _converged(self) -> np.ndarray:
        kept = [(self._file(shard.path), shard.stop - shard.start) for shard in self._shards]
        flags = [SolvedRow(tensors, row).converged for tensors, rows in kept for row in range(rows)]
        return np.array(flags[: self.stored], dtype=bool)

    @cached_property
    def _shards(self) -> list[Shard]:
        shards = [shard for shard in shards_of(self.folder) if shard.start < self.stored]
        known = shards[-1].stop if shards else 0
        if known < self.stored:
            msg = (
                f"A scores file of run {self.folder.name} is missing (the file that starts at {known}); "
                "build the workspace again, or copy it again from where it came from."
            )
            raise DamagedWorkspaceError(msg)
        return shards

    @cached_property
    def _open(self) -> dict[Path, dict[str, Tensor]]:
        return {}

    def _file(self, path: Path) -> dict[str, Tensor]:
        if path not in self._open:
            self._open[path] = read_checked(path)
        return self._open[path]
