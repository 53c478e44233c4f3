"""What the model makes of the rows: outputs, labels and losses fit together, and nothing depends on chance."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from dashboard.services.findings import Finding, attempt
from dashboard.services.wording import number, percent, plain
from influence_core.checks import SPLITS, check_batch_independence, check_same_outputs, spread
from influence_core.gradients import FunctionalModel
from influence_core.heads import Head, find_head
from influence_core.predictions import Predictions, predict
from influence_core.project import Project, Split

BUDGET = 4.0  # seconds that running a split may take; of a larger one evenly spaced rows are taken
GROWING = (8, 64, 512)  # rows whose time says how many can be afforded


def in_eval_mode(project: Project) -> Project:
    """The project itself, or with a copy of its model in eval mode: what else is wrong can then be seen too."""
    if not any(layer.training for layer in project.model.modules()):
        return project
    return replace(project, model=copy.deepcopy(project.model).eval())


@dataclass(frozen=True)
class Trial:
    """A project under trial.

    Attributes:
        project: What is tried.
        model: The private copy of its model, in float64.
    """

    project: Project
    model: FunctionalModel

    @cached_property
    def rows(self) -> list[int]:
        """The training rows under trial: all, or as many as take a few seconds.

        Raises:
            ProjectError: If rows, labels, outputs and task do not fit together.
        """
        return self.affordable("train")

    @cached_property
    def train(self) -> Predictions:
        """What the model says of the training rows under trial.

        Raises:
            ProjectError: If rows, labels, outputs and task do not fit together.
        """
        return predict(self.model, self.project, "train", ids=self.rows)

    @cached_property
    def head(self) -> Head | None:
        """The linear head, if the model is one."""
        return find_head(self.model, self.project)

    @cached_property
    def single(self) -> FunctionalModel:
        """The model in float32, as iterative methods run it."""
        return FunctionalModel.of(in_eval_mode(self.project), torch.float32)

    @property
    def is_whole(self) -> bool:
        """Whether all training rows are under trial."""
        return len(self.rows) == len(self.project.train)

    def affordable(self, split: Split) -> list[int]:
        """All rows of a split, or evenly spaced ones that take a few seconds.

        Raises:
            ProjectError: If rows, labels, outputs and task do not fit together.
        """
        n = len(self.project.split(split))
        for size in GROWING:
            started = time.perf_counter()
            predict(self.model, self.project, split, ids=spread(n, size))
            enough = int(BUDGET * size / (time.perf_counter() - started))
            if n <= size or enough < size:
                break
        return spread(n, max(enough, GROWING[0]))


def findings(trial: Trial, *, rows_are_steady: bool) -> Iterator[Finding]:
    """Rows, chance, batches and, if these are fine, the loss.

    Args:
        trial: The project.
        rows_are_steady: Whether a row stays the same; if not, neither do outputs, which would be no news.
    """
    of_splits = [_of_split(trial, split) for split in SPLITS]
    yield from of_splits
    if not rows_are_steady or any(found.mark == "problem" for found in of_splits):
        return
    for about, fact, check in (
        ("same outputs", "The model gives the same outputs each time.", check_same_outputs),
        ("batches", "The examples of a batch do not influence each other.", check_batch_independence),
    ):
        broken = attempt(about, lambda check=check: check(trial.model, trial.project))  # type: ignore[misc]
        if isinstance(broken, Finding):
            yield broken
            return
        yield Finding("ok", about, fact)
    yield _loss(trial)
    yield from _classes(trial)


def _of_split(trial: Trial, split: Split) -> Finding:
    about, n = f"{split} rows", len(trial.project.split(split))
    rows = attempt(about, lambda: trial.affordable(split))
    if isinstance(rows, Finding):
        return rows
    found = attempt(about, lambda: predict(trial.model, trial.project, split, ids=rows))
    if isinstance(found, Finding):
        return found
    which = f"All {n:,} {split} rows" if len(rows) == n else f"{len(rows):,} of {n:,} {split} rows, evenly spaced,"
    return Finding("ok", about, f"{which} were read and predicted; their labels and outputs fit the task.")


def _loss(trial: Trial) -> Finding:
    """The mean loss of the training rows, beside what knowing only how often each label occurs would give."""
    seen, kind = trial.train, trial.project.task.kind
    mean = float(seen.losses.mean())
    if kind == "classification":
        shares = torch.bincount(seen.labels).double() / len(seen.labels)
        guess, unit = float(torch.special.entr(shares).sum()), " nats"
    elif kind == "regression":
        guess, unit = float(seen.labels.double().var(correction=0)), ""
    else:
        return Finding("ok", "loss", f"The mean training loss is {number(mean)}.")
    said = f"The mean training loss is {number(mean)}{unit}"
    if mean < guess:
        return Finding("ok", "loss", f"{said}; guessing by the labels alone would have {number(guess)}.")
    return Finding(
        "warning",
        "loss",
        f"{said}, no better than guessing by the labels alone ({number(guess)}); load the trained weights, and see "
        "that inputs are prepared and classes numbered as in training.",
    )


def _classes(trial: Trial) -> Iterator[Finding]:
    """Classes that no training row has, if all rows were seen."""
    task, names = trial.project.task, trial.project.class_names
    n_classes = int(getattr(task, "n_classes", 0)) if task.kind == "classification" else 0
    if not n_classes or not trial.is_whole:
        return
    counts = torch.bincount(trial.train.labels, minlength=n_classes)
    absent = [plain(names[c] if names else c) for c in (counts == 0).nonzero()[:, 0].tolist()]
    if absent:
        listed = ", ".join(absent[:5]) + (" and others" if len(absent) > 5 else "")  # noqa: PLR2004
        yield Finding("warning", "classes", f"No training row is of class {listed}; is `train` the whole training set?")
        return
    largest = int(counts.argmax())
    share = percent(float(counts[largest]) / len(trial.train.labels))
    name = plain(names[largest] if names else largest)
    yield Finding(
        "ok", "classes", f"{n_classes:,} classes, all of them in the training rows; the largest, {name}: {share}."
    )
