"""Shared fixtures: numeric tests run in float64 with fixed generators."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """The same random numbers in every test, whatever ran before it; one thread, as the matrices are tiny."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
