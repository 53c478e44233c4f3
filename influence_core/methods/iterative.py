"""What methods that solve one prediction at a time share: nothing of size p x p is ever formed.

A right-hand side is the gradient of one measurement. Once it is solved, its derivative along the losses of all
training examples is one forward-mode pass over the data.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import torch
from torch import Tensor

from influence_core import scores
from influence_core.checks import check_derivatives, check_project, check_test_ids
from influence_core.curvature.dense import Blocks, Curvature, GaussNewton, Hessian
from influence_core.gradients import FunctionalModel
from influence_core.heads import Head, find_head, is_one_layer
from influence_core.memory import check_memory
from influence_core.methods.base import Method, Stage, Tensors, Tick, check_choices, run_stages, try_rows
from influence_core.methods.precision import Precision, dtype_of
from influence_core.predictions import Predictions, predict
from influence_core.project import Dataset, Project, Split
from influence_core.report import largest_residual, to_tensors
from influence_core.solvers.base import check_damping, refuse
from influence_core.solvers.iterative import Solution, check_tolerance, normalised
from influence_core.solvers.lanczos import ends
from influence_core.target import Target
from influence_core.task import RegressionTask
from influence_core.trunk import with_trunk

PRODUCTS = 4096  # examples times directions at once, the cheapest measured (tests/benchmarks/product_blocks.py)
SHARD = 12  # predictions that are solved together and kept together

CurvatureName = Literal["gauss-newton", "hessian"]
Solve = Callable[[Curvature, Tensor, Tensors, Tick], Solution]


class IterativeMethod(Method, Protocol):
    """A method that solves one prediction at a time, and the hyperparameters that all of them have."""

    @property
    def damping(self) -> float:
        """Added to the curvature once, as written."""
        ...

    @property
    def tolerance(self) -> float:
        """Relative residual on the full data at which an answer counts as solved."""
        ...

    @property
    def rows(self) -> int:
        """Examples in memory at once."""
        ...

    @property
    def precision(self) -> Precision:
        """Of all numbers."""
        ...

    def spectrum(self, curvature: Curvature, tick: Tick) -> dict[str, Tensor]:
        """What the solver must know of the curvature before the first solve."""
        ...

    def solve(self, curvature: Curvature, columns: Tensor, spectrum: Tensors, tick: Tick) -> Solution:
        """Solve columns on the damped curvature."""
        ...


@dataclass(frozen=True)
class IterativeFit:
    """One project being fitted.

    Attributes:
        method: The hyperparameters.
        project: What is fitted.
        model: The private copy of its model.
        head: The linear head, if the model is one; nothing here makes use of it, but it can be refitted quickly.
    """

    method: IterativeMethod
    project: Project
    model: FunctionalModel
    head: Head | None

    @classmethod
    def of(cls, method: IterativeMethod, project: Project) -> IterativeFit:
        """Check hyperparameters, project and memory.

        Raises:
            ProjectError: If model, data and task do not fit together.
            MethodError: If the tolerance cannot be met, or the memory does not suffice.
        """
        dtype = dtype_of(method.precision)
        check_choices(method)
        check_damping(method.damping)
        check_tolerance(method.tolerance, dtype)
        check_project(project)
        model = FunctionalModel.of(project, dtype)
        try_rows(model, project)
        check_derivatives(model, project, one_by_one=False)
        check_memory(model, project.train, method.rows, PRODUCTS)
        head = find_head(FunctionalModel.of(project), project) if is_one_layer(model) else None
        return cls(method, project, model, head)

    @cached_property
    def trunked(self) -> tuple[FunctionalModel, Dataset]:
        """The model and its training data in memory if they fit, its frozen trunk run once."""
        return with_trunk(self.model, self.project.train)

    def predictions(self, split: Split) -> Predictions:
        """What the model says of a split."""
        if split == "test":
            return predict(self.model, self.project, split)
        model, train = self.trunked
        return predict(model, self.project, split, data=train)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """How far the model is from its optimum, and what the solver must know of the curvature."""
        return (
            Stage("train", "Gradient of the training objective", self._gradient),
            Stage("spectrum", "Spectrum of the curvature", lambda _, tick: self.method.spectrum(self.curvature, tick)),
        )

    @property
    def curvature(self) -> Curvature:
        """Undamped."""
        blocks = Blocks(self.method.rows, PRODUCTS)
        kind = GaussNewton if self.method.curvature == "gauss-newton" else Hessian
        return kind(*self.trunked, blocks)

    def attributor(self, tensors: Tensors) -> IterativeAttributor:
        """The fitted method."""
        return IterativeAttributor(self, tensors)

    def fit(self) -> IterativeAttributor:
        """Run the stages in memory."""
        return self.attributor(run_stages(self.stages))

    def _gradient(self, _: Tensors, __: Tick) -> dict[str, Tensor]:
        model, train = self.trunked
        self.predictions("train")  # names the first row that does not fit
        return {"gradient_norm": model.objective_gradient(train, self.method.rows).norm().double()}


@dataclass(frozen=True)
class IterativeAttributor:
    """Solves each prediction when it is asked for.

    Attributes:
        fitted: The project and its curvature.
        spectrum: What the solver knows of the curvature.
    """

    fitted: IterativeFit
    spectrum: Tensors

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
        solution = fitted.method.solve(fitted.curvature, columns.to(fitted.model.dtype), self.spectrum, tick)
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

    def self_influence(self) -> None:
        """Not known: it would take one solve a training example."""

    def kept(self, test_ids: Sequence[int], target: Target, tick: Tick) -> dict[str, Tensor]:
        """What a workspace keeps of some test predictions: scores and how each was solved."""
        found = self.scores(test_ids, target, tick)
        return {"scores": found.values.float(), **to_tensors(found.solves)}

    def _gradients(self, test_ids: Sequence[int], target: Target) -> Tensor:
        """In float64: in float32 the loss of a confident prediction has a gradient of rounding errors."""
        fitted, model = self.fitted, self._in_float64
        target.check(fitted.project.task.kind, fitted.project.task.n_targets)
        check_test_ids(fitted.project, test_ids)
        predict(fitted.model, fitted.project, "test", ids=test_ids)  # names the first row that does not fit
        test = model.batches(fitted.project.test, 1, list(test_ids))
        return torch.stack([model.measurement_gradient(batch, target) for _, batch in test], dim=1)

    @cached_property
    def _in_float64(self) -> FunctionalModel:
        return FunctionalModel.of(self.fitted.project)

    def _along(self, vectors: Tensor) -> Tensor:
        """Every training gradient times every column, shape ``(n_train, m)``."""
        (model, train), blocks = self.fitted.trunked, Blocks(self.fitted.method.rows, PRODUCTS)
        parts = []
        for ids, batch in model.batches(train, blocks.rows):
            along = blocks.apply(lambda v, batch=batch: model.directional_losses(batch, v), vectors, len(ids))  # type: ignore[misc]
            parts.append(along)
        return torch.cat(parts)


def definite(curvature: Curvature, damping: float, dtype: torch.dtype, tick: Tick) -> dict[str, Tensor]:
    """Largest eigenvalue; of a Hessian the lowest too, which must stay positive under the damping.

    Raises:
        CurvatureError: If it does not; names it and the damping that would do.
    """
    is_hessian = isinstance(curvature, Hessian)
    enough = damping / 10 if is_hessian else None
    found = ends(curvature.matvec, curvature.size, dtype, lowest=enough, tick=tick)
    if is_hessian and found.lowest + damping <= 0:
        raise refuse(found.lowest, damping, absolute=False)
    known = {"largest": torch.tensor(found.largest, dtype=torch.float64)}
    return known | ({"lowest": torch.tensor(found.lowest, dtype=torch.float64)} if is_hessian else {})
