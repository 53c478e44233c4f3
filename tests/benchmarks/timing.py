"""Seconds, taken so that a busy machine tells the two sides of a ratio apart as little as possible."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def taken(run: Callable[[], Any], repeats: int, warm_up: int = 1) -> np.ndarray:
    """Seconds of each of ``repeats`` calls after some that do not count."""
    for _ in range(warm_up):
        run()
    gc.collect()
    seconds = np.empty(repeats)
    for number in range(repeats):
        started = time.perf_counter()
        run()
        seconds[number] = time.perf_counter() - started
    return seconds


def p95(seconds: np.ndarray) -> float:
    """The time that 95 of 100 calls keep within."""
    return float(np.percentile(seconds, 95))
