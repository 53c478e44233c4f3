"""Fitted by a factor: gradients, a factorised curvature, and one matrix product an answer.

Serves the exact method, and those that are exact in a subspace: their rows, curvature and test predictions are the
coordinates there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from influence_core import scores
from influence_core.checks import check_test_ids
from influence_core.gradients import FunctionalModel
from influence_core.heads import Head
from influence_core.methods.base import Tensors, Tests, Tick, no_layer_scores, restricted
from influence_core.predictions import predict
from influence_core.project import Project
from influence_core.rows import GradientRows, OutputRows, rows_from
from influence_core.scores import InfluenceScores
from influence_core.solvers.base import Factor
from influence_core.solvers.cholesky import CholeskyFactor
from influence_core.solvers.damping import AUTO, Chosen, Damping, SpectralFilter, rule
from influence_core.solvers.eigen import EigenFactor
from influence_core.solvers.inverse import InverseFactor, with_inverse
from influence_core.strongest import Strongest, strongest
from influence_core.target import Target
from influence_core.task import Task

BLOCK = 1024
SHARD = 128  # test predictions that are kept together
SAMPLED = 8  # right-hand sides whose residual is measured


@dataclass(frozen=True)
class LiveTests:
    """Test predictions straight from the model."""

    model: FunctionalModel
    project: Project
    head: Head | None

    def read(self, test_ids: Sequence[int]) -> OutputRows:
        """Outputs and their Jacobians."""
        check_test_ids(self.project, test_ids)
        ids = list(test_ids)
        if self.head is not None:
            return self.head.rows(self.model, self.project, ids)
        seen = predict(self.model, self.project, "test", ids=ids)
        jacobians = [self.model.output_jacobians(batch) for _, batch in self.model.batches(self.project.test, 32, ids)]
        outputs = seen.outputs.reshape(len(ids), -1)
        return OutputRows(outputs, seen.labels, torch.cat(jacobians), outputs.new_empty(0, 0))

    def gradients(self, test_ids: Sequence[int], target: Target) -> Tensor:
        """Gradient of each measurement as a column."""
        target.check(self.project.task.kind, self.project.task.n_targets)
        check_test_ids(self.project, test_ids)
        if self.head is not None:
            return self.read(test_ids).gradients(self.project.task, target)
        predict(self.model, self.project, "test", ids=test_ids)  # names the first row that does not fit
        blocks = [
            self.model.measurement_gradients(batch, target)
            for _, batch in self.model.batches(self.project.test, 256, list(test_ids))
        ]
        return torch.cat(blocks).mT

    def outside(self, test_ids: Sequence[int], target: Target) -> None:
        """Nothing is left out."""


@dataclass(frozen=True)
class ExactAttributor:
    """A factorised curvature and the training gradients.

    Attributes:
        method: Name of the method.
        rows: The training examples' loss gradients.
        curvature: Undamped, shape ``(p, p)``.
        factor: ``(curvature + damping I)`` ready to be inverted.
        tests: Where test predictions come from.
        task: The project's task.
        damping_rule: How the damping was chosen, or what is done in its place, in words; empty if it was given.
        facts: What else a reader should know of the fit, in words.
        layers: Which coordinates are of which layer, by its name; empty if they are of all.
    """

    method: str
    rows: GradientRows
    curvature: Tensor
    factor: Factor
    tests: Tests
    task: Task
    damping_rule: str = ""
    facts: tuple[str, ...] = ()
    layers: Mapping[str, tuple[slice, ...]] = field(default_factory=dict)

    shard = SHARD
    first = None  # an answer takes one product

    @classmethod
    def of(cls, method: str, tensors: Tensors, task: Task, tests: Tests, factor: Factor) -> ExactAttributor:
        """Put together what the stages made."""
        return cls(method, rows_from(tensors), tensors["curvature"], factor, tests, task)

    @property
    def n_train(self) -> int:
        """Number of training examples."""
        return len(self.rows)

    @property
    def ends(self) -> tuple[float | None, float | None]:
        """Lowest eigenvalue of the undamped curvature; the largest is not needed."""
        return self.factor.lowest_eigenvalue, None

    def kept(self, test_ids: Sequence[int], target: Target, tick: Tick) -> dict[str, Tensor]:
        """What a workspace keeps of some test predictions: their scores, and enough to ask any other target."""
        found = self.scores(test_ids, target).values.float()
        outside = self.tests.outside(test_ids, target)
        tick(len(test_ids), len(test_ids))
        kept = {} if outside is None else {"outside": outside.float()}
        return {**self.tests.read(test_ids).tensors(), **kept, "scores": found}

    def with_factor(self, factor: Factor) -> ExactAttributor:
        """The same gradients under another factor, for instance another damping that somebody asked for."""
        return replace(self, factor=factor, damping_rule="")

    def scores(self, test_ids: Sequence[int], target: Target = Target()) -> InfluenceScores:  # noqa: B008  (frozen)
        """Scores of some test predictions against every training example, shape ``(len(test_ids), n_train)``.

        Raises:
            TargetError: If the task cannot measure the target.
        """
        found = self.scored(self.gradients(test_ids, target), test_ids, target)
        return replace(found, outside=self.outside(test_ids, target))

    def layer_scores(self, test_ids: Sequence[int], target: Target = Target()) -> dict[str, Tensor]:  # noqa: B008  (frozen)
        """What each layer adds to the scores, by its name, shape ``(len(test_ids), n_train)`` each.

        Raises:
            MethodError: If the method works in directions that run through all layers.
        """
        if not self.layers:
            raise no_layer_scores(self.method)
        solved = self.factor.solve(self.gradients(test_ids, target))
        along = {name: self.rows.dot(restricted(solved, places)) for name, places in self.layers.items()}
        return {name: scores.scale(found.mT, self.n_train, target) for name, found in along.items()}

    def gradients(self, test_ids: Sequence[int], target: Target) -> Tensor:
        """Gradient of each measurement as a column, shape ``(p, m)``."""
        return self.tests.gradients(test_ids, target)

    def outside(self, test_ids: Sequence[int], target: Target) -> float | None:
        """Largest share of a measurement gradient's squared length that the method leaves out; None if nothing."""
        shares = self.tests.outside(test_ids, target)
        return None if shares is None else float(shares.max())

    def scored(
        self,
        columns: Tensor,
        test_ids: Sequence[int],
        target: Target,
        tick: Tick = lambda done, total: None,
    ) -> InfluenceScores:
        """Each gradient of a measurement solved, times every training gradient."""
        solved = self.factor.solve(columns)
        tick(len(test_ids), len(test_ids))
        values = scores.scale(self.rows.dot(solved).mT, self.n_train, target)
        return InfluenceScores(
            values=values,
            test_ids=tuple(test_ids),
            target=target,
            unit=scores.unit_of(target, self.task),
            method=self.method,
            damping=self.factor.damping,
            damping_rule=self.damping_rule,
            residual=self.residual(columns[:, :SAMPLED], solved[:, :SAMPLED]),
        )

    def strongest(self, test_ids: Sequence[int], target: Target, k: int) -> list[Strongest]:
        """The k most positive and most negative scores of each test prediction, and the histogram of all of them."""
        columns = scores.scale(self.factor.solve(self.tests.gradients(test_ids, target)), self.n_train, target)
        return strongest(self.rows, columns, min(k, self.n_train))

    def influenced(self, train_id: int, tests: Iterable[GradientRows], target: Target) -> Tensor:
        """The scores of one training example for many test predictions, given their measurement gradients as rows."""
        solved = self.factor.solve(self.rows.dense(train_id, train_id + 1).to(self.curvature).mT)
        return scores.scale(torch.cat([some.dot(solved)[:, 0] for some in tests]), self.n_train, target)

    def self_influence(self) -> Tensor:
        """Self-influence of every training example, shape ``(n_train,)``."""
        blocks = []
        for start in range(0, self.n_train, BLOCK):
            whitened = self.factor.whiten(self.rows.dense(start, start + BLOCK).to(self.curvature).mT)
            blocks.append(whitened.square().sum(dim=0))
        return scores.self_influence(torch.cat(blocks), self.n_train)

    def residual(self, columns: Tensor, solved: Tensor) -> float:
        """Largest relative residual of the damped solve, on the space that is solved."""
        if isinstance(self.factor, InverseFactor):
            return self.factor.residual  # measured when it was made; a product with the curvature takes longer than all
        if isinstance(self.factor, EigenFactor):
            columns = self.factor.project(columns)
            back = self.factor.multiply(solved)
        else:
            back = self.curvature @ solved + self.factor.damping * solved
        return float(((back - columns).norm(dim=0) / columns.norm(dim=0).clamp_min(1e-300)).max())


def factor_from(tensors: Tensors, damping: Damping) -> Factor:
    """The factor that a fit stored; a damping that the fit chose itself is stored with it."""
    used = float(tensors["damping"]) if damping == AUTO else damping
    if "cholesky" in tensors:
        return with_inverse(CholeskyFactor(tensors["cholesky"], used, float(tensors["lowest"])), tensors)
    filtered = SpectralFilter.from_tensor(tensors["filter"]) if "filter" in tensors else None
    return EigenFactor(tensors["values"], tensors["vectors"], used, int(tensors["null"]), filtered)


def rule_of(asked: Damping, factor: Factor) -> str:
    """How a factor's damping was chosen, in words; empty if ``asked`` is a number."""
    filtered = factor.filter if isinstance(factor, EigenFactor) else None
    return rule(asked, Chosen(factor.damping, filtered))
