"""Fitted by a solver: each prediction is solved when it is asked for, then one forward-mode pass over the data."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from torch import Tensor

from influence_core import scores
from influence_core.curvature.dense import Blocks
from influence_core.gradients import FunctionalModel
from influence_core.methods.base import Tensors, Tick
from influence_core.methods.directions import along, measurement_columns
from influence_core.methods.ekfac_attributor import EkfacAttributor
from influence_core.report import largest_residual, to_tensors
from influence_core.solvers.iterative import normalised
from influence_core.target import Target
from influence_core.task import RegressionTask

if TYPE_CHECKING:
    from influence_core.methods.iterative import IterativeFit, System

PRODUCTS = 4096  # examples times directions at once, the cheapest measured (tests/benchmarks/product_blocks.py)
SHARD = 12  # predictions that are solved together and kept together


@dataclass(frozen=True)
class IterativeAttributor:
    """Solves each prediction when it is asked for.

    Attributes:
        fitted: The project and its curvature.
        spectrum: What the solver knows of the curvature.
        system: What is solved.
        first: Answers at once, but by an approximate curvature; None where the layers have no factors.
    """

    fitted: IterativeFit
    spectrum: Tensors
    system: System
    first: EkfacAttributor | None

    shard = SHARD

    @property
    def n_train(self) -> int:
        """Number of training examples."""
        return len(self.fitted.project.train)

    @property
    def ends(self) -> tuple[float | None, float | None]:
        """Lowest and largest eigenvalue of the undamped curvature, where they are known."""
        lowest, largest = (self.spectrum.get(name) for name in ("lowest", "largest"))
        return (None if lowest is None else float(lowest)), (None if largest is None else float(largest))

    def scores(
        self,
        test_ids: Sequence[int],
        target: Target = Target(),  # noqa: B008  (frozen)
        tick: Tick = lambda done, total: None,
    ) -> scores.InfluenceScores:
        """Scores of some test predictions against every training example, shape ``(len(test_ids), n_train)``.

        Raises:
            TargetError: If the task cannot measure the target.
            CurvatureError: If the curvature is indefinite under the damping.
        """
        fitted, task = self.fitted, self.fitted.project.task
        columns, sizes = normalised(self._gradients(test_ids, target))
        started = time.perf_counter()
        solution = fitted.method.solve(self.system, columns.to(fitted.model.dtype), self.spectrum, tick)
        solution = solution.timed(started)
        products = self._along(solution.vectors).double() * sizes
        return scores.InfluenceScores(
            values=scores.scale(products.mT, self.n_train, target),
            test_ids=tuple(test_ids),
            target=target,
            unit=scores.unit(target, task.kind, task.unit if isinstance(task, RegressionTask) else ""),
            method=fitted.method.name,
            damping=fitted.method.damping,
            residual=largest_residual(solution.reports),
            solves=solution.reports,
        )

    def self_influence(self) -> Tensor | None:
        """By EK-FAC, shape ``(n_train,)``: of its own it would take one solve a training example; else not known."""
        return None if self.first is None else self.first.self_influence()

    def kept(self, test_ids: Sequence[int], target: Target, tick: Tick) -> dict[str, Tensor]:
        """What a workspace keeps of some test predictions: scores and how each was solved."""
        found = self.scores(test_ids, target, tick)
        return {"scores": found.values.float(), **to_tensors(found.solves)}

    def _gradients(self, test_ids: Sequence[int], target: Target) -> Tensor:
        """Gradient of each measurement as a column, in float64."""
        return measurement_columns(self._in_float64, self.fitted.project, test_ids, target)

    @cached_property
    def _in_float64(self) -> FunctionalModel:
        return FunctionalModel.of(self.fitted.project)

    def _along(self, vectors: Tensor) -> Tensor:
        """Every training gradient times every column, shape ``(n_train, m)``."""
        return along(*self.fitted.trunked, vectors, Blocks(self.fitted.method.rows, PRODUCTS))
