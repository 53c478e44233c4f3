"""Files that are either whole or absent, and that say so when they were altered.

Every file is written under a temporary name, synced and renamed. A folder's ``SHA256SUMS`` (the format of
``sha256sum --check``) is written last; a file is compared with it when it is first opened.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from influence_core.errors import DamagedWorkspaceError, UnwritableWorkspaceError

SUMS = "SHA256SUMS"
TEMPORARY = ".tmp"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the operating system says of writing to ``path`` into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            msg = f"The disk is full while writing {path.name}; free some space and run it again: what is done is kept."
        elif error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            msg = f"{path.parent} cannot be written to; choose another folder with --out, or change its permissions."
        else:
            msg = f"{path} cannot be written ({error.strerror or error}); choose another folder with --out."
        raise UnwritableWorkspaceError(msg) from error


def write(path: Path, content: Callable[[Path], None]) -> None:
    """Let ``content`` write a temporary file beside ``path``, sync it and rename it into place.

    Raises:
        UnwritableWorkspaceError: If the disk is full or the folder cannot be written to.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            content(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(path.parent.stat().st_mode & 0o666)  # some writers make private files
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole."""
    write(path, lambda temporary: _dump(temporary, text))


def _dump(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(folder: Path) -> None:
    """Write the digests of every file of a folder but reports, which carry times."""
    names = sorted(p.name for p in folder.iterdir() if p.suffix not in (TEMPORARY, "") and p.name != "report.json")
    write_text(folder / SUMS, "".join(f"{digest(folder / name)}  {name}\n" for name in names))


def drop_damaged(folder: Path) -> None:
    """Remove the files that differ from the folder's digests, so that a build makes them again."""
    for name, expected in _sums(folder).items():
        path = folder / name
        if path.is_file() and digest(path) != expected:
            with explained(path):
                path.unlink()


def listed(folder: Path, prefix: str) -> list[Path]:
    """The files that a folder's digests name, whether or not they are there, in the order of their names."""
    return [folder / name for name in sorted(_sums(folder)) if name.startswith(prefix)]


def _sums(folder: Path) -> dict[str, str]:
    sums = folder / SUMS
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
    return {name: value for value, _, name in (line.partition("  ") for line in lines)}


def check_sum(path: Path) -> None:
    """Compare a file with its folder's digests.

    Raises:
        DamagedWorkspaceError: If it is missing, truncated or altered.
    """
    expected = _sums(path.parent)
    if path.name not in expected or not path.is_file() or digest(path) != expected[path.name]:
        state = "is truncated or was altered" if path.is_file() else "is missing"
        where = path.relative_to(path.parent.parent)
        msg = f"{where} {state}; build the workspace again, or copy it again from where it came from."
        raise DamagedWorkspaceError(msg)
