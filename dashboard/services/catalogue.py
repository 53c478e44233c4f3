"""Recent workspaces under short names, so that a link names a workspace and never a path.

The catalogue is one small JSON file in the user's data folder. It is written to a temporary name and renamed, and a
file that cannot be read is moved aside: losing the list of recent folders must never keep the dashboard shut.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from platformdirs import user_data_dir

from influence_core.errors import UnknownNameError

FILE_NAME = "catalogue.json"
KEPT = 50


@dataclass(frozen=True)
class Entry:
    """One workspace that was opened before.

    Attributes:
        name: Unique in the catalogue; what a link says.
        path: Absolute path of the folder.
        opened: When it was opened last, in seconds since 1970.
    """

    name: str
    path: str
    opened: float

    @property
    def exists(self) -> bool:
        """Whether the folder is still there."""
        return Path(self.path).is_dir()


def location() -> Path:
    """The catalogue's file."""
    return Path(user_data_dir("influence-dashboard", appauthor=False)) / FILE_NAME


def recent() -> list[Entry]:
    """All known workspaces, the last opened first; empty if there is no readable catalogue."""
    try:
        entries = [Entry(str(e["name"]), str(e["path"]), float(e["opened"])) for e in _stored()]
    except (OSError, ValueError, KeyError, TypeError):
        _move_aside()
        return []
    return sorted(entries, key=lambda entry: -entry.opened)


def register(path: str | Path) -> str:
    """Remember a workspace and return its name; the same folder keeps the name it has."""
    folder = str(Path(path).expanduser().resolve())
    known = recent()
    name = next((e.name for e in known if e.path == folder), None) or _unused_name(Path(folder).name, known)
    others = [e for e in known if e.path != folder]
    with suppress(OSError):  # a read-only home: the workspace opens all the same, it is just not remembered
        _write([Entry(name, folder, time.time()), *others][:KEPT])
    return name


def lookup(name: str) -> Path:
    """The folder of a name.

    Raises:
        UnknownNameError: If nothing was ever opened under that name.
    """
    for entry in recent():
        if entry.name == name:
            return Path(entry.path)
    msg = f"No workspace is known here as '{name}'; open its folder once with `influence open DIR`."
    raise UnknownNameError(msg)


def stamp(path: str | Path) -> str:
    """Changes whenever a run is added to a workspace or it is built anew; a key for caches."""
    folder = Path(path)
    watched = [folder / "manifest.json", *sorted(folder.glob("runs/*/report.json"))]
    return "-".join(f"{file.stat().st_mtime_ns:x}" for file in watched if file.exists())


def _stored() -> list[dict[str, str]]:
    file = location()
    if not file.exists():
        return []
    stored = json.loads(file.read_text(encoding="utf-8"))["workspaces"]
    if not isinstance(stored, list):
        raise TypeError(type(stored))
    return stored


def _write(entries: list[Entry]) -> None:
    file = location()
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"version": 1, "workspaces": [asdict(e) for e in entries]}, indent=1)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=FILE_NAME, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).replace(file)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def _move_aside() -> None:
    file = location()
    with suppress(OSError):
        file.replace(file.with_name(f"{FILE_NAME}.broken-{int(time.time())}"))


def _unused_name(folder: str, known: list[Entry]) -> str:
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", folder).strip("-.") or "workspace"
    taken = {entry.name for entry in known}
    candidates = [base, *(f"{base}-{i}" for i in range(2, len(taken) + 3))]
    return next(name for name in candidates if name not in taken)
