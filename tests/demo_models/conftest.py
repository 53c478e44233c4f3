"""The demos, loaded once; npm and pip really download, and models really train, into a folder that goes away.

spam-transformer is trained on few mails here; the full demo is built by a test that is marked slow.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import demo_models
from demo_models import spam_transformer
from demo_models.fine_tuning import Recipe
from influence_core.project import Project

FEW = Recipe(train_size=160, test_size=60, tokens=48, batch_size=16, evaluations=500)
NOT_LINEAR = ("mnist-cnn", "spam-transformer")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the session's own, in place of the user's."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        for module in ("npm", "pypi", "kept"):
            patch.setattr(f"demo_models.{module}.user_cache_path", lambda *_, **__: folder)
        patch.setattr(spam_transformer, "RECIPE", FEW)
        yield folder


@pytest.fixture(scope="session", params=demo_models.DEMOS)
def project(request: pytest.FixtureRequest, loaded: dict[str, Project]) -> Project:
    """Each demo in turn."""
    return _once(loaded, request.param)


@pytest.fixture(scope="session", params=[name for name in demo_models.DEMOS if name not in NOT_LINEAR])
def linear(request: pytest.FixtureRequest, loaded: dict[str, Project]) -> Project:
    """Each demo that is a linear head, whose optimum is unique."""
    return _once(loaded, request.param)


@pytest.fixture(scope="session")
def mnist(loaded: dict[str, Project]) -> Project:
    return _once(loaded, "mnist-cnn")


@pytest.fixture(scope="session")
def transformer(loaded: dict[str, Project]) -> Project:
    return _once(loaded, "spam-transformer")


@pytest.fixture(scope="session")
def spam(loaded: dict[str, Project]) -> Project:
    return _once(loaded, "spam")


@pytest.fixture(scope="session")
def loaded(cache: Path) -> dict[str, Project]:
    return {}


def _once(loaded: dict[str, Project], name: str) -> Project:
    if name not in loaded:
        loaded[name] = demo_models.load(name)
    return loaded[name]
