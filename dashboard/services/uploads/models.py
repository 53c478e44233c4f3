"""The model that an upload gets: one linear head on standardised columns, on a vocabulary, or on features."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from dashboard.services.uploads.limits import DESIGN_CELLS, INPUTS, PARAMETERS, UploadError
from dashboard.services.uploads.proposal import Kind, Modality

STRENGTHS = (0.01, 0.1, 1.0, 10.0)  # C of a LogisticRegression; one over Ridge's alpha
TIE = 1e-3
FOLDS = 5
MOST_TRIED = 4_000  # rows that the strength is chosen on
MISSING_WORD = "(missing)"  # what the head reads where a word is missing
TWO = 2  # classes: one logit tells them apart
FEWEST_WORDS = 2  # columns that the words of one column may take, at least


def width_of(kind: Kind, n_classes: int, rows: int) -> int:
    """Columns that the head may read, so that its parameters and its rows stay within the limits."""
    outputs = n_classes if kind == "classification" and n_classes > TWO else 1
    return min(PARAMETERS // outputs - 1, INPUTS, DESIGN_CELLS // max(rows, 1))


def pipeline(modality: Modality, numbers: tuple[str, ...], inputs: pd.DataFrame, head: Any, width: int) -> Pipeline:
    """An unfitted pipeline that reads the inputs as ``for_pipeline`` gives them.

    Raises:
        UploadError: If the columns are too many for the head.
    """
    if modality == "text":
        words = TfidfVectorizer(max_features=width, sublinear_tf=True, strip_accents="unicode")
        return Pipeline([("words", words), ("head", head)])
    if modality == "image":
        return Pipeline([("head", head)])  # the features are scaled
    return Pipeline([("columns", _columns(numbers, inputs, width)), ("head", head)])


def for_pipeline(modality: Modality, numbers: tuple[str, ...], inputs: Any) -> Any:
    """Inputs as the pipeline reads them: texts as a list, missing words as a word of their own."""
    if modality == "text":
        return list(inputs["text"])
    if modality == "image":
        return np.asarray(inputs, dtype=np.float64)
    words = {name: inputs[name].astype(object).where(inputs[name].notna(), MISSING_WORD) for name in inputs}
    numeric = {name: inputs[name].astype(np.float64) for name in numbers}
    return pd.DataFrame({name: numeric.get(name, words[name]) for name in inputs})


def head_of(kind: Kind, strength: float) -> Any:
    """The head with the strength that was chosen."""
    if kind == "regression":
        return Ridge(alpha=1 / strength)
    return LogisticRegression(C=strength, max_iter=500)


def fit(model: Pipeline, inputs: Any, labels: np.ndarray) -> Pipeline:
    """Fit; how far the head converged does not matter here, as it is polished to its optimum afterwards.

    Raises:
        UploadError: If texts hold no words.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            return model.fit(inputs, labels)
        except ValueError as error:
            if "vocabulary" not in str(error):
                raise
            msg = "The training texts hold no word of two letters or more; choose another column of texts."
            raise UploadError(msg) from error


def choose_strength(
    make: Callable[[float], Pipeline], inputs: Any, labels: np.ndarray, kind: Kind, tick: Callable[[int, int], None]
) -> float:
    """The weakest penalty whose loss on rows left out is the least, by cross-validation with fixed folds.

    Losses that differ by less than ``TIE`` count as the same: what they gain for most rows is noise, and a stronger
    penalty silences the rows of a rare group.
    """
    rows = _tried(labels, kind)
    folds = list(_folds(labels[rows], kind))
    losses = np.zeros(len(STRENGTHS))
    for i, strength in enumerate(STRENGTHS):
        for j, (fitted_on, left_out) in enumerate(folds):
            tick(i * len(folds) + j, len(STRENGTHS) * len(folds))
            model = fit(make(strength), _take(inputs, rows[fitted_on]), labels[rows[fitted_on]])
            losses[i] += _loss(model, _take(inputs, rows[left_out]), labels[rows[left_out]], kind)
    return max(s for s, loss in zip(STRENGTHS, losses, strict=True) if loss <= (1 + TIE) * losses.min())


def _columns(numbers: tuple[str, ...], inputs: pd.DataFrame, width: int) -> ColumnTransformer:
    words = [str(name) for name in inputs.columns if name not in numbers]
    left = width - len(numbers)
    if left < FEWEST_WORDS * len(words):
        msg = (
            f"The model may read {width:,} columns of this many rows and classes, and the table has {len(numbers):,} "
            f"of numbers and {len(words):,} of words; leave some out."
        )
        raise UploadError(msg)
    numeric = Pipeline([("mean", SimpleImputer(keep_empty_features=True)), ("scale", StandardScaler())])
    parts: list[Any] = [("numbers", numeric, list(numbers))] if numbers else []
    if words:
        most = max(FEWEST_WORDS, left // len(words))
        coded = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=most, sparse_output=False)
        parts.append(("words", coded, words))
    return ColumnTransformer(parts, sparse_threshold=0)


def _tried(labels: np.ndarray, kind: Kind) -> np.ndarray:
    """At most ``MOST_TRIED`` rows, a few of every class among them."""
    lot = np.random.default_rng(0)
    order = lot.permutation(len(labels))
    if kind == "regression" or len(labels) <= MOST_TRIED:
        return np.sort(order[:MOST_TRIED])
    place = pd.Series(labels[order]).groupby(labels[order]).cumcount().to_numpy()
    return np.sort(np.concatenate([order[place < FOLDS], order[place >= FOLDS]])[:MOST_TRIED])


def _folds(labels: np.ndarray, kind: Kind) -> Any:
    if kind == "regression":
        return KFold(FOLDS, shuffle=True, random_state=0).split(labels)
    rarest = int(np.unique(labels.astype(str), return_counts=True)[1].min())
    return StratifiedKFold(max(2, min(FOLDS, rarest)), shuffle=True, random_state=0).split(labels, labels.astype(str))


def _loss(model: Pipeline, inputs: Any, labels: np.ndarray, kind: Kind) -> float:
    """Summed over the rows, so that folds of other sizes count by theirs."""
    if kind == "regression":
        return float(((model.predict(inputs) - labels) ** 2).sum())
    classes = model[-1].classes_
    return float(log_loss(labels, model.predict_proba(inputs), labels=classes, normalize=False))


def _take(inputs: Any, rows: np.ndarray) -> Any:
    if isinstance(inputs, pd.DataFrame):
        return inputs.iloc[rows]
    return [inputs[i] for i in rows] if isinstance(inputs, list) else inputs[rows]
