"""One published file in the user's cache, fetched once and recognised by its SHA-256."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from influence_core.errors import ProjectError


def fetched(path: Path, sha256: str, download: Callable[[Path], Path]) -> Path:
    """The verified file, downloaded if it is not at its place; one that is cut short or altered is fetched again.

    Args:
        path: Where it is kept.
        sha256: Of its content.
        download: Puts a verified file into a folder and says where.

    Raises:
        ProjectError: If the folder cannot be written; whatever ``download`` raises.
    """
    try:
        if not path.is_file() or sha256_of(path) != sha256:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent) as folder:
                download(Path(folder)).replace(path)
    except OSError as error:
        msg = f"The folder {path.parent} cannot be used ({error.strerror}); make it writable or free space."
        raise ProjectError(msg) from error
    return path


def sha256_of(path: Path) -> str:
    """In hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
