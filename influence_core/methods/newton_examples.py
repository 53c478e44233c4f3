"""The training examples of a linear head or of any small model, ready to be taken out one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor
from torch.func import vmap
from torch.utils._pytree import tree_map

from influence_core.curvature.dense import GaussNewton, Hessian
from influence_core.gradients import FunctionalModel
from influence_core.heads import Head
from influence_core.methods.base import Tensors
from influence_core.project import Dataset
from influence_core.removal.head_fit import HeadProblem
from influence_core.removal.newton_step import DenseJacobians, HeadJacobians, Removal, Trained
from influence_core.removal.objective import ModelObjective
from influence_core.task import Batch

NUMBERS = 8_000_000  # in memory at once
THETAS = 16  # parameter vectors at which any model's objective is taken at once


@dataclass(frozen=True)
class HeadExamples:
    """Of a linear head, in closed form.

    Attributes:
        problem: Its training objective.
        coefficients: The trained head, shape ``(k, d)``.
        outputs: Of the training examples, shape ``(n, c)``.
    """

    problem: HeadProblem
    coefficients: Tensor
    outputs: Tensor

    @classmethod
    def of(cls, head: Head, tensors: Tensors) -> HeadExamples:
        """From what the stages of exact made."""
        problem = head.problem(tensors["inputs"], tensors["labels"], tensors.get("weights"))
        return cls(problem, problem.coefficients(head.layer), tensors["outputs"])

    def trained(self, inverse: Tensor) -> Trained:
        """The trained head with its inverse curvature."""
        return Trained(self.problem, self.coefficients, inverse, len(self.outputs))

    def removals(self, trained: Trained, steps: int) -> Iterator[Removal]:
        """Blocks of examples, in order."""
        n, k = trained.n, self.problem.basis.shape[1]
        curved = self.problem.curvature_at(self.outputs).output_curvature
        slopes = self.problem.residuals(self.outputs)
        size = max(1, NUMBERS // max(len(trained.inverse), n * len(self.problem.basis) if steps > 1 else 1))
        for start in range(0, n, size):
            some = slice(start, min(start + size, n))
            jacobians = HeadJacobians(self.problem.inputs[some], k)
            yield Removal.of(trained, range(n)[some], jacobians, slopes[some], curved[some])

    def own(self, removal: Removal, moves: Tensor) -> Tensor:
        """Change of each example's own training loss as the parameters move, shape ``(b,)``."""
        rows, problem = list(removal.rows), self.problem
        batch = ((), problem.labels[rows], problem.row_weights[rows])
        now = self.outputs[rows].reshape(len(rows), -1)
        moved = now + removal.jacobians.push(moves) @ problem.basis.mT
        return problem.task.losses(moved, batch) - problem.task.losses(now, batch)


@dataclass(frozen=True)
class ModelExamples:
    """Of any model, by its Jacobians.

    Attributes:
        model: The model as a function of its parameters.
        train: The training data.
        kind: Which curvature.
    """

    model: FunctionalModel
    train: Dataset
    kind: type[Hessian] | type[GaussNewton]

    def trained(self, inverse: Tensor) -> Trained:
        """The trained model with its inverse curvature."""
        objective = ModelObjective(self.model, self.train, self.kind)
        return Trained(objective, self.model.theta, inverse, len(self.train))

    def removals(self, trained: Trained, steps: int) -> Iterator[Removal]:
        """Blocks of examples, in order."""
        _, one = next(self.model.batches(self.train, 1, [0]))
        c = self.model.outputs(self.model.theta, one).numel()
        size = max(1, NUMBERS // (len(trained.inverse) * c))
        for rows, batch in self.model.batches(self.train, min(size, THETAS) if steps > 1 else size):
            slopes, curved = self.model.output_slopes(batch), self.model.output_curvature(batch)
            yield Removal.of(trained, rows, DenseJacobians(self.model.output_jacobians(batch)), slopes, curved)

    def own(self, removal: Removal, moves: Tensor) -> Tensor:
        """Change of each example's own training loss as the parameters move, shape ``(b,)``."""
        _, batch = next(self.model.batches(self.train, len(removal.rows), list(removal.rows)))

        def change(move: Tensor, row: Batch) -> Tensor:
            one = tree_map(lambda leaf: leaf.unsqueeze(0), row)
            return (self.model.losses(self.model.theta + move, one) - self.model.losses(self.model.theta, one))[0]

        found: Tensor = vmap(change)(moves, batch)
        return found
