"""Where the bundled demos' workspaces are, and whether they are ready.

Nothing here imports torch, so that a second ``influence demo`` answers at once.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from platformdirs import user_data_dir

MADE_WITH = (
    "influence-dashboard",
    "torch",
    "scikit-learn",
    "numpy",
)  # what decides a demo's data, model and scores


@dataclass(frozen=True)
class DemoFolder:
    """Where a demo's workspace lives, and beside it a note of what was written there by which versions."""

    name: str

    @property
    def path(self) -> Path:
        """The workspace."""
        return Path(user_data_dir("influence-dashboard", appauthor=False)) / "demos" / self.name

    @property
    def note(self) -> Path:
        """Written when the workspace is complete."""
        return self.path.with_name(f"{self.name}.json")

    def contents(self) -> str:
        """The note of the workspace as it is now."""
        return json.dumps({"made_with": versions(), "files": _digests(self.path)}, indent=1) + "\n"

    def problem(self) -> str | None:
        """Why the demo has to be built: "" if it never was, a clause if its files are bad, None if ready."""
        noted = self._noted()
        if noted is None or not self.path.is_dir():
            return ""
        if noted["made_with"] != versions():
            return "was made by another version of this program or its libraries"
        now = _digests(self.path)
        wrong = [name for name, digest in noted["files"].items() if now.get(name) != digest]
        return f"is damaged ({wrong[0]} is missing, truncated or altered)" if wrong else None

    def _noted(self) -> dict[str, Any] | None:
        with suppress(OSError, ValueError):
            noted = json.loads(self.note.read_text(encoding="utf-8"))
            if isinstance(noted, dict) and isinstance(noted.get("files"), dict) and "made_with" in noted:
                return noted
        return None


def versions() -> dict[str, str]:
    """What a demo's workspace depends on beside its name."""
    found = {}
    for name in MADE_WITH:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"  # this program run from its source folder
    return found


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of the files that a build writes; a report carries times, so only its presence counts."""
    files = [folder / "manifest.json", *folder.glob("examples/*"), *folder.glob("runs/*/*")]
    return {file.relative_to(folder).as_posix(): _digest(file) for file in sorted(files) if file.is_file()}


def _digest(file: Path) -> str:
    if file.name == "report.json":
        return "present"
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
