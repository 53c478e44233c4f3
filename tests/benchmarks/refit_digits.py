"""Digits: exact scores against a closed form, and against refitting without each of 200 training examples."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

import demo_models
from demo_models.digits import TEST_SIZE
from demo_models.heads import stacked
from influence_core.methods import Exact
from influence_core.project import Project
from influence_core.removal.head_fit import fit_head
from influence_core.store import build
from influence_core.task import ClassificationTask
from tests.benchmarks.figures import Figure, command
from tests.benchmarks.softmax import Array, Softmax, losses

REMOVED = 200
CROSS_CHECKED = 5  # refits that scikit-learn repeats
STRONG_DECAY = 1e-2


@dataclass(frozen=True)
class Case:
    """The digits under one weight decay, with the model written out independently."""

    project: Project
    peer: Softmax
    test_inputs: Array
    test_labels: Array

    @classmethod
    def of(cls, project: Project) -> Case:
        """Read the project's data; find the optimum again without the engine."""
        assert isinstance(project.task, ClassificationTask)
        weight, bias = (p.detach().double().numpy() for p in project.model.parameters())
        given = Softmax(*_with_ones(project.train), project.task.weight_decay, np.hstack([weight, bias[:, None]]))
        return cls(project, replace(given, weights=given.optimum()), *_with_ones(project.test))

    def refitted(self, rows: Array) -> Array:
        """Change of every test loss without each of the rows, shape ``(rows, tests)``."""
        before = losses(self.peer.weights, self.test_inputs, self.test_labels)
        refits = [self.peer.optimum(without=int(row)) for row in rows]
        after = np.stack([losses(weights, self.test_inputs, self.test_labels) for weights in refits])
        changes: Array = after - before
        return changes


def _with_ones(dataset: object) -> tuple[Array, Array]:
    inputs, labels = stacked(dataset)  # type: ignore[arg-type]  # the demos' own rows
    return np.hstack([inputs.double().numpy(), np.ones((len(labels), 1))]), labels.numpy()


def strong(project: Project) -> Project:
    """The same data under a weight decay of 1e-2."""
    task = ClassificationTask(n_classes=10, weight_decay=STRONG_DECAY)
    return replace(project, task=task, model=fit_head(*stacked(project.train), task), fit=None)


def closed_form(case: Case, scores: Array) -> list[Figure]:
    """Scores in memory and in a workspace's file against the closed form."""
    truth = case.peer.scores(case.test_inputs, case.test_labels)
    with tempfile.TemporaryDirectory() as folder:
        stored = build(case.project, Path(folder) / "digits").run().rows(0, TEST_SIZE)
    by_element = np.abs(scores - truth).max() / np.abs(truth).max()
    return [
        Figure("scores against the closed form", _relative(scores, truth), most=1e-8, note="relative norm, float64"),
        Figure("largest difference / largest score", by_element, most=1e-8),
        Figure("stored scores against it", _relative(stored, truth), most=1e-6, note="relative norm, float32 file"),
    ]


def refits(case: Case, scores: Array, name: str, *, bounded: bool) -> list[Figure]:
    """Agreement with 200 refits, pooled over all test predictions."""
    rows = np.random.default_rng(0).choice(len(case.peer.inputs), REMOVED, replace=False)
    predicted, actual = scores[:, rows].T.ravel(), case.refitted(rows).ravel()
    line = np.polyfit(predicted, actual, 1)
    pearson = float(np.corrcoef(predicted, actual)[0, 1])
    signs = float((np.sign(predicted) == np.sign(actual)).mean())
    figures = [
        Figure(f"{name}: Pearson", pearson, least=0.999 if bounded else None, note=f"{len(predicted):,} pairs"),
        Figure(f"{name}: slope", line[0], least=0.95 if bounded else None, most=1.10 if bounded else None),
        Figure(f"{name}: same sign", 100 * signs, "%"),
        Figure(f"{name}: scikit-learn", cross_check(case, rows), most=1e-6, note="our refits against its refits"),
    ]
    errors = np.abs(predicted - actual) / np.abs(actual).clip(1e-300)
    deciles = np.array_split(np.argsort(np.abs(predicted)), 10)
    for k, members in enumerate(deciles, start=1):
        reach = f"|score| up to {np.abs(predicted[members]).max():.1e}"
        figures.append(Figure(f"{name}: error, decile {k}", 100 * np.median(errors[members]), "%", note=reach))
    return figures


def cross_check(case: Case, rows: Array) -> float:
    """Largest relative difference of a few refits' weights from scikit-learn's."""
    n, decay = len(case.peer.inputs), case.peer.decay
    worst = 0.0
    for row in rows[:CROSS_CHECKED]:
        judge = LogisticRegression(C=1 / (n * decay), fit_intercept=False, solver="newton-cg", tol=1e-11, max_iter=1000)
        judge.fit(case.peer.inputs, case.peer.labels, sample_weight=(np.arange(n) != row).astype(float))
        worst = max(worst, _relative(judge.coef_, case.peer.optimum(without=int(row))))
    return worst


def _relative(a: Array, b: Array) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def run() -> list[Figure]:
    """Both weight decays."""
    figures: list[Figure] = []
    demo = demo_models.load("digits")
    for project, name in ((demo, "decay 1/1437"), (strong(demo), "decay 1e-2")):
        case = Case.of(project)
        with torch.no_grad():
            scores = Exact().fit(project).scores(range(TEST_SIZE)).values.numpy()
        figures += closed_form(case, scores) if project is demo else []
        figures += refits(case, scores, name, bounded=project is not demo)
    return figures


def main() -> None:
    """Run this benchmark alone."""
    command("refit_digits", run)


if __name__ == "__main__":
    main()
