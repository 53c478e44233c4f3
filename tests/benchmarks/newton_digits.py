"""Digits: Newton steps against refits without each of all 1,437 rows, and group removal against refits in numpy."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from scipy.stats import spearmanr
from torch import Tensor

import demo_models
from influence_core.evaluation.agreement import pearson_and_slope
from influence_core.evaluation.first_order import first_order_gap
from influence_core.evaluation.leave_one_out import Measured, refitted_scores
from influence_core.methods import Exact, Newton
from influence_core.methods.exact import ExactFit
from influence_core.methods.group_removal import remove_group
from influence_core.project import Project
from influence_core.target import Target
from tests import oracles
from tests.benchmarks.figures import Figure, command

DRAWS = 4  # of random rows for each share


@dataclass(frozen=True)
class Bounds:
    """What is asked of one method."""

    correlation: float | None = None
    slope: float | None = None
    error: float | None = None


LEAVE_ONE_OUT = {
    "first order": (Exact(), Bounds()),
    "Newton": (Newton(), Bounds(0.999, 0.04, 0.06)),
    "Newton, two steps": (Newton(steps=2), Bounds(0.9999, 0.015, 0.02)),
}


def leave_one_out(digits: Project, fit: ExactFit) -> list[Figure]:
    """Pooled over all rows and all test predictions."""
    problem, coefficients = fit.objective
    measured = Measured(fit.tests.read(range(len(digits.test))), digits.task, Target())
    started = time.perf_counter()
    actual = refitted_scores(problem, coefficients, measured, range(len(digits.train))).mT  # type: ignore[arg-type]
    figures = [Figure("refits without each of 1,437 rows", time.perf_counter() - started, "s")]
    for name, (method, bounds) in LEAVE_ONE_OUT.items():
        started = time.perf_counter()
        scores = method.fit(digits).scores(range(len(digits.test))).values
        seconds = time.perf_counter() - started
        figures += _compared(name, scores, actual, bounds)
        figures.append(Figure(f"{name}: fit and all scores", seconds, "s"))
    return figures + certificate(digits, actual)


def _compared(name: str, scores: Tensor, actual: Tensor, bounds: Bounds) -> list[Figure]:
    pearson, slope = pearson_and_slope(scores.flatten(), actual.flatten())
    low, high = (None, None) if bounds.slope is None else (1 - bounds.slope, 1 + bounds.slope)
    return [
        Figure(f"{name}: Pearson", pearson, least=bounds.correlation, note=f"{scores.numel():,} pairs"),
        Figure(f"{name}: slope", slope, least=low, most=high),
        Figure(f"{name}: relative error", 100 * oracles.relative(scores, actual), "%", most=_percent(bounds.error)),
    ]


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def certificate(digits: Project, actual: Tensor) -> list[Figure]:
    """The gap of a build's 200 predictions against the true relative error over all."""
    gap = first_order_gap(Newton().fit(digits), range(len(digits.test)), Target())
    error = (Exact().fit(digits).scores(range(len(digits.test))).values - actual).square().mean(0).sqrt()
    rank = spearmanr(gap.relative, error / actual.square().mean(0).sqrt()).statistic
    return [Figure("gap to first order: rank correlation with its true error", float(rank), least=0.99)]


def groups(digits: Project, fit: ExactFit) -> dict[str, list[int]]:
    """Random rows, whole and half classes, and the most helpful rows."""
    labels = torch.tensor([int(y) for _, y in digits.train])
    found = {}
    for share in (5, 10, 20):
        for draw in range(DRAWS):
            order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(draw)).tolist()
            found[f"random {share} % ({draw})"] = order[: len(labels) * share // 100]
    for digit in (0, 3, 8):
        found[f"all {digit}s"] = (labels == digit).nonzero()[:, 0].tolist()
        found[f"half of the {digit}s"] = (labels == digit).nonzero()[::2, 0].tolist()
    scores = fit.fitted.scores(range(len(digits.test))).values
    found["100 most helpful of all"] = scores.sum(0).argsort(descending=True)[:100].tolist()
    worst = int(scores.abs().amax(1).argmax())
    found["50 most helpful of one"] = scores[worst].argsort(descending=True)[:50].tolist()
    return found


def group_removal(digits: Project, fit: ExactFit) -> list[Figure]:
    """For each group: adding up scores, one step, two steps, and as many as it takes."""
    before, ids = oracles.softmax_refit(digits, []), range(len(digits.test))
    figures, one_step = [], []
    for name, rows in groups(digits, fit).items():
        actual = oracles.softmax_refit(digits, rows) - before
        removals = [remove_group(fit, rows, steps) for steps in (1, 2, None)]
        one, two, last = (removal.effects(ids) for removal in removals)
        slopes = [pearson_and_slope(effects, actual)[1] for effects in (removals[0].added_up(ids), one)]
        is_random = name.startswith("random")
        one_step += [abs(slopes[1] - 1)] if is_random else []
        note = f"{len(rows)} rows; {removals[2].steps} steps to a gradient of {removals[2].gradient_norm:.0e}"
        figures += [
            Figure(f"{name}: slope of added scores", slopes[0]),
            Figure(f"{name}: slope of one step", slopes[1]),
            Figure(f"{name}: error of two", 100 * oracles.relative(two, actual), "%", most=1.0 if is_random else None),
            Figure(f"{name}: error of all", 100 * oracles.relative(last, actual), "%", most=1.0, note=note),
        ]
    mean = 100 * sum(one_step) / len(one_step)
    return [*figures, Figure("random groups: one step's slope off by, on average", mean, "%", most=7.0)]


def run() -> list[Figure]:
    """Single rows, then groups."""
    digits = demo_models.load("digits")
    torch.set_default_dtype(torch.float64)
    fit = Exact().prepare(digits)
    return leave_one_out(digits, fit) + group_removal(digits, fit)


def main() -> None:
    """Run this benchmark alone."""
    command("newton_digits", run)


if __name__ == "__main__":
    main()
