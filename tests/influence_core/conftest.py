"""Small real projects for the engine's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

import demo_models
from influence_core.project import Project


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="session")
def digits() -> Project:
    """The default demo, as a user loads it."""
    torch.set_default_dtype(torch.float32)
    return demo_models.load("digits")
