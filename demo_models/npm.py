"""One published npm package as a file in the user's cache, fetched once by the npm client.

The tarball is recognised by its SHA-256: one that is cut short or altered is fetched again.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from demo_models.fetched import fetched, sha256_of
from influence_core.errors import ProjectError

TIMEOUT_SECONDS = 900

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NpmPackage:
    """A package at one version.

    Attributes:
        name: As npm knows it.
        version: Exact, so that the content never changes.
        sha256: Of the published tarball.
        size: In words, for the reader who waits.
    """

    name: str
    version: str
    sha256: str
    size: str

    @property
    def path(self) -> Path:
        """Where the tarball is kept."""
        name = f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"
        return user_cache_path("influence-dashboard", appauthor=False) / "npm" / name

    def fetch(self) -> Path:
        """The verified tarball, downloaded if it is not in the cache.

        Raises:
            ProjectError: If npm is missing or fails, or the cache folder cannot be written.
        """
        return fetched(self.path, self.sha256, self._download)

    def files(self, suffix: str) -> Iterator[tuple[str, bytes]]:
        """Path inside the package and content of each file with that suffix; nothing is unpacked to disk."""
        with tarfile.open(self.fetch(), "r:gz") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.name.endswith(suffix) else None
                if content is not None:
                    yield member.name, content.read()

    def _download(self, folder: Path) -> Path:
        npm = shutil.which("npm")
        if npm is None:
            msg = (
                f"This demo's data is the npm package {self.name}, and npm is not installed; "
                "install Node.js, which brings npm, or choose another demo."
            )
            raise ProjectError(msg)
        _log.info("Downloading %s %s with npm (%s, once).", self.name, self.version, self.size)
        self._pack(npm, folder)
        packed = list(folder.glob("*.tgz"))
        if len(packed) != 1 or sha256_of(packed[0]) != self.sha256:
            msg = (
                f"npm delivered something other than the published package {self.name} {self.version}; run "
                "'npm cache clean --force' and try again."
            )
            raise ProjectError(msg)
        return packed[0]

    def _pack(self, npm: str, folder: Path) -> None:
        command = [npm, "pack", f"{self.name}@{self.version}", "--ignore-scripts", "--loglevel=error"]
        try:
            # a fixed command on the npm that the user installed; its arguments are constants of this program
            subprocess.run(  # noqa: S603
                command,
                cwd=folder,
                check=True,
                capture_output=True,
                timeout=TIMEOUT_SECONDS,
                errors="replace",
            )
        except subprocess.TimeoutExpired as error:
            minutes = TIMEOUT_SECONDS // 60
            msg = f"npm did not deliver {self.name} within {minutes} minutes; try again on a faster network."
            raise ProjectError(msg) from error
        except subprocess.CalledProcessError as error:
            reason = next(iter(error.stderr.strip().splitlines()), f"exit code {error.returncode}")
            msg = (
                f"npm could not fetch {self.name} ({reason}); check the network and npm's registry setting, "
                "then try again."
            )
            raise ProjectError(msg) from error
