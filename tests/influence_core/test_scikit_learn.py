"""Fitted estimators as projects, against scikit-learn's own refits with the row's weight at zero."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import linregress
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import (
    ElasticNet,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from influence_core import Exact, Project, Target, from_sklearn
from influence_core.adapters.linear_fit import LinearFit
from influence_core.errors import ProjectError
from influence_core.gradients import FunctionalModel
from influence_core.predictions import predict
from influence_core.removal.head_fit import newton_fit
from influence_core.task import RegressionTask

Data = tuple[np.ndarray, np.ndarray]
TIGHT: dict[str, Any] = {"tol": 1e-12, "max_iter": 20_000}


def split(x: np.ndarray, y: np.ndarray, test: int = 20) -> tuple[Data, Data]:
    order = np.random.default_rng(0).permutation(len(y))
    x = StandardScaler().fit_transform(x)
    return (x[order[test:]], y[order[test:]]), (x[order[:test]], y[order[:test]])


def cancer() -> tuple[Data, Data]:
    return split(*load_breast_cancer(return_X_y=True))


def wine() -> tuple[Data, Data]:
    x, y = load_wine(return_X_y=True)
    return split(x, np.array(["Barolo", "Grignolino", "Barbera"])[y])


def diabetes() -> tuple[Data, Data]:
    return split(*load_diabetes(return_X_y=True))


def two_values() -> tuple[Data, Data]:
    x, y = load_diabetes(return_X_y=True)
    return split(x, np.stack([y, x @ np.arange(10) + y / 50], axis=1))


CLASSIFIERS: dict[str, tuple[Any, Callable[[], tuple[Data, Data]]]] = {
    "two classes": (LogisticRegression(C=0.3), cancer),
    "three classes": (LogisticRegression(C=0.1), wine),
    "class weights": (LogisticRegression(C=0.1, class_weight={"Barolo": 3.0, "Barbera": 0.5}), wine),
    "no intercept": (LogisticRegression(C=0.2, fit_intercept=False), wine),
    "liblinear has its intercept in the penalty": (
        LogisticRegression(C=0.05, solver="liblinear", intercept_scaling=2.0),
        cancer,
    ),
}
REGRESSIONS: dict[str, tuple[Any, Callable[[], tuple[Data, Data]]]] = {
    "ridge": (Ridge(alpha=20.0), diabetes),
    "least squares": (LinearRegression(), diabetes),
    "two values": (Ridge(alpha=20.0), two_values),
    "no intercept": (Ridge(alpha=5.0, fit_intercept=False), diabetes),
}


def optimum(estimator: Any) -> Any:
    """The same estimator, asked for the last digits of its own objective."""
    known = estimator.get_params()
    return clone(estimator).set_params(**{k: v for k, v in TIGHT.items() if k in known})


def nats(estimator: Any, test: Data) -> np.ndarray:
    chosen = np.searchsorted(estimator.classes_, test[1])
    return -np.log(estimator.predict_proba(test[0])[np.arange(len(chosen)), chosen])


def squares(estimator: Any, test: Data) -> np.ndarray:
    error = (estimator.predict(test[0]) - test[1]) ** 2
    return error if error.ndim == 1 else error.mean(axis=1)


def gradient_norm(project: Project) -> float:
    return float(FunctionalModel.of(project).objective_gradient(project.train).norm())


def scores(project: Project) -> torch.Tensor:
    return Exact().fit(project).scores(range(len(project.test))).values


@pytest.mark.parametrize("weighted", [False, True], ids=["", "sample weights"])
@pytest.mark.parametrize(
    ("case", "measure"),
    [*((case, nats) for case in CLASSIFIERS.values()), *((case, squares) for case in REGRESSIONS.values())],
    ids=[*CLASSIFIERS, *(f"regression, {name}" for name in REGRESSIONS)],
)
def test_scores_predict_scikit_learns_own_refits(case: Any, measure: Callable[..., np.ndarray], weighted: bool) -> None:
    estimator, make = case
    train, test = make()
    weights = np.random.default_rng(1).uniform(0.5, 1.5, len(train[1])) if weighted else np.ones(len(train[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = clone(estimator).fit(*train, sample_weight=weights)
    project = from_sklearn(fitted, train, test, sample_weight=weights if weighted else None)
    assert gradient_norm(project) < 1e-6
    before = measure(best := optimum(estimator).fit(*train, sample_weight=weights), test)
    seen = predict(FunctionalModel.of(project), project, "test")
    np.testing.assert_allclose(seen.losses.numpy(), before, rtol=1e-4, atol=1e-6)
    predicted = scores(project).numpy()
    removed = np.argsort(-np.abs(predicted).max(axis=0))[:10].tolist() + list(range(10))
    actual = []
    for row in removed:
        without = weights.copy()
        without[row] = 0
        actual.append(measure(clone(best).fit(*train, sample_weight=without), test) - before)
    found = linregress(predicted[:, removed].T.reshape(-1), np.stack(actual).reshape(-1))
    assert found.rvalue > 0.97
    assert 0.95 < found.slope < 1.7


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # what it left open is the point
@pytest.mark.parametrize("loss", ["log_loss", "modified_huber", "squared_hinge"])
@pytest.mark.parametrize("make", [cancer, wine], ids=["two classes", "three classes"])
def test_sgd_is_polished_to_the_optimum_of_its_own_loss(loss: str, make: Callable[[], tuple[Data, Data]]) -> None:
    """Its optimum: no direction of scikit-learn's own objective, written out here, goes down from it."""
    train, test = make()
    balanced = SGDClassifier(loss=loss, alpha=0.02, class_weight="balanced", max_iter=20_000, random_state=0).fit(
        *train
    )
    project = from_sklearn(balanced, train, test)
    assert gradient_norm(project) < 1e-6
    layer = project.model
    coef, intercept = layer.weight.detach().numpy(), layer.bias.detach().numpy()  # type: ignore[union-attr, operator]
    rng = np.random.default_rng(0)
    lowest = sgd_objective(loss, balanced, train, coef, intercept)
    for _ in range(20):
        moved = coef + 1e-3 * rng.normal(size=coef.shape), intercept + 1e-3 * rng.normal(size=intercept.shape)
        assert sgd_objective(loss, balanced, train, *moved) > lowest
    if loss == "log_loss":
        balanced.coef_, balanced.intercept_ = coef, intercept
        seen = predict(FunctionalModel.of(project), project, "test")
        np.testing.assert_allclose(seen.losses.numpy(), nats(balanced, test), atol=1e-9)


def sgd_objective(loss: str, estimator: Any, train: Data, coef: np.ndarray, intercept: np.ndarray) -> float:
    margins = {
        "log_loss": lambda m: np.logaddexp(0, -m),
        "modified_huber": lambda m: np.where(m < -1, -4 * m, np.maximum(0, 1 - m) ** 2),
        "squared_hinge": lambda m: np.maximum(0, 1 - m) ** 2,
    }
    x, y = train
    z = x @ coef.T + intercept
    n, classes = len(y), estimator.classes_
    weights = {c: n / (len(classes) * (y == c).sum()) for c in classes}
    total = 0.5 * estimator.alpha * (coef**2).sum()
    for column, positive in enumerate(classes if len(classes) > 2 else classes[1:]):
        sign = np.where(y == positive, 1.0, -1.0)
        rest = 1.0 if len(classes) > 2 else weights[classes[0]]
        total += (np.where(sign > 0, weights[positive], rest) * margins[loss](sign * z[:, column])).mean()
    return float(total)


def test_sgd_regression_and_cross_validated_estimators() -> None:
    train, test = diabetes()
    sgd = SGDRegressor(alpha=0.05, random_state=0, max_iter=5000).fit(*train)
    project = from_sklearn(sgd, train, test)
    n = len(train[1])
    ridge = Ridge(alpha=0.05 * n).fit(*train)  # (1/n)(1/2)(z - y)^2 + alpha/2 |w|^2
    np.testing.assert_allclose(project.model.weight.detach().numpy()[0], ridge.coef_, rtol=1e-6)  # type: ignore[union-attr, operator]
    assert gradient_norm(project) < 1e-6
    assert gradient_norm(from_sklearn(RidgeCV(alphas=(3.0, 30.0)).fit(*train), train, test)) < 1e-6
    rows = wine()
    chosen = LogisticRegressionCV(Cs=[0.01, 0.1], use_legacy_attributes=False, l1_ratios=(0,), scoring="neg_log_loss")
    assert gradient_norm(from_sklearn(chosen.fit(*rows[0]), *rows)) < 1e-6
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}).fit(*rows[0])
    assert gradient_norm(from_sklearn(search, *rows)) < 1e-6


def test_the_estimator_is_not_touched_and_both_norms_are_told() -> None:
    train, test = wine()
    fitted = LogisticRegression(C=0.5, tol=1e-2).fit(*train)
    before = fitted.coef_.copy(), fitted.intercept_.copy()
    project = from_sklearn(fitted, train, test)
    assert np.array_equal(before[0], fitted.coef_)
    assert np.array_equal(before[1], fitted.intercept_)
    assert project.class_names == ("Barbera", "Barolo", "Grignolino")
    assert "gradient norm" in project.notes[0]
    assert "as fitted" in project.notes[0]
    assert project.fit is not None
    again = project.fit(project.train, torch.ones(len(project.train)), 0)
    assert torch.allclose(again.weight, project.model.weight, atol=1e-9)  # type: ignore[union-attr, operator, arg-type]


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_a_wrong_regulariser_is_caught_by_the_gradient(factor: float) -> None:
    train, test = cancer()
    fitted = LogisticRegression(C=1.0).fit(*train)
    fitted.C = factor
    with pytest.raises(ProjectError, match=r"penalty .* times as strong would balance it"):
        from_sklearn(fitted, train, test)


def test_a_pipeline_over_texts() -> None:
    texts = [f"{'good' if i % 2 else 'bad'} plot number {i}" for i in range(40)]
    labels = ["up" if i % 2 else "down" for i in range(40)]
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts[:30], labels[:30])
    project = from_sklearn(pipeline, (texts[:30], labels[:30]), (texts[30:], labels[30:]))
    assert project.view is not None
    assert project.view.modality == "text"
    found = Exact().fit(project).scores([0], Target())
    assert labels[found.top(0, 1)[0].train_id] == labels[30]


def test_a_pipeline_over_a_data_frame_and_over_pictures() -> None:
    frame = load_wine(as_frame=True).frame.rename(index=lambda i: f"bottle {i}")
    x, y = frame.drop(columns="target"), frame["target"]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(x.iloc[20:], y.iloc[20:])
    project = from_sklearn(pipeline, (x.iloc[20:], y.iloc[20:]), (x.iloc[:20], y.iloc[:20]))
    assert project.train_keys[0] == "bottle 20"
    assert project.view is not None
    assert isinstance(project.view.train, pd.DataFrame)
    pictures = np.random.default_rng(0).random((40, 5, 5))
    flat = FunctionTransformer(lambda a: a.reshape(len(a), -1))
    fitted = make_pipeline(flat, LogisticRegression()).fit(pictures[:30], np.arange(30) % 2)
    shown = from_sklearn(fitted, (pictures[:30], np.arange(30) % 2), (pictures[30:], np.arange(10) % 2)).view
    assert shown is not None
    assert shown.modality == "image"


@pytest.mark.parametrize(
    ("estimator", "sentence"),
    [
        (RandomForestClassifier(n_estimators=3), "RandomForestClassifier is made of trees, which have no gradient"),
        (DecisionTreeClassifier(), "made of trees"),
        (HistGradientBoostingClassifier(max_iter=2), "made of trees"),
        (SVC(), "SVC is not served"),
        (SGDClassifier(), r"SGDClassifier\(loss='hinge'\) has no second derivative"),
        (SGDClassifier(loss="log_loss", penalty="l1"), "L1 part"),
        (SGDClassifier(loss="log_loss", penalty="elasticnet"), "L1 part"),
        (LogisticRegression(solver="saga", l1_ratio=0.5, max_iter=5), "L1 part"),
    ],
)
def test_what_cannot_be_served_is_refused(estimator: Any, sentence: str) -> None:
    train, test = cancer()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(*train)
    with pytest.raises(ProjectError, match=sentence):
        from_sklearn(estimator, train, test)


def test_mistakes_are_named() -> None:
    (x, y), test = wine()
    fitted = LogisticRegression().fit(x, y)
    with pytest.raises(ProjectError, match="not fitted"):
        from_sklearn(LogisticRegression(), (x, y), test)
    with pytest.raises(ProjectError, match="no estimator of scikit-learn"):
        from_sklearn(torch.nn.Linear(2, 2), (x, y), test)
    with pytest.raises(ProjectError, match="'Merlot', which the estimator has never seen"):
        from_sklearn(fitted, (x, y), (test[0][:1], ["Merlot"]))
    with pytest.raises(ProjectError, match="reads 13 columns and the test rows have 3"):
        from_sklearn(fitted, (x, y), (test[0][:, :3], test[1]))
    with pytest.raises(ProjectError, match="5 sample weights for 158 training rows"):
        from_sklearn(fitted, (x, y), test, sample_weight=np.ones(5))
    with pytest.raises(ProjectError, match="158 train rows and 157 labels"):
        from_sklearn(fitted, (x, y[:-1]), test)
    rows = diabetes()
    with pytest.raises(ProjectError, match="constraint"):
        from_sklearn(LinearRegression(positive=True).fit(*rows[0]), *rows)
    with pytest.raises(ProjectError, match="ElasticNet is not served"):
        from_sklearn(ElasticNet().fit(*rows[0]), *rows)


def test_a_gradient_of_exactly_zero_is_an_optimum() -> None:
    """Labels that are all zero are fitted by zero, where no rounding is left that would end the descent."""
    inputs = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    nothing, once = torch.zeros(20, dtype=torch.float64), torch.ones(20, dtype=torch.float64)
    problem = LinearFit(RegressionTask(0.1), intercept=True).problem(inputs, nothing, once)
    assert newton_fit(problem).abs().max() == 0
