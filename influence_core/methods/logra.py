"""LoGra: exact in a subspace that is a product of few inputs and few outputs of each layer.

Choe et al., "What is Your Data Worth to GPT? LLM-Scale Data Valuation with Influence Functions" (2024). Gradients are
projected while they are made, from the inputs of each layer and the derivatives by its outputs, so that none of the
size of a weight is formed. Different here: with few outputs the Fisher is its own expectation and not a sample, the
regulariser is part of the curvature, and the share of each test gradient that the projection loses is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from influence_core.checks import check_project
from influence_core.curvature.ekfac import Fisher
from influence_core.curvature.factored import FactoredModel
from influence_core.curvature.projected import fit_curvature
from influence_core.curvature.projection import Form, Kind, Settings, Subspace, coordinates, fit_projections
from influence_core.errors import CurvatureError, MethodError
from influence_core.gradients import FunctionalModel
from influence_core.heads import Head, head_beside
from influence_core.memory import SHARE, check_passes, free_bytes
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
from influence_core.methods.exact import LARGEST
from influence_core.methods.logra_tests import ProjectedTests
from influence_core.methods.precision import Precision, dtype_of
from influence_core.methods.seen import seen
from influence_core.placement import number
from influence_core.predictions import Predictions
from influence_core.project import Dataset, Project, Split
from influence_core.solvers.base import Factor
from influence_core.solvers.cholesky import Cholesky
from influence_core.solvers.damping import AUTO, Chosen, Damping, check, choose
from influence_core.solvers.eigen import Eigen
from influence_core.trunk import with_trunk

MATRICES = 3  # of size K x K at once: the curvature, the damped one and its factor
SHARD = 2**26  # numbers of one shard of projected rows: 256 MB in float32
TOGETHER = 2**25  # numbers of one block of projected pseudo-gradients


@dataclass(frozen=True)
class Logra:
    """Project the gradients of each layer, and be exact there.

    Attributes:
        damping: Added to the curvature once, as written. ``auto`` takes what the project's recipe of training says, or
            else 0.1 x the mean eigenvalue of the projected curvature.
        rank: Directions that are kept of a layer's inputs and of its outputs, at most all that it has; an example then
            takes up to the square of it in numbers a layer. A norm layer keeps as many numbers.
        projection: ``pca`` keeps the leading directions of a layer's inputs and of the derivatives by its outputs (of
            an embedding, the tokens of the largest gradients), ``random`` any.
        curvature: ``full``, the matrix over the coordinates of all layers; or ``kronecker``, which leaves out what
            couples layers and takes a product of two small matrices for each.
        fisher: ``expected`` over the labels that the model itself expects, which is the Gauss-Newton matrix; or
            ``empirical``: of the true ones.
        rows: Examples in memory at once.
        seed: Of random projections, and of the labels that are drawn where there are more than 64 outputs.
        precision: Of the model and its gradients; sums and factors are never below float32.
    """

    damping: Damping = AUTO
    rank: int = 16
    projection: Kind = "pca"
    curvature: Form = "full"
    fisher: Fisher = "expected"
    rows: int = 512
    seed: int = 0
    precision: Precision = "float32"

    name: ClassVar[str] = "logra"
    title: ClassVar[str] = "LoGra, exact on projected gradients"
    cost: ClassVar[str] = "Three passes over the training data, rank^2 numbers an example and layer; then one product"
    limits: ClassVar[str] = "What the projection loses is left out, and its share stated; layers as for ekfac"
    is_direct: ClassVar[bool] = True
    is_estimate: ClassVar[bool] = True
    is_one_by_one: ClassVar[bool] = False

    @property
    def settings(self) -> Settings:
        """How gradients are projected."""
        return Settings(self.projection, self.rank, self.curvature, self.fisher, self.seed)

    def prepare(self, project: Project) -> LograFit:
        """Check hyperparameters, project, layers and memory.

        Raises:
            ProjectError: If model, data and task do not fit together.
            MethodError: If a hyperparameter cannot be, a layer is not served, or the memory does not suffice.
        """
        check_counts(self, "rank", "rows")
        check_choices(self)
        check(self.damping)
        check_project(project)
        model = FunctionalModel.of(project, dtype_of(self.precision))
        try_rows(model, project)
        factored = FactoredModel.of(model, project.train)
        factored.check_whole(self.name)
        _check_size(factored, self.rank)
        check_passes(model, project.train, self.rows, factored.gradients(self.fisher))
        head = head_beside(model, project)
        return LograFit(self, project, factored, head)

    def fit(self, project: Project) -> ExactAttributor:
        """Fit in memory.

        Raises:
            ProjectError: If model, data and task do not fit together.
            MethodError: If a layer is not served, a gradient is NaN, or the memory does not suffice.
            CurvatureError: If the projected curvature is singular under the damping.
        """
        prepared = self.prepare(project)
        return prepared.attributor(run_stages(prepared.stages))


@dataclass(frozen=True)
class LograFit:
    """One project being fitted.

    Attributes:
        method: The hyperparameters.
        project: What is fitted.
        factored: The private copy of its model, and its layers.
        head: The linear head, if the model is one; nothing here makes use of it, but it can be refitted quickly.
    """

    method: Logra
    project: Project
    factored: FactoredModel
    head: Head | None

    @property
    def model(self) -> FunctionalModel:
        """The private copy of its model."""
        return self.factored.model

    @property
    def size(self) -> int:
        """Numbers an example has in the subspace, ``K``."""
        return coordinates(self.factored.layers, self.method.rank)

    @property
    def stages(self) -> Sequence[Stage | RowStage]:
        """Projections, the projected training gradients, and the curvature there."""
        n, shard = len(self.project.train), max(1, SHARD // self.size)
        return (
            Stage("projections", "Projections of each layer", self._projections),
            RowStage("train", "Projected gradients of the training examples", n, self._train, shard),
            Stage("curvature", "Curvature of the projected gradients", self._curvature),
            Stage("factor", "Factorisation", self._factor),
        )

    def predictions(self, split: Split) -> Predictions:
        """What the model says of a split."""
        return seen(split, self.model, self.project, lambda: (self._trunked[0].model, self._trunked[1]))

    def attributor(self, tensors: Tensors) -> ExactAttributor:
        """The fitted method, answering from the live model."""
        asked = self.method.damping
        factor = factor_from(tensors, asked)
        in_double = FactoredModel(FunctionalModel.of(self.project), self.factored.layers, self.factored.left)
        tests = ProjectedTests(Subspace.of(in_double, tensors), self.project, self.method.rows)
        made = ExactAttributor.of(self.method.name, tensors, self.project.task, tests, factor)
        said = f"{self.size:,} numbers an example of {self.model.vector.size:,} parameters"
        return replace(made, damping_rule=rule_of(asked, factor), facts=(said,), layers=self._layers)

    @cached_property
    def _trunked(self) -> tuple[FactoredModel, Dataset]:
        """The model and its training data in memory if they fit, its frozen trunk run once."""
        model, train = with_trunk(self.model, self.project.train)
        return FactoredModel(model, self.factored.layers, self.factored.left), train

    @property
    def _layers(self) -> dict[str, tuple[slice, ...]]:
        """Which coordinates are of which layer."""
        found: dict[str, tuple[slice, ...]] = {}
        start = 0
        for layer in self.factored.layers:
            stop = start + coordinates([layer], self.method.rank)
            found[layer.name] = (slice(start, stop),)
            start = stop
        return found

    def _projections(self, _: Tensors, tick: Tick) -> dict[str, Tensor]:
        factored, train = self._trunked
        self.predictions("train")  # names the first row that does not fit
        norm = factored.model.objective_gradient(train, self.method.rows).norm().double()
        return {**fit_projections(factored, train, self.method.settings, self.method.rows, tick), "gradient_norm": norm}

    def _train(self, tensors: Tensors, start: int, stop: int) -> dict[str, Tensor]:
        factored, train = self._trunked
        subspace = Subspace.of(factored, tensors)
        batches = factored.model.batches(train, self.method.rows, range(start, stop))
        return {"rows": torch.cat([subspace.project(factored.loss_rows(batch))[0] for _, batch in batches])}

    def _curvature(self, tensors: Tensors, tick: Tick) -> dict[str, Tensor]:
        factored, train = self._trunked
        rows = max(1, min(self.method.rows, TOGETHER // (factored.gradients(self.method.fisher) * self.size)))
        return {"curvature": fit_curvature(Subspace.of(factored, tensors), train, self.method.settings, rows, tick)}

    def _factor(self, tensors: Tensors, _: Tick) -> dict[str, Tensor]:
        matrix = tensors["curvature"]
        chosen = choose(self.method.damping, self.project.recipe, float(matrix.diagonal().mean()))
        kept = {"damping": number(chosen.damping)} if self.method.damping == AUTO else {}
        return self._invert(matrix, chosen).tensors() | kept

    def _invert(self, matrix: Tensor, chosen: Chosen) -> Factor:
        if chosen.filter is not None:
            return Eigen(chosen.damping, filter=chosen.filter).factorise(matrix)
        try:
            return Cholesky(chosen.damping).factorise(matrix)
        except CurvatureError as error:
            msg = (
                f"The curvature of the {self.size:,} projected directions is singular under damping "
                f"{chosen.damping:g}: the gradients of {len(self.project.train):,} training examples do not span "
                f"them all; use --set damping=auto, or a rank below {self.method.rank}."
            )
            raise CurvatureError(msg) from error


def _check_size(factored: FactoredModel, rank: int) -> None:
    """Raise MethodError, with the rank that would fit, if the matrices of ``K`` by ``K`` do not."""
    free = free_bytes(factored.model.device)
    fitting = LARGEST if free is None else min(LARGEST, int((SHARE * free / (8 * MATRICES)) ** 0.5))
    size = coordinates(factored.layers, rank)
    if size <= fitting:
        return
    ranks = [r for r in range(1, rank) if coordinates(factored.layers, r) <= fitting]
    advice = f"use --set rank={ranks[-1]}" if ranks else "attribute fewer layers with Project(attributed=...)"
    msg = (
        f"Rank {rank} makes {size:,} numbers an example, and the curvature of these ({8 * size**2 / 1e9:.1f} GB) is "
        f"served up to {fitting:,} on this machine; {advice}."
    )
    raise MethodError(msg)
