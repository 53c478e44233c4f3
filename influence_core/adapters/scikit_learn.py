"""Fitted estimators of scikit-learn as a project: the same coefficients, at the optimum of their own objective."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from influence_core.adapters.about import About
from influence_core.adapters.estimators import objective_of
from influence_core.adapters.linear_fit import LinearFit
from influence_core.adapters.polish import polished
from influence_core.errors import ProjectError
from influence_core.project import Project, Split, Stacked
from influence_core.views import ImageView, TableView, TextView, View

MOST_BYTES = 4 * 2**30  # of the transformed training rows in memory
PICTURE_DIMENSIONS = (3, 4)
MATRIX = 2

Rows = tuple[Any, Any]


def from_sklearn(
    estimator: Any,
    train: Rows,
    test: Rows,
    *,
    name: str = "my-project",
    sample_weight: Any = None,
    **about: Unpack[About],
) -> Project:
    """A project of a fitted linear estimator, alone or as the last step of a pipeline.

    Its own C or alpha, penalty, class weights and intercept are read off it. A copy of the coefficients is moved to the
    optimum by Newton's method; both gradient norms are in the project's ``notes``. The estimator is never modified.

    Args:
        estimator: LogisticRegression, LinearRegression, Ridge (also with cross-validation), SGDClassifier with a
            smooth loss, SGDRegressor, a Pipeline that ends in one of them, or a search that chose one.
        train: ``(X, y)`` as given to ``fit``: a data frame, an array, or a list of texts; the labels.
        test: ``(X, y)`` whose predictions are explained.
        name: A short name, used in links.
        sample_weight: As given to ``fit``.
        **about: Other fields of the project; by default a data frame is shown as a table, texts as texts, arrays of
            three or four dimensions as pictures.

    Raises:
        ProjectError: If the estimator is not fitted or not served, or does not fit the data.
    """
    preprocessing, final = _steps(estimator)
    objective = objective_of(final, np.asarray(train[1]), None if sample_weight is None else np.asarray(sample_weight))
    rows = _rows(preprocessing, final, train, "train", objective.row_weights)
    others = _rows(preprocessing, final, test, "test", np.ones(len(test[1])))
    fit = LinearFit(objective.task, bool(final.fit_intercept))
    found = polished(fit.problem(*rows.batch), fit.coefficients(final.coef_, final.intercept_))
    read: dict[str, Any] = {
        "view": _view(train[0], test[0]),
        "class_names": tuple(str(c) for c in getattr(final, "classes_", ())),
        "train_keys": _keys(train[0]),
        "test_keys": _keys(test[0]),
        "fit": fit.refit,
        "notes": [note for note in (found.said, objective.said) if note],
    }
    return Project(name, fit.module(found.coefficients), objective.task, rows, others, **(read | dict(about)))


def _steps(estimator: Any) -> tuple[Any, Any]:
    """What turns rows into inputs (None for nothing), and the linear estimator behind it."""
    estimator = getattr(estimator, "best_estimator_", estimator)  # a search with refit=True
    try:
        check_is_fitted(estimator)
    except NotFittedError as error:
        msg = f"The {type(estimator).__name__} is not fitted; call fit(X, y) before from_sklearn."
        raise ProjectError(msg) from error
    except TypeError as error:
        msg = f"A {type(estimator).__name__} is no estimator of scikit-learn; give the fitted estimator itself."
        raise ProjectError(msg) from error
    if isinstance(estimator, Pipeline):
        return estimator[:-1] if len(estimator) > 1 else None, estimator[-1]
    return None, estimator


def _inputs(preprocessing: Any, given: Any, split: Split) -> Tensor:
    """The estimator's inputs, shape ``(n, d)``, float64."""
    try:
        found = given if preprocessing is None else preprocessing.transform(given)
    except (ValueError, TypeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        msg = f"The pipeline cannot transform the {split} rows ({reason}); give them as it was fitted on them."
        raise ProjectError(msg) from error
    if sparse.issparse(found):
        size = 8 * found.shape[0] * found.shape[1]
        if size > MOST_BYTES:
            msg = (
                f"The {split} rows have {found.shape[1]:,} columns after preprocessing and would take "
                f"{size / 1e9:.0f} GB; keep fewer, for instance with TfidfVectorizer(max_features=2000)."
            )
            raise ProjectError(msg)
        found = found.toarray()
    array = np.asarray(found)
    if array.ndim != MATRIX or array.dtype.kind not in "fiub":
        msg = (
            f"The {split} rows are {array.dtype} of shape {array.shape} where the linear model reads them, and it "
            "needs a matrix of numbers; give the pipeline that prepares them, or flatten pictures."
        )
        raise ProjectError(msg)
    return torch.from_numpy(np.array(array, dtype=np.float64))


def _labels(final: Any, given: Any, split: Split) -> Tensor:
    """Class numbers or values."""
    array = np.asarray(given)
    if not hasattr(final, "classes_"):
        return torch.from_numpy(array.astype(np.float64))
    unknown = ~np.isin(array, final.classes_)
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        msg = f"Row {row} of the {split} data has the label '{array[row]}', which the estimator has never seen."
        raise ProjectError(msg)
    return torch.from_numpy(np.searchsorted(final.classes_, array).astype(np.int64))


def _rows(preprocessing: Any, final: Any, given: Rows, split: Split, weights: np.ndarray) -> Stacked:
    inputs, labels = _inputs(preprocessing, given[0], split), _labels(final, given[1], split)
    if len(inputs) != len(labels):
        msg = f"There are {len(inputs)} {split} rows and {len(labels)} labels; give one a row."
        raise ProjectError(msg)
    columns = getattr(final, "n_features_in_", inputs.shape[1])
    if inputs.shape[1] != columns:
        msg = (
            f"The estimator reads {columns} columns and the {split} rows have {inputs.shape[1]}; give the same columns."
        )
        raise ProjectError(msg)
    return Stacked((inputs, labels, torch.from_numpy(weights)), len(labels))


def _view(train: Any, test: Any) -> View:
    """Data frames as tables, texts as texts, arrays of pictures as pictures, other arrays as tables."""
    if isinstance(train, pd.DataFrame):
        return TableView(train.reset_index(drop=True), test.reset_index(drop=True))
    first = train[0] if isinstance(train, list | tuple) else np.asarray(train).flat[0]
    if isinstance(first, str):
        return TextView([str(text) for text in train], [str(text) for text in test])
    arrays = [rows.toarray() if sparse.issparse(rows) else np.asarray(rows) for rows in (train, test)]
    if arrays[0].ndim in PICTURE_DIMENSIONS:
        return ImageView(list(arrays[0]), list(arrays[1]))
    names = [f"feature {i}" for i in range(arrays[0].shape[1])]
    return TableView(*(pd.DataFrame(rows, columns=names) for rows in arrays))


def _keys(rows: Any) -> list[str]:
    """A data frame's own index, where it is more than the numbers of its rows and tells them apart."""
    if not isinstance(rows, pd.DataFrame | pd.Series) or isinstance(rows.index, pd.RangeIndex):
        return []
    return [str(key) for key in rows.index] if rows.index.is_unique else []
