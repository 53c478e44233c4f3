"""How long a row takes, measured on a few rows in the precision and the blocks that the methods use."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dashboard.services.check_model import Trial
from influence_core.checks import spread
from influence_core.curvature.dense import COLUMNS, ROWS
from influence_core.gradients import FunctionalModel
from influence_core.memory import DIRECTIONS
from influence_core.methods import Lissa
from influence_core.methods.iterative_attributor import PRODUCTS
from influence_core.predictions import predict
from influence_core.project import Dataset, read_row
from influence_core.task import Batch
from influence_core.trunk import with_trunk

MOMENT = 1.0  # seconds that one measurement may take
TRIED = 32  # rows that are measured at least
MATRIX = 512

Products = Callable[[Batch, Tensor], Tensor]


@dataclass(frozen=True)
class Speed:
    """Measured seconds.

    Attributes:
        row: Of reading a training row and running the model on it.
        hessian: Of a row's part of a product with the Hessian along one direction, the frozen trunk not run again.
        gauss_newton: The same with the Gauss-Newton curvature, in float32.
        flop: Of a multiplication and an addition in a large dense matrix.
    """

    row: float
    hessian: float
    gauss_newton: float
    flop: float


def measured(trial: Trial) -> Speed:
    """All of them; a few seconds."""
    n = len(trial.project.train)
    ids = spread(n, min(TRIED, n))
    row = _seconds(lambda: predict(trial.model, trial.project, "train", ids=ids)) / len(ids)
    sample = some_rows(trial, spread(n, max(TRIED, min(ROWS, int(MOMENT / row)))))
    model, rows = with_trunk(trial.model, sample)
    single, rows_of_single = with_trunk(trial.single, sample)
    matrix = torch.randn(MATRIX, MATRIX, dtype=torch.float64)
    return Speed(
        row=row,
        hessian=_product(model, rows, model.loss_hessian_products, COLUMNS),
        gauss_newton=_product(
            single, rows_of_single, single.loss_gauss_newton_products, width(min(n, Lissa().rows, len(sample)))
        ),
        flop=_seconds(lambda: matrix @ matrix) / MATRIX**3,
    )


def some_rows(trial: Trial, ids: list[int]) -> Dataset:
    """Some training rows, read once."""
    return [read_row(trial.project.train, row) for row in ids]


def width(rows: int) -> int:
    """Directions that an iterative method takes at once with so many rows."""
    return max(1, min(DIRECTIONS, PRODUCTS // rows))


def _product(model: FunctionalModel, sample: Dataset, products: Products, columns: int) -> float:
    """Seconds of one row and one direction, from growing blocks up to the whole sample."""
    seconds, done = 0.0, 1
    for share in (64, 8, 1):
        if seconds > MOMENT / 10:
            break  # the next block would take about ten times as long, which says no more
        rows, wide = max(1, len(sample) // share), max(1, columns // share)
        _, batch = next(model.batches(sample, rows, range(rows)))
        directions = torch.randn(model.vector.size, wide, dtype=model.dtype)
        seconds = _seconds(lambda batch=batch, d=directions: products(batch, d))  # type: ignore[misc]
        done = rows * wide
    return seconds / done


def _seconds(work: Callable[[], object]) -> float:
    """The second of two runs: the first one also finds memory and kernels."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
