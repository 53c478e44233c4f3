"""Exact in the leading directions of the curvature, found by Arnoldi's method; what lies outside them is left out.

Schioppa, Zablotskaia, Vilar and Sokolov, "Scaling Up Influence Functions" (AAAI 2022). Gradients are projected on the
``kept`` eigenvectors of largest curvature, where the curvature is diagonal, so that any target and any damping of any
prediction takes ``kept`` numbers an example. Their rule of thumb is that these directions hold most of a gradient; here
the share of each test gradient that they do not hold is measured and stands beside its scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from influence_core.checks import check_derivatives, check_project
from influence_core.curvature.dense import Blocks, Curvature, Hessian
from influence_core.curvature.retained import gauss_newton
from influence_core.errors import CurvatureError, MethodError
from influence_core.gradients import FunctionalModel
from influence_core.heads import Head, head_beside
from influence_core.memory import check_basis, check_memory
from influence_core.methods.attributor import ExactAttributor, factor_from, rule_of
from influence_core.methods.base import (
    RowStage,
    Stage,
    Tensors,
    Tick,
    check_choices,
    check_counts,
    run_stages,
    try_rows,
)
from influence_core.methods.iterative import CurvatureName
from influence_core.methods.iterative_attributor import PRODUCTS
from influence_core.methods.precision import Precision, dtype_of
from influence_core.methods.seen import seen
from influence_core.methods.subspace import SubspaceTests
from influence_core.placement import normal, number, seeded
from influence_core.predictions import Predictions
from influence_core.project import Dataset, Project, Split
from influence_core.rows import rows_from
from influence_core.solvers.arnoldi import eigenpairs
from influence_core.solvers.base import refuse
from influence_core.solvers.damping import AUTO, Damping, check, choose
from influence_core.solvers.eigen import Eigen
from influence_core.trunk import with_trunk

REACHED = 1e-6  # share of the longest row beyond which a direction counts as one that training gradients have


@dataclass(frozen=True)
class Arnoldi:
    """Project on the leading eigenvectors of the curvature, and be exact there.

    Attributes:
        damping: Added to the curvature once, as written. ``auto`` takes what the project's recipe of training says, or
            else 0.1 x the curvature's mean eigenvalue: few directions are kept, so that there is no knob to be tuned
            against a full solve.
        curvature: ``gauss-newton``, which is never indefinite, or ``hessian``.
        krylov: Products with the curvature, each a pass over the training data; the more, the truer the directions.
        kept: Directions that are kept, those of largest curvature; at most ``krylov``.
        rows: Examples in memory at once.
        precision: Of all numbers.
        seed: Of the start vector.
    """

    damping: Damping = AUTO
    curvature: CurvatureName = "gauss-newton"
    krylov: int = 200
    kept: int = 50
    rows: int = 512
    precision: Precision = "float32"
    seed: int = 0

    name: ClassVar[str] = "arnoldi"
    title: ClassVar[str] = "Arnoldi, exact in the leading directions"
    cost: ClassVar[str] = "Some hundred passes over the training data and a vector of all parameters each, once"
    limits: ClassVar[str] = "What lies outside the kept directions is left out, and its share stated; first order"
    is_direct: ClassVar[bool] = True
    is_estimate: ClassVar[bool] = True
    is_one_by_one: ClassVar[bool] = False

    def prepare(self, project: Project) -> ArnoldiFit:
        """Check hyperparameters, project and memory.

        Raises:
            ProjectError: If model, data and task do not fit together.
            MethodError: If a hyperparameter cannot be, or the memory does not suffice.
        """
        check_counts(self, "krylov", "kept", "rows")
        check_choices(self)
        check(self.damping)
        if self.kept > self.krylov:
            msg = f"{self.krylov} products find no {self.kept} directions; keep fewer, or raise krylov."
            raise MethodError(msg)
        check_project(project)
        model = FunctionalModel.of(project, dtype_of(self.precision))
        try_rows(model, project)
        check_derivatives(model, project, one_by_one=True)
        check_memory(model, project.train, self.rows, PRODUCTS)
        check_basis(model, self.krylov)
        head = head_beside(model, project)
        return ArnoldiFit(self, project, model, head)

    def fit(self, project: Project) -> ExactAttributor:
        """Fit in memory.

        Raises:
            ProjectError: If model, data and task do not fit together.
            CurvatureError: If a kept eigenvalue is not positive under the damping.
        """
        prepared = self.prepare(project)
        return prepared.attributor(run_stages(prepared.stages))


@dataclass(frozen=True)
class ArnoldiFit:
    """One project being fitted.

    Attributes:
        method: The hyperparameters.
        project: What is fitted.
        model: The private copy of its model.
        head: The linear head, if the model is one; nothing here makes use of it, but it can be refitted quickly.
    """

    method: Arnoldi
    project: Project
    model: FunctionalModel
    head: Head | None

    @property
    def stages(self) -> Sequence[Stage | RowStage]:
        """Directions, the training gradients along them, and the curvature there."""
        return (
            Stage("directions", "Leading directions of the curvature", self._directions),
            RowStage("train", "Training gradients along the directions", len(self.project.train), self._train),
            Stage("curvature", "Curvature along the directions", self._curvature),
            Stage("factor", "Factorisation", self._factor),
        )

    def predictions(self, split: Split) -> Predictions:
        """What the model says of a split."""
        return seen(split, self.model, self.project, lambda: self._trunked)

    def attributor(self, tensors: Tensors) -> ExactAttributor:
        """The fitted method, answering from the live model."""
        asked = self.method.damping
        factor = factor_from(tensors, asked)
        tests = SubspaceTests(FunctionalModel.of(self.project), self.project, tensors["directions"].double())
        made = ExactAttributor.of(self.method.name, tensors, self.project.task, tests, factor)
        return replace(made, damping_rule=rule_of(asked, factor), facts=tuple(_facts(tensors)))

    @cached_property
    def _trunked(self) -> tuple[FunctionalModel, Dataset]:
        """The model and its training data in memory if they fit, its frozen trunk run once."""
        return with_trunk(self.model, self.project.train)

    @property
    def _blocks(self) -> Blocks:
        return Blocks(self.method.rows, PRODUCTS)

    def _directions(self, _: Tensors, tick: Tick) -> dict[str, Tensor]:
        kind = gauss_newton if self.method.curvature == "gauss-newton" else Hessian
        curvature: Curvature = kind(*self._trunked, self._blocks)
        self.predictions("train")  # names the first row that does not fit
        drawn = seeded(self.method.seed)

        def draw() -> Tensor:
            return normal((curvature.size,), drawn, self.model.theta)

        found = eigenpairs(curvature.matvec, draw, self.method.kept, self.method.krylov, tick)
        norm = self._trunked[0].objective_gradient(self._trunked[1], self.method.rows).norm()
        numbers = {"mean_eigenvalue": found.mean, "lowest_met": found.lowest, "gradient_norm": float(norm)}
        kept = {name: number(value) for name, value in numbers.items()}
        return {"directions": found.vectors, "eigenvalues": found.values, **kept}

    def _train(self, tensors: Tensors, start: int, stop: int) -> dict[str, Tensor]:
        model, train = self._trunked
        directions = tensors["directions"].to(model.dtype)
        along = [
            self._blocks.apply(lambda v, batch=batch: model.directional_losses(batch, v), directions, len(ids))  # type: ignore[misc]
            for ids, batch in model.batches(train, self.method.rows, range(start, stop))
        ]
        return {"rows": torch.cat(along)}

    def _curvature(self, tensors: Tensors, _: Tick) -> dict[str, Tensor]:
        parts = [part.dense(0, len(part)).double().square().sum(dim=0) for _, part in rows_from(tensors).parts()]
        squares = torch.stack(parts).sum(dim=0)
        return {
            "curvature": tensors["eigenvalues"].double().diag(),
            "mean_eigenvalue": tensors["mean_eigenvalue"],
            "lengths": squares.sqrt().to(tensors["eigenvalues"].device),
        }

    def _factor(self, tensors: Tensors, _: Tick) -> dict[str, Tensor]:
        chosen = choose(self.method.damping, self.project.recipe, float(tensors["mean_eigenvalue"]))
        solver = Eigen(chosen.damping, filter=chosen.filter)
        try:
            factor = solver.factorise(tensors["curvature"], tensors["lengths"].diag())
        except CurvatureError as error:
            raise refuse(float(tensors["eigenvalues"].min()), chosen.damping, absolute=False) from error
        return factor.tensors() | {"damping": number(chosen.damping)}


def _facts(tensors: Tensors) -> Iterator[str]:
    """How many directions there are, how many mean something to the training data, and what was met and not kept."""
    (p, kept), lengths = tensors["directions"].shape, tensors["lengths"]
    reached = int((lengths > REACHED * lengths.max()).sum())
    said = f"{kept:,} of {p:,} directions kept"
    yield said if reached == kept else f"{said}, {reached:,} of which training gradients have a part in"
    lowest, values = float(tensors["lowest_met"]), tensors["eigenvalues"]
    if lowest < -REACHED * float(values.max()) and lowest < float(values.min()):
        yield f"directions of negative curvature, down to {lowest:.2g}, left out"
