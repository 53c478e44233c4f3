"""Gauss-Newton products of mnist-cnn by examples and directions at once: which blocks are the cheapest?"""

from __future__ import annotations

import time

import torch

import demo_models
from influence_core.curvature.dense import Blocks, GaussNewton
from influence_core.gradients import FunctionalModel
from influence_core.project import stacked
from tests.benchmarks.figures import Figure, command

COLUMNS = 24
SIZES = ((128, 1), (128, 4), (128, 24), (512, 1), (512, 4), (512, 8), (512, 24), (1024, 4), (4000, 24))
REPEATS = 3


def run() -> list[Figure]:
    """Milliseconds a direction for one pass over 4,000 rows."""
    project = demo_models.load("mnist-cnn")
    model = FunctionalModel.of(project, torch.float32)
    train = stacked(project.train, torch.float32)
    vectors = torch.randn(model.vector.size, COLUMNS, generator=torch.Generator().manual_seed(0))
    figures = []
    for rows, directions in SIZES:
        curvature = GaussNewton(model, train, Blocks(rows, rows * directions))
        seconds = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            curvature.matvec(vectors)
            seconds.append(time.perf_counter() - started)
        cost = 1000 * min(seconds) / COLUMNS
        figures.append(Figure(f"{rows} examples x {directions} directions", cost, "ms", note="a direction, a pass"))
    return figures


def main() -> None:
    """Run this benchmark alone."""
    command("product_blocks", run)


if __name__ == "__main__":
    main()
