"""The fitted Newton method: what every prediction would be without each training example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.func import vmap

from influence_core import scores
from influence_core.gradients import FunctionalModel
from influence_core.methods.attributor import ExactAttributor
from influence_core.methods.base import Tensors, Tests, Tick, no_layer_scores
from influence_core.project import Project
from influence_core.rows import DenseRows, KroneckerRows, OutputRows, held
from influence_core.solvers.base import Factor
from influence_core.target import Target
from influence_core.task import Batch, Task, inputs_and_labels, relabelled

NUMBERS = 4_000_000  # in memory at once
METHOD = "newton"
THETAS = 64  # parameter vectors at which a model is run at once


class Moves(Protocol):
    """How predictions change without each training example."""

    def changes(self, tests: OutputRows, test_ids: Sequence[int], target: Target, task: Task) -> Tensor:
        """The measurements' changes in the score's sign, shape ``(m, n_train)``."""
        ...


@dataclass(frozen=True)
class HeadMoves:
    """A linear head's: its outputs move by one matrix product.

    Attributes:
        rows: The parameters' moves: of one step in the examples' own outputs, to be solved; of two steps in full.
        factor: Solves for one step; None if the rows are the moves themselves.
    """

    rows: KroneckerRows | DenseRows
    factor: Factor | None

    @classmethod
    def of(cls, tensors: Tensors, factor: Factor) -> HeadMoves:
        """From what the stages made."""
        if "newton_moves" in tensors:
            return cls(DenseRows(tensors["newton_moves"]), None)
        return cls(KroneckerRows(tensors["inputs"].double(), tensors["newton_factors"]), factor)

    def changes(self, tests: OutputRows, test_ids: Sequence[int], target: Target, task: Task) -> Tensor:
        """Measured at the moved outputs, some predictions at a time."""
        n, (c, k) = len(self.rows), tests.basis.shape
        size = max(1, NUMBERS // max(n * c, k * tests.jacobian.shape[1]))
        parts = [tests.some(start, start + size) for start in range(0, len(test_ids), size)]
        return torch.cat([self._of(part, target, task) for part in parts])

    def _of(self, tests: OutputRows, target: Target, task: Task) -> Tensor:
        columns = tests.columns()
        moved = self.rows.dot(columns if self.factor is None else self.factor.solve(columns))
        basis, now = tests.basis.double(), tests.outputs.double().reshape(len(tests.outputs), -1)
        outputs = now + moved.view(len(self.rows), len(now), -1) @ basis.mT
        before, after = tests.measured(task, target, now), tests.measured(task, target, outputs)
        return scores.refitted_score(before, after, target).mT


@dataclass(frozen=True)
class ModelMoves:
    """Any model's: it is run at the moved parameters.

    Attributes:
        model: The model as a function of its parameters.
        project: Its data.
        moves: Of the parameters, shape ``(n_train, p)``.
    """

    model: FunctionalModel
    project: Project
    moves: Tensor

    def changes(self, tests: OutputRows, test_ids: Sequence[int], target: Target, task: Task) -> Tensor:
        """Measured by the model at each training example's parameters."""
        blocks: list[Tensor] = []
        for rows, batch in self.model.batches(self.project.test, THETAS, list(test_ids)):
            start = THETAS * len(blocks)
            blocks.append(self._of(batch, tests.outputs[start : start + len(rows)], target, task))
        return torch.cat(blocks)

    def _of(self, batch: Batch, now: Tensor, target: Target, task: Task) -> Tensor:
        asked = batch
        if target.of == "predicted":
            labels, target = held(inputs_and_labels(batch)[1], now, target)
            asked = relabelled(batch, labels)

        def measure(theta: Tensor) -> Tensor:
            return task.measurements(self.model.outputs(theta, batch), asked, target)

        parts = [vmap(measure)(self.model.theta + moves) for moves in torch.split(self.moves, THETAS)]
        return scores.refitted_score(measure(self.model.theta), torch.cat(parts), target).mT


@dataclass(frozen=True)
class NewtonAttributor:
    """What every prediction would be without each training example.

    Attributes:
        first_order: The first-order answer on the same curvature.
        moves: How predictions change.
        own: Leave-one-out change of each training example's own training loss, shape ``(n_train,)``.
    """

    first_order: ExactAttributor
    moves: Moves
    own: Tensor

    @property
    def n_train(self) -> int:
        """Number of training examples."""
        return self.first_order.n_train

    @property
    def first(self) -> None:
        """An answer takes no solve of its own."""
        return

    @property
    def tests(self) -> Tests:
        """Where test predictions come from."""
        return self.first_order.tests

    @property
    def task(self) -> Task:
        """The project's task."""
        return self.first_order.task

    @property
    def shard(self) -> int:
        """Test predictions that are computed and kept together."""
        return self.first_order.shard

    @property
    def ends(self) -> tuple[float | None, float | None]:
        """Lowest eigenvalue of the undamped curvature; the largest is not needed."""
        return self.first_order.ends

    def scores(self, test_ids: Sequence[int], target: Target = Target()) -> scores.InfluenceScores:  # noqa: B008  (frozen)
        """Leave-one-out changes of some test predictions, shape ``(len(test_ids), n_train)``.

        Raises:
            TargetError: If the task cannot measure the target.
        """
        found = self.first_order.scores(list(test_ids)[:1], target)
        return scores.InfluenceScores(
            values=self.moves.changes(self.tests.read(test_ids), test_ids, target, self.task),
            test_ids=tuple(test_ids),
            target=target,
            unit=found.unit,
            method=METHOD,
            damping=found.damping,
            residual=found.residual,
        )

    def layer_scores(self, test_ids: Sequence[int], target: Target = Target()) -> dict[str, Tensor]:  # noqa: ARG002, B008  (asked as of any method)
        """Not of Newton steps, which are no sum over layers.

        Raises:
            MethodError: Always; names methods that have them.
        """
        raise no_layer_scores(METHOD)

    def self_influence(self) -> Tensor:
        """Leave-one-out change of each training example's own training loss, shape ``(n_train,)``."""
        return self.own

    def kept(self, test_ids: Sequence[int], target: Target, tick: Tick) -> dict[str, Tensor]:
        """What a workspace keeps of some test predictions: their scores, and enough to ask any other target."""
        found = self.scores(test_ids, target).values.float()
        tick(len(test_ids), len(test_ids))
        return {**self.tests.read(test_ids).tensors(), "scores": found}
