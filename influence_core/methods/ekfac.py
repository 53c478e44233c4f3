"""EK-FAC: an approximate curvature with an exact inverse, so that every prediction has an answer at once.

George et al. (NeurIPS 2018); for influence functions Grosse et al., "Studying Large Language Model Generalization with
Influence Functions" (2023). Different here: with few outputs the Fisher is its own expectation and not a sample, the
regulariser is part of the curvature, and gradients stay in factors from one end to the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from torch import Tensor

from influence_core.checks import check_project
from influence_core.curvature.ekfac import EKFAC, Factors, Fisher, Settings, fit_ekfac
from influence_core.curvature.factored import FactoredModel
from influence_core.gradients import FunctionalModel
from influence_core.heads import Head, head_beside
from influence_core.memory import check_passes
from influence_core.methods.base import Stage, Tensors, Tick, check_choices, check_counts, run_stages, try_rows
from influence_core.methods.ekfac_attributor import EkfacAttributor
from influence_core.methods.precision import Precision, dtype_of
from influence_core.methods.seen import seen
from influence_core.predictions import Predictions
from influence_core.project import Dataset, Project, Split
from influence_core.solvers.damping import Damping
from influence_core.solvers.eigen_blocks import EigenBlocks
from influence_core.trunk import with_trunk


@dataclass(frozen=True)
class Ekfac:
    """Invert an approximation of the curvature, layer by layer.

    Attributes:
        damping: Added to every eigenvalue as written; ``auto`` goes by the project's recipe, or else adds to the
            eigenvalues of each layer a tenth of their mean.
        factors: ``ekfac``; ``kfac``, whose eigenvalues are products of the factors'; or ``diagonal``.
        fisher: ``expected`` over the labels that the model itself expects, or ``empirical``: of the true ones.
        rows: Examples in memory at once.
        seed: Of the labels that are drawn where there are more than 64 outputs.
        precision: Of the model and its gradients; sums and eigenvectors are never below float32.
    """

    damping: Damping = "auto"
    factors: Factors = "ekfac"
    fisher: Fisher = "expected"
    rows: int = 512
    seed: int = 0
    precision: Precision = "float32"

    name: ClassVar[str] = "ekfac"
    title: ClassVar[str] = "EK-FAC, a curvature layer by layer"
    cost: ClassVar[str] = "Two passes over the training data and an eigendecomposition a layer; then one pass a block"
    limits: ClassVar[str] = "Linear, convolution, embedding and norm layers of any size; no curvature across layers"
    is_direct: ClassVar[bool] = False
    is_estimate: ClassVar[bool] = True
    is_one_by_one: ClassVar[bool] = False

    @property
    def curvature(self) -> str:
        """Which curvature is inverted."""
        return self.factors

    @property
    def settings(self) -> Settings:
        """How the factors are taken."""
        return Settings(self.factors, self.fisher, self.rows, self.seed)

    def prepare(self, project: Project) -> EkfacFit:
        """Check the project and find its layers.

        Raises:
            ProjectError: If model, data and task do not fit together.
            MethodError: If a layer is not served, or a weight is tied.
        """
        check_counts(self, "rows")
        check_choices(self)
        check_project(project)
        model = FunctionalModel.of(project, dtype_of(self.precision))
        try_rows(model, project)
        factored = FactoredModel.of(model, project.train)
        factored.check_whole(self.name)
        check_passes(model, project.train, self.rows, factored.gradients(self.fisher))
        head = head_beside(model, project)
        return EkfacFit(self, project, factored, head)

    def fit(self, project: Project) -> EkfacAttributor:
        """Fit in memory.

        Raises:
            ProjectError: If model, data and task do not fit together.
            MethodError: If a layer is not served, or a weight is tied.
            CurvatureError: If an eigenvalue is zero under the damping.
        """
        prepared = self.prepare(project)
        return prepared.attributor(run_stages(prepared.stages))


@dataclass(frozen=True)
class EkfacFit:
    """One project being fitted.

    Attributes:
        method: The hyperparameters.
        project: What is fitted.
        factored: The private copy of its model, and its layers.
        head: The linear head, if the model is one; it can be refitted quickly.
        given: Model and training data with the outputs of a frozen trunk, where another fit has them already.
    """

    method: Ekfac
    project: Project
    factored: FactoredModel
    head: Head | None
    given: tuple[FunctionalModel, Dataset] | None = None

    @property
    def model(self) -> FunctionalModel:
        """The private copy of its model."""
        return self.factored.model

    @property
    def rows(self) -> int:
        """Examples in memory at once."""
        return self.method.rows

    @cached_property
    def trunked(self) -> tuple[FactoredModel, Dataset]:
        """The model and its training data in memory if they fit, its frozen trunk run once."""
        model, train = self.given or with_trunk(self.model, self.project.train)
        return FactoredModel(model, self.factored.layers, self.factored.left), train

    def predictions(self, split: Split) -> Predictions:
        """What the model says of a split."""
        return seen(split, self.model, self.project, lambda: (self.trunked[0].model, self.trunked[1]))

    @property
    def stages(self) -> tuple[Stage, ...]:
        """How far the model is from its optimum, and the factors."""
        return (Stage("train", "Gradient of the training objective", self._gradient), self.factors_stage)

    @property
    def factors_stage(self) -> Stage:
        """Eigenvectors and eigenvalues of every layer."""
        return Stage("factors", "Factors of the curvature", self._factors)

    def attributor(self, tensors: Tensors) -> EkfacAttributor:
        """The fitted method."""
        curvature = EKFAC.of(self.factored, tensors, len(self.project.train))
        solver = EigenBlocks(self.method.damping, self.project.recipe)
        solver.check(curvature)
        return EkfacAttributor(self, curvature, solver)

    def _gradient(self, _: Tensors, __: Tick) -> dict[str, Tensor]:
        factored, train = self.trunked
        self.predictions("train")  # names the first row that does not fit
        return {"gradient_norm": factored.model.objective_gradient(train, self.method.rows).norm().double()}

    def _factors(self, _: Tensors, tick: Tick) -> dict[str, Tensor]:
        return fit_ekfac(*self.trunked, self.method.settings, tick)
