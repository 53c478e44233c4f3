"""Which rows are the test set, drawn by lot with a fixed seed: the same upload is split the same way."""

from __future__ import annotations

import numpy as np

from dashboard.services.uploads.limits import MOST_TEST, TEST_SHARE

SEED = 0


def draw(labels: np.ndarray, kept: np.ndarray, *, by_class: bool) -> np.ndarray:
    """A fifth of the rows of every class, at least one of each and at most ``MOST_TEST`` or so in all."""
    lot = np.random.default_rng(SEED)
    is_test = np.zeros(len(labels), dtype=bool)
    n = int(kept.sum())
    share = min(TEST_SHARE, MOST_TEST / n)
    groups = sorted(set(labels[kept])) if by_class else [None]
    for group in groups:
        rows = np.flatnonzero(kept & (labels == group)) if by_class else np.flatnonzero(kept)
        is_test[lot.permutation(rows)[: max(1, round(share * len(rows)))]] = True
    return is_test
