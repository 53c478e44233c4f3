"""Digits fitted by scikit-learn: the gradient before and after the polish, and scores against its own refits."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from influence_core import Exact, Project, from_sklearn
from influence_core.gradients import FunctionalModel
from tests.benchmarks.figures import Figure, command

Array = np.ndarray
REMOVED = 60
GRADIENT = 1e-6
STRONG = 1e-2
PASSES = 20_000


def run() -> list[Figure]:
    """Logistic regression under two strengths of the penalty, and Ridge on the same pixels."""
    pixels, digits = load_digits(return_X_y=True)
    x, test_x, y, test_y = train_test_split(pixels, digits, test_size=360, random_state=0, stratify=digits)
    n = len(y)
    figures: list[Figure] = []
    for name, c in (("C = 1", 1.0), ("decay 1e-2", 1 / (n * STRONG))):
        fitted = make_pipeline(MinMaxScaler(), LogisticRegression(C=c)).fit(x, y)
        project = from_sklearn(fitted, (x, y), (test_x, test_y))
        last = fitted[-1]
        norms = [Figure(f"{name}: gradient norm as fitted", before(project), note="scikit-learn's default stopping")]
        norms.append(Figure(f"{name}: gradient norm polished", gradient(project), most=GRADIENT))
        bounds = (0.999, 0.95, 1.10) if c < 1 else (None, None, None)
        inputs = fitted[:-1].transform(x), fitted[:-1].transform(test_x)
        figures += norms + agreement(name, project, logistic_refits(last, inputs, (y, test_y), rows(n)), bounds)
    ridge = Ridge(alpha=10.0).fit(x, y)
    project = from_sklearn(ridge, (x, y), (test_x, test_y))
    figures.append(Figure("Ridge: gradient norm polished", gradient(project), most=GRADIENT))
    return figures + agreement("Ridge", project, ridge_refits(ridge, (x, y), (test_x, test_y), rows(n)), (None,) * 3)


def rows(n: int) -> Array:
    return np.random.default_rng(0).choice(n, REMOVED, replace=False)


def gradient(project: Project) -> float:
    return float(FunctionalModel.of(project).objective_gradient(project.train).norm())


def before(project: Project) -> float:
    """As the project's note says it."""
    return float(project.notes[0].split("gradient norm ")[1].split(" ")[0])


def logistic_refits(
    last: LogisticRegression, inputs: tuple[Array, Array], labels: tuple[Array, Array], removed: Array
) -> Array:
    """Change of every test loss by scikit-learn's own refits, the row's weight at zero, shape ``(removed, tests)``."""

    def losses(without: int | None) -> Array:
        judge = LogisticRegression(C=last.C, tol=1e-10, max_iter=PASSES, solver="newton-cg")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            judge.fit(inputs[0], labels[0], sample_weight=(np.arange(len(labels[0])) != without).astype(float))
        chances: Array = judge.predict_proba(inputs[1])[np.arange(len(labels[1])), labels[1]]
        return -np.log(chances)

    whole = losses(None)
    return np.stack([losses(int(row)) - whole for row in removed])


def ridge_refits(ridge: Ridge, train: tuple[Array, Array], test: tuple[Array, Array], removed: Array) -> Array:
    """The same of a Ridge's squared errors."""

    def losses(without: int | None) -> Array:
        judge = Ridge(alpha=ridge.alpha).fit(*train, sample_weight=(np.arange(len(train[1])) != without).astype(float))
        squared: Array = (judge.predict(test[0]) - test[1]) ** 2
        return squared

    whole = losses(None)
    return np.stack([losses(int(row)) - whole for row in removed])


def agreement(name: str, project: Project, actual: Array, bounds: tuple[float | None, ...]) -> list[Figure]:
    """Pearson and slope, pooled over all test predictions."""
    removed = rows(len(project.train))
    predicted = Exact().fit(project).scores(range(len(project.test))).values.numpy()[:, removed].T.ravel()
    slope = float(np.polyfit(predicted, actual.ravel(), 1)[0])
    pearson = float(np.corrcoef(predicted, actual.ravel())[0, 1])
    return [
        Figure(f"{name}: Pearson with its own refits", pearson, least=bounds[0], note=f"{predicted.size:,} pairs"),
        Figure(f"{name}: slope", slope, least=bounds[1], most=bounds[2]),
    ]


def main() -> None:
    """Run this benchmark alone."""
    command("refit_sklearn", run)


if __name__ == "__main__":
    main()
