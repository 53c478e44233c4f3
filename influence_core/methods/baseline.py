"""What baselines share: nothing is inverted, and their numbers do not predict what a refit would change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from influence_core import scores
from influence_core.checks import check_project, check_test_ids
from influence_core.curvature.dense import Blocks
from influence_core.gradients import FunctionalModel
from influence_core.heads import Head, head_beside
from influence_core.methods.base import (
    Method,
    Stage,
    Tensors,
    Tick,
    check_choices,
    no_layer_scores,
    run_stages,
    try_rows,
)
from influence_core.methods.iterative_attributor import PRODUCTS
from influence_core.methods.precision import Precision, dtype_of
from influence_core.methods.seen import seen
from influence_core.predictions import Predictions
from influence_core.project import Dataset, Project, Split
from influence_core.readings import Reading
from influence_core.target import Target
from influence_core.trunk import with_trunk

ROWS = 512  # examples in memory at once where that is no setting
SHARD = 12  # predictions that are computed and kept together, as a solver's are
LEARNT = "baseline"  # the stage that looks at the training data once


class Baseline(Method, Protocol):
    """A method whose numbers are no prediction of a refit."""

    reading: ClassVar[Reading]

    def learn(self, fitted: BaselineFit, tick: Tick) -> dict[str, Tensor]:
        """What is computed of the training data once, whatever is asked."""
        ...

    def numbers(self, asked: Asked) -> Tensor:
        """Scores of the predictions that were asked for, shape ``(m, n_train)``, the sign that of ``scores.py``."""
        ...

    def own(self, learnt: Tensors) -> Tensor | None:
        """The number of each training example with itself, shape ``(n_train,)``; None where that means nothing."""
        ...


@dataclass(frozen=True)
class BaselineFit:
    """One project being looked at.

    Attributes:
        method: The hyperparameters.
        project: What is looked at.
        model: The private copy of its model.
        head: The linear head, if the model is one: nothing here makes use of it, but it can be refitted quickly.
        rows: Examples in memory at once.
    """

    method: Baseline
    project: Project
    model: FunctionalModel
    head: Head | None
    rows: int = ROWS

    @classmethod
    def of(cls, method: Baseline, project: Project, rows: int = ROWS, precision: Precision = "float32") -> BaselineFit:
        """Check hyperparameters and project.

        Raises:
            ProjectError: If model, data and task do not fit together.
            MethodError: If a hyperparameter is none of its choices.
        """
        check_choices(method)
        check_project(project)
        model = FunctionalModel.of(project, dtype_of(precision))
        try_rows(model, project)
        head = head_beside(model, project)
        return cls(method, project, model, head, rows)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """How far the model is from its optimum, and what the method must know of the training data."""
        return (
            Stage("train", "Gradient of the training objective", self._gradient),
            Stage(LEARNT, "Training examples", lambda _, tick: self.method.learn(self, tick)),
        )

    def predictions(self, split: Split) -> Predictions:
        """What the model says of a split."""
        return seen(split, self.model, self.project, lambda: self.trunked)

    def attributor(self, tensors: Tensors) -> BaselineAttributor:
        """The fitted method."""
        return BaselineAttributor(self, tensors)

    def fit(self) -> BaselineAttributor:
        """Run the stages in memory."""
        return self.attributor(run_stages(self.stages))

    @property
    def blocks(self) -> Blocks:
        """How much is held in memory at once."""
        return Blocks(self.rows, PRODUCTS)

    @cached_property
    def trunked(self) -> tuple[FunctionalModel, Dataset]:
        """The model and its training data in memory if they fit, its frozen trunk run once."""
        return with_trunk(self.model, self.project.train)

    @cached_property
    def in_float64(self) -> FunctionalModel:
        """The model for gradients of measurements."""
        return FunctionalModel.of(self.project)

    def _gradient(self, _: Tensors, __: Tick) -> dict[str, Tensor]:
        model, train = self.trunked
        self.predictions("train")  # names the first row that does not fit
        return {"gradient_norm": model.objective_gradient(train, self.rows).norm().double()}


@dataclass(frozen=True)
class Asked:
    """What a baseline is asked.

    Attributes:
        fitted: The project.
        learnt: What was computed of the training data.
        test_ids: The predictions.
        target: What is measured of them.
        tick: Told how much is done.
    """

    fitted: BaselineFit
    learnt: Tensors
    test_ids: Sequence[int]
    target: Target
    tick: Tick


@dataclass(frozen=True)
class BaselineAttributor:
    """Answers from what was learnt and the live model.

    Attributes:
        fitted: The project.
        learnt: What was computed of the training data.
    """

    fitted: BaselineFit
    learnt: Tensors

    shard = SHARD
    first = None  # an answer takes no solve
    ends: ClassVar[tuple[float | None, float | None]] = (None, None)  # no curvature is looked at

    @property
    def n_train(self) -> int:
        """Number of training examples."""
        return len(self.fitted.project.train)

    def scores(
        self,
        test_ids: Sequence[int],
        target: Target = Target(),  # noqa: B008  (frozen)
        tick: Tick = lambda done, total: None,
    ) -> scores.InfluenceScores:
        """Scores of some test predictions against every training example, shape ``(len(test_ids), n_train)``.

        Raises:
            TargetError: If the task cannot measure the target.
        """
        fitted, task = self.fitted, self.fitted.project.task
        target.check(task.kind, task.n_targets)
        check_test_ids(fitted.project, test_ids)
        values = fitted.method.numbers(Asked(fitted, self.learnt, test_ids, target, tick)).double()
        tick(len(test_ids), len(test_ids))
        measured = scores.unit_of(target, task)
        return scores.InfluenceScores(
            values=values,
            test_ids=tuple(test_ids),
            target=target,
            unit=fitted.method.reading.unit_of(measured),
            method=fitted.method.name,
            damping=0.0,
            residual=0.0,  # nothing was solved
        )

    def layer_scores(self, test_ids: Sequence[int], target: Target = Target()) -> dict[str, Tensor]:  # noqa: ARG002, B008  (asked as of any method)
        """Not of a baseline, whose numbers are no effects.

        Raises:
            MethodError: Always; names methods that have them.
        """
        raise no_layer_scores(self.fitted.method.name)

    def self_influence(self) -> Tensor | None:
        """The number of each training example with itself, shape ``(n_train,)``; None where that means nothing."""
        return self.fitted.method.own(self.learnt)

    def kept(self, test_ids: Sequence[int], target: Target, tick: Tick) -> dict[str, Tensor]:
        """What a workspace keeps of some test predictions: their scores."""
        return {"scores": self.scores(test_ids, target, tick).values.float()}


def quotient(values: Tensor, norms: Tensor) -> Tensor:
    """``values / norms``; 0 where a norm is, as it is of a gradient that points nowhere."""
    return torch.where(norms > 0, values / norms.where(norms > 0, 1), 0.0)
