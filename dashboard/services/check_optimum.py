"""Is the model at the optimum of the objective that the project states? Influence functions assume that it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.func import grad

from dashboard.services.check_model import Trial
from dashboard.services.findings import Finding
from dashboard.services.wording import number, percent
from influence_core.checks import spread
from influence_core.task import ClassificationTask, RegressionTask

SMALL = 0.02  # of an average row's gradient: what removing a few rows moves is then larger than what is left
BY_CHANCE = 3.0  # standard errors of a sample's mean
COMPARED = 16  # rows whose single gradients tell what an average one is
EXPLAINED = 0.1  # part of the loss's gradient that another weight decay may leave to count as the explanation
ROWS = 256


def findings(trial: Trial) -> Iterator[Finding]:
    """The norm of the gradient beside that of an average row, and what a large one means."""
    model, rows = trial.model, trial.rows
    loss, penalty = _mean_gradient(trial, rows), model.penalty_gradient()
    left, pull = float((loss + penalty).norm()), _average_pull(trial)
    share = left / pull if pull > 0 else math.inf if left > 0 else 0.0
    chance = 0.0 if trial.is_whole else BY_CHANCE / math.sqrt(len(rows))
    where = "" if trial.is_whole else f" on a sample of {len(rows):,} rows"
    said = f"The gradient of the training objective has norm {number(left)}{where}, {_part(share)} of an average row's"
    if share <= SMALL + chance:
        also = f"; up to {percent(chance)} may be the sample's" if chance else ""
        yield Finding("ok", "optimum", f"{said}{also}: the model is at its optimum, as scores assume.")
        return
    yield Finding("warning", "optimum", f"{said}, and would be about 0 at an optimum. {_why(trial, loss)}")


def _part(share: float) -> str:
    return percent(share) if share < 10 else f"{number(share)} times that"  # noqa: PLR2004


def _why(trial: Trial, loss: Tensor) -> str:
    """The likeliest reason: another weight decay, if one would balance the loss's gradient."""
    fitting = _fitting_decay(trial, loss)
    if fitting is not None:
        given = trial.project.task.weight_decay  # type: ignore[attr-defined]
        return (
            f"The weights fit weight_decay={fitting:.3g}, not {given:g} as the task says; set the one that the model "
            "was trained with (for a mean loss; scikit-learn's is 1 / (n C))."
        )
    return (
        "Either the task is not what the model was trained with (weight_decay, penalise_intercept, class or row "
        "weights, label smoothing; dropout and augmentation count too), or training stopped early; scores are then "
        "less sure, so mend it or check them by refitting."
    )


def _fitting_decay(trial: Trial, loss: Tensor) -> float | None:
    """The weight decay whose penalty balances the loss's gradient, if one nearly does."""
    task = trial.project.task
    if not isinstance(task, ClassificationTask | RegressionTask) or isinstance(task.weight_decay, Mapping):
        return None
    unit = replace(trial.model, task=replace(task, weight_decay=1.0)).penalty_gradient()
    square = float(unit.square().sum())
    best = -float(loss @ unit) / square if square else 0.0
    left = float((loss + best * unit).norm())
    return best if best > 0 and left <= EXPLAINED * float(loss.norm()) else None


def _mean_gradient(trial: Trial, rows: list[int]) -> Tensor:
    model = trial.model
    total = torch.zeros_like(model.theta)
    for _, batch in model.batches(trial.project.train, ROWS, rows):
        total += grad(lambda theta, batch=batch: model.losses(theta, batch).sum())(model.theta)
    return total / len(rows)


def _average_pull(trial: Trial) -> float:
    """Mean norm of single rows' gradients, over a few rows: what one row pulls with, times n."""
    rows = trial.rows
    chosen = [rows[i] for i in spread(len(rows), COMPARED)]
    return sum(float(_mean_gradient(trial, [row]).norm()) for row in chosen) / len(chosen)
