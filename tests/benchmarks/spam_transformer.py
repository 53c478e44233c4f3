"""The demo spam-transformer: tuning and build in seconds, residuals, accuracy, and what the stored trunk is worth."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch

import demo_models
from demo_models.spam_transformer import TEST_LIMIT
from influence_core.gradients import FunctionalModel
from influence_core.methods import auto
from influence_core.methods.base import run_stages
from influence_core.store import build
from tests.benchmarks.figures import Figure, command

ROWS, DIRECTIONS = 64, 4


def trunk_ratio(
    model: FunctionalModel, trunked: FunctionalModel, plain_rows: object, rows: object
) -> tuple[float, float]:
    """Seconds of a Gauss-Newton product on some rows without and with the stored trunk."""
    directions = torch.randn(model.vector.size, DIRECTIONS, dtype=model.dtype)
    seconds = []
    for one, data in ((model, plain_rows), (trunked, rows)):
        _, batch = next(one.batches(data, ROWS, range(ROWS)))  # type: ignore[arg-type]
        one.loss_gauss_newton_products(batch, directions)
        started = time.perf_counter()
        one.loss_gauss_newton_products(batch, directions)
        seconds.append(time.perf_counter() - started)
    return seconds[0], seconds[1]


def run() -> list[Figure]:
    """The demo as `influence demo spam-transformer` makes it; tuning is quick where its weights are kept already."""
    started = time.perf_counter()
    project = demo_models.load("spam-transformer")
    loaded = time.perf_counter() - started
    fitted = auto(project).prepare(project)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        workspace = build(project, Path(folder) / "w", auto(project), test_limit=TEST_LIMIT)
        built = time.perf_counter() - started
        made, frame = workspace.run(), workspace.test.frame()
        solved, report, accuracy = len(made.solved), made.report, float(frame["correct"].mean())
    trunked, rows = fitted.trunked  # type: ignore[union-attr]
    attributor = fitted.attributor(run_stages(fitted.stages))
    started = time.perf_counter()
    attributor.scores([0])
    one = time.perf_counter() - started
    plain, stored = trunk_ratio(fitted.model, trunked, project.train, rows)
    return [
        Figure("fetch, tune and load", loaded, "s", note="quick where the weights are kept"),
        Figure("build", built, "s", most=900, note=f"{solved} predictions solved"),
        Figure("largest residual", report.residual, most=0.01),
        Figure("gradient norm of the attributed layers", report.gradient_norm, most=1e-5),
        Figure("test accuracy", accuracy, least=0.95),
        Figure("one prediction on demand", one, "s"),
        Figure("product without the stored trunk", plain, "s", note=f"{ROWS} rows, {DIRECTIONS} directions"),
        Figure("product with it", stored, "s"),
        Figure("ratio", plain / stored, least=10),
    ]


def main() -> None:
    """Run this benchmark alone."""
    command("spam_transformer", run)


if __name__ == "__main__":
    main()
