"""What each linear estimator of scikit-learn minimises, in this project's convention.

scikit-learn's sums are divided by the number of rows: ``C sum_i w_i loss_i + 1/2 ||w||^2`` has the optimum of
``(1/n) sum_i w_i loss_i + 1/(2 n C) ||w||^2``, and Ridge's ``sum_i w_i (y_i - z_i)^2 + alpha ||w||^2`` that of
``(1/n) sum_i w_i (y_i - z_i)^2 + (alpha/n) ||w||^2``. Class weights and sample weights become row weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from influence_core.errors import ProjectError
from influence_core.removal.head_fit import HeadTask
from influence_core.task import ClassificationTask, RegressionTask
from influence_core.task.classification import is_class

TWO = 2  # classes: one logit then tells them apart
SERVED = "LogisticRegression, LinearRegression, Ridge, SGDClassifier and SGDRegressor"


@dataclass(frozen=True)
class Objective:
    """What a fitted estimator minimised.

    Attributes:
        task: Loss, regulariser and link.
        row_weights: Weight of each training row's loss, shape ``(n,)``.
        said: What is to be said of it to its user; empty if it is plain.
    """

    task: HeadTask
    row_weights: np.ndarray
    said: str = ""


def objective_of(estimator: Any, labels: np.ndarray, sample_weight: np.ndarray | None) -> Objective:
    """Read a fitted estimator.

    Args:
        estimator: The last step of the pipeline.
        labels: Its training labels as it was given them.
        sample_weight: As given to ``fit``; None for none.

    Raises:
        ProjectError: If it has no smooth objective of this form; says what has.
    """
    weights = np.ones(len(labels)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    if weights.shape != (len(labels),):
        msg = f"There are {weights.size} sample weights for {len(labels)} training rows; give one a row."
        raise ProjectError(msg)
    for kind, read in _READERS.items():
        if type(estimator) is kind:
            return read(estimator, labels, weights)
    raise _not_served(estimator)


def _logistic(estimator: Any, labels: np.ndarray, weights: np.ndarray) -> Objective:
    _refuse_l1(estimator)
    rows = weights * _class_weights(estimator, labels, weights)[np.searchsorted(estimator.classes_, labels)]
    one_vs_rest = len(estimator.classes_) > TWO and (
        estimator.solver == "liblinear" or getattr(estimator, "multi_class", "auto") == "ovr"
    )
    # liblinear alone has the intercept in its penalty, as the weight of a column of the size intercept_scaling
    penalised = estimator.solver == "liblinear" and estimator.fit_intercept
    decay = 1 / (len(labels) * _one_c(estimator)) if _has_penalty(estimator) else 0.0
    task = ClassificationTask(
        len(estimator.classes_),
        {"weight": decay, "bias": decay / estimator.intercept_scaling**2} if penalised else decay,
        penalise_intercept=penalised,
        link="one-vs-rest" if one_vs_rest else "softmax",
    )
    return Objective(task, rows)


def _one_c(estimator: Any) -> float:
    """The inverse strength of the penalty; the one that cross-validation chose."""
    chosen = np.unique(estimator.C_ if hasattr(estimator, "C_") else estimator.C)
    if len(chosen) > 1:
        msg = "LogisticRegressionCV chose another C for each class; fit a LogisticRegression with one of them."
        raise ProjectError(msg)
    return float(chosen[0])


def _has_penalty(estimator: Any) -> bool:
    return getattr(estimator, "penalty", "l2") is not None and np.isfinite(_one_c(estimator))


def _class_weights(estimator: Any, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    given: dict[str, Any] = {"classes": estimator.classes_, "y": labels}
    if "sample_weight" in signature(compute_class_weight).parameters and not isinstance(estimator, SGDClassifier):
        given["sample_weight"] = weights  # newer releases count a class by its rows' weights in "balanced"
    return np.asarray(compute_class_weight(estimator.class_weight, **given), dtype=float)


def _least_squares(estimator: Any, labels: np.ndarray, weights: np.ndarray) -> Objective:
    if getattr(estimator, "positive", False):
        msg = f"{type(estimator).__name__}(positive=True) is fitted under a constraint; fit it with positive=False."
        raise ProjectError(msg)
    outputs = labels.shape[1] if labels.ndim > 1 else 1
    alphas = np.unique(getattr(estimator, "alpha_", getattr(estimator, "alpha", 0.0)))
    if len(alphas) > 1:
        msg = f"Ridge has {len(alphas)} values of alpha, one a target; fit one Ridge for each target."
        raise ProjectError(msg)
    decay = 2 * float(alphas[0]) / (len(labels) * outputs)  # the loss is the mean over the outputs
    return Objective(RegressionTask(decay, penalise_intercept=False, n_outputs=outputs), weights)


def _sgd_classifier(estimator: Any, labels: np.ndarray, weights: np.ndarray) -> Objective:
    _refuse_l1(estimator)
    n_classes = len(estimator.classes_)
    by_class = _class_weights(estimator, labels, weights)
    decay = estimator.alpha if estimator.penalty is not None else 0.0
    loss = _SGD_LOSSES.get(estimator.loss, "none")
    if loss == "none":
        known = ", ".join(_SGD_LOSSES)
        msg = f"SGDClassifier(loss='{estimator.loss}') has no second derivative; fit it with one of {known}."
        raise ProjectError(msg)
    several = n_classes > TWO
    rows = weights if several else weights * by_class[np.searchsorted(estimator.classes_, labels)]
    positive = by_class if several else np.ones(TWO)
    task = ClassificationTask(
        n_classes,
        decay,
        penalise_intercept=False,
        class_weights=tuple(positive) if several and loss is None else (),
        link="one-vs-rest" if several else "softmax",
        loss=None if loss is None else MarginLoss(estimator.loss, tuple(positive)),
    )
    said = "" if loss is None else f"Probabilities are the logistic function of the {estimator.loss} margins."
    return Objective(task, rows, said)


def _sgd_regressor(estimator: Any, _: np.ndarray, weights: np.ndarray) -> Objective:
    _refuse_l1(estimator)
    if estimator.loss != "squared_error":
        msg = f"SGDRegressor(loss='{estimator.loss}') is not served; fit it with loss='squared_error'."
        raise ProjectError(msg)
    decay = 2 * estimator.alpha if estimator.penalty is not None else 0.0  # its loss is half the squared error
    return Objective(RegressionTask(decay, penalise_intercept=False), weights)


def _modified_huber(margins: Tensor) -> Tensor:
    return torch.where(margins < -1, -4 * margins, (1 - margins).clamp_min(0).square())


def _squared_hinge(margins: Tensor) -> Tensor:
    return (1 - margins).clamp_min(0).square()


_SGD_LOSSES: dict[str, Callable[[Tensor], Tensor] | None] = {
    "log_loss": None,
    "modified_huber": _modified_huber,
    "squared_hinge": _squared_hinge,
}


@dataclass(frozen=True)
class MarginLoss:
    """A loss of the margin ``y z`` with ``y`` plus or minus one, as SGDClassifier has it; one class against the rest.

    Attributes:
        name: scikit-learn's name of it.
        positive: Factor where a row is of the class.
    """

    name: str
    positive: tuple[float, ...]

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Losses, shape ``(batch,)``; with two classes the margin between their logits is the one decision value."""
        loss = _SGD_LOSSES[self.name]
        assert loss is not None  # noqa: S101  (log_loss is the task's own)
        if outputs.shape[1] == TWO:
            return loss((outputs[:, 1] - outputs[:, 0]) * (2 * labels - 1))
        positive = is_class(labels, outputs)
        each = loss(torch.where(positive, outputs, -outputs))
        return (torch.where(positive, outputs.new_tensor(self.positive), 1.0) * each).sum(dim=1)


def _refuse_l1(estimator: Any) -> None:
    ratio = getattr(estimator, "l1_ratio_", getattr(estimator, "l1_ratio", 0))
    penalty = getattr(estimator, "penalty", "l2")
    uses_ratio = penalty not in ("l2", None) and np.any(np.asarray(ratio, dtype=float) > 0)
    if penalty == "l1" or uses_ratio:
        msg = (
            f"The penalty of this {type(estimator).__name__} has an L1 part, which has no second derivative; "
            "fit it with an L2 penalty alone."
        )
        raise ProjectError(msg)


def _not_served(estimator: Any) -> ProjectError:
    name = type(estimator).__name__
    module = type(estimator).__module__
    if any(part in module for part in ("tree", "ensemble", "xgboost", "lightgbm", "catboost")):
        msg = (
            f"{name} is made of trees, which have no gradient, so influence functions do not exist for it; "
            f"fit {SERVED} on the same rows, or a network in torch."
        )
    else:
        msg = (
            f"{name} is not served; from scikit-learn these are: {SERVED}, also in pipelines. Any other smooth model "
            "can be written in torch: `influence init FILE.py --from torch`."
        )
    return ProjectError(msg)


_READERS: Mapping[type, Callable[[Any, np.ndarray, np.ndarray], Objective]] = {
    LogisticRegression: _logistic,
    LogisticRegressionCV: _logistic,
    LinearRegression: _least_squares,
    Ridge: _least_squares,
    RidgeCV: _least_squares,
    SGDClassifier: _sgd_classifier,
    SGDRegressor: _sgd_regressor,
}
