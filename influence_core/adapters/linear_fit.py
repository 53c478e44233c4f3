"""A linear model on rows of numbers: its objective, its layer, and how it is fitted again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from influence_core.errors import ProjectError
from influence_core.project import Dataset, Stacked, stacked
from influence_core.removal.head_fit import (
    HeadProblem,
    HeadTask,
    as_numbers,
    linear_module,
    newton_fit,
    output_basis,
    ridge_of,
)
from influence_core.task import ClassificationTask

TWO = 2  # classes: one logit tells them apart, as scikit-learn keeps them


@dataclass(frozen=True)
class LinearFit:
    """What is fitted.

    Attributes:
        task: Loss and regulariser.
        intercept: Whether there is one.
    """

    task: HeadTask
    intercept: bool

    def problem(self, inputs: Tensor, labels: Tensor, row_weights: Tensor) -> HeadProblem:
        """The objective on some rows, inputs of shape ``(n, d)`` without a column of ones."""
        ones = torch.ones(len(inputs), 1, dtype=torch.float64)
        rows = torch.cat([inputs, ones], dim=1) if self.intercept else inputs
        ridge = ridge_of(self.task, rows.shape[1], intercept=self.intercept)
        return HeadProblem(self.task, rows, as_numbers(self.task, labels), row_weights, ridge, self._basis)

    def coefficients(self, coef: Any, intercept: Any) -> Tensor:
        """scikit-learn's ``coef_`` and ``intercept_`` in the problem's basis, shape ``(k, d)``."""
        weight = torch.from_numpy(np.atleast_2d(np.asarray(coef, dtype=np.float64)))
        if self.intercept:
            bias = torch.from_numpy(np.atleast_1d(np.asarray(intercept, dtype=np.float64)))
            weight = torch.cat([weight, bias[:, None]], dim=1)
        return weight if len(weight) == self._basis.shape[1] else self._basis.mT @ weight

    def module(self, coefficients: Tensor) -> nn.Linear:
        """The layer: one logit of two classes, else one output a class or value."""
        weight = coefficients if self._outputs == 1 else self._basis @ coefficients
        return linear_module(weight, intercept=self.intercept)

    def refit(self, dataset: Dataset, weights: Tensor, seed: int) -> nn.Linear:  # noqa: ARG002  (a Project's fit)
        """A full refit from zero to the optimum, which is unique, so that the seed changes nothing.

        Raises:
            ProjectError: If the rows are not the project's own.
        """
        rows = stacked(dataset, torch.float64)
        if not isinstance(rows, Stacked):
            msg = f"The rows of a {type(dataset).__name__} are no numbers, so a linear model cannot be fitted on them."
            raise ProjectError(msg)
        return self.module(newton_fit(self.problem(*rows.batch), weights))

    @property
    def _outputs(self) -> int:
        two = isinstance(self.task, ClassificationTask) and self.task.n_classes == TWO
        return 1 if two else self.task.n_targets or 1

    @property
    def _basis(self) -> Tensor:
        return output_basis(self.task, self._outputs)
