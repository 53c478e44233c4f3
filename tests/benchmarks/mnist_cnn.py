"""The demo mnist-cnn: LiSSA and conjugate gradients, alone and together, in seconds and full-data residual."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import demo_models
from influence_core.evaluation.agreement import pearson_and_slope
from influence_core.gradients import FunctionalModel
from influence_core.methods import ConjugateGradients, Lissa
from influence_core.predictions import predict
from influence_core.project import Project
from influence_core.scores import InfluenceScores
from influence_core.store import build
from influence_core.store.describe import solve_order
from tests.benchmarks.figures import Figure, command

BLOCK = 4  # predictions solved together
COMPARED = 4
SOLVED = 60  # by a build
SINGLE = range(20, 25)  # places in the order, one at a time
PLAIN, DEFAULT = "conjugate gradients alone", "conjugate gradients, preconditioned"


def solve(attributor: Any, ids: list[int]) -> tuple[InfluenceScores, float]:
    """Scores and seconds."""
    started = time.perf_counter()
    found = attributor.scores(ids)
    return found, time.perf_counter() - started


def agreement(found: InfluenceScores, reference: InfluenceScores) -> tuple[float, float]:
    """Smallest Pearson and the slope farthest from 1, over the compared predictions."""
    pairs = [pearson_and_slope(found.values[i].double(), reference.values[i].double()) for i in range(COMPARED)]
    return min(pearson for pearson, _ in pairs), max((slope for _, slope in pairs), key=lambda s: abs(s - 1))


def in_turns(rivals: dict[str, Any], ids: list[int]) -> tuple[dict[str, list[float]], float]:
    """Seconds of single predictions, each solved by one rival after the other, and the largest residual of all."""
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    residuals = []
    for test_id in ids:
        for name, attributor in rivals.items():
            found, taken = solve(attributor, [test_id])
            seconds[name].append(taken)
            residuals.append(found.residual)
    return seconds, max(residuals)


def order_of(project: Project) -> list[int]:
    """Test predictions, the wrong ones by loss first."""
    return solve_order(project, predict(FunctionalModel.of(project, torch.float32), project, "test"))


def build_seconds(project: Project) -> Figure:
    """The demo's build, once its model is trained."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = build(project, Path(folder) / "w", test_limit=SOLVED).run()
        seconds, solved = time.perf_counter() - started, len(run.solved)
    note = f"{solved} predictions solved, largest residual {run.report.residual:.3f}"
    return Figure("build", seconds if solved == SOLVED else float("nan"), "s", most=480, note=note)


RIVALS = {
    "LiSSA alone": Lissa(preconditioner="none"),
    "LiSSA, preconditioned": Lissa(),
    "conjugate gradients alone": ConjugateGradients(preconditioner="none"),
    "conjugate gradients, preconditioned": ConjugateGradients(),
}


def run() -> list[Figure]:
    """A block by each method, four predictions against an exact solve, and single predictions as a page asks them."""
    project = demo_models.load("mnist-cnn")
    ids = order_of(project)
    fitted = {name: method.fit(project) for name, method in RIVALS.items()}
    exact = ConjugateGradients(tolerance=1e-4).fit(project).scores(ids[:COMPARED])
    figures, steps = [], {}
    for name, attributor in fitted.items():
        found, seconds = solve(attributor, ids[:BLOCK])
        pearson, slope = agreement(found, exact)
        is_cg = isinstance(RIVALS[name], ConjugateGradients)
        steps[name] = statistics.fmean(report.steps for report in found.solves)
        figures += [
            Figure(f"{name}: seconds a prediction", seconds / BLOCK, "s", note=f"{BLOCK} together"),
            Figure(f"{name}: mean steps", steps[name]),
            Figure(f"{name}: largest residual", found.residual, most=1e-2 if is_cg else 0.1),
            Figure(f"{name}: Pearson", pearson, least=0.99, note=f"worst of {COMPARED}, with CG at 1e-4"),
            Figure(f"{name}: slope", slope, note="farthest from 1 of them"),
        ]
    default = fitted[DEFAULT]
    first = default.first.scores(ids[:COMPARED])
    pearson, slope = agreement(first, exact)
    single = [ids[place] for place in SINGLE]
    singly, residual = in_turns({PLAIN: fitted[PLAIN], DEFAULT: default}, single)
    medians = {name: statistics.median(taken) for name, taken in singly.items()}
    return [
        *figures,
        Figure("first answers by EK-FAC: Pearson", pearson, note=f"worst of {COMPARED}"),
        Figure("first answers by EK-FAC: slope", slope),
        Figure("steps of plain CG / the default's", steps[PLAIN] / steps[DEFAULT], "times", least=1),
        Figure(
            "seconds of plain CG / the default's", medians[PLAIN] / medians[DEFAULT], "times", least=1, note="in turns"
        ),
        Figure("one refined answer, slowest", max(singly[DEFAULT]), "s", most=10, note=f"of {len(SINGLE)}"),
        Figure("their largest residual", residual, most=1e-2),
        build_seconds(project),
    ]


def main() -> None:
    """Run this benchmark alone."""
    command("mnist_cnn", run)


if __name__ == "__main__":
    main()
