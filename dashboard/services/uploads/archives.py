"""A zip of pictures, one folder a class: read from memory, nothing is ever unpacked to a path."""

from __future__ import annotations

import io
import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dashboard.services.uploads.limits import FILES, PICTURES, RATIO, UNPACKED_MEGABYTES, UploadError, listed
from dashboard.services.uploads.pictures import SUFFIXES, CorruptPictureError, check

SPLITS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "test",
    "valid": "test",
    "validation": "test",
}
NEEDED = "put the pictures into one folder a class, such as cats/1.jpg and dogs/1.jpg, and zip these folders"


@dataclass(frozen=True)
class PictureFile:
    """One picture of the zip.

    Attributes:
        path: In the zip.
        label: The folder it lies in.
        split: ``train``, ``test``, or empty where the folders do not say.
        side: Pixels of its longer side; 0 if it is corrupt.
    """

    path: str
    label: str
    split: str
    side: int = 0


def read_zip(data: bytes) -> tuple[list[PictureFile], list[str]]:
    """The pictures whose header is whole, and what was noticed.

    Raises:
        UploadError: If it is no zip, if it is made to do harm, too large, or holds no pictures in folders.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_archive(entries, len(data))
            found, said = _sorted(entries)
            measured = [replace(file, side=_side(content, file.path)) for file, content in _contents(archive, found)]
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, OSError) as error:
        msg = f"The zip cannot be read ({str(error)[:200].rstrip('.')}); zip the folders again."
        raise UploadError(msg) from error
    corrupt = [file.path for file in measured if not file.side]
    if len(corrupt) == len(found):
        msg = (
            f"None of the {len(found):,} pictures can be decoded (the first is {listed(corrupt, 1)}); export them anew."
        )
        raise UploadError(msg)
    if corrupt:
        said.append(said_of_corrupt(corrupt))
    return [file for file in measured if file.side], said


def pictures(data: bytes, files: list[PictureFile]) -> Iterator[tuple[PictureFile, bytes]]:
    """The files' bytes, one after the other."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        yield from _contents(archive, files)


def said_of_corrupt(paths: list[str]) -> str:
    """Which pictures are left out because they cannot be decoded."""
    what = "1 picture" if len(paths) == 1 else f"{len(paths):,} pictures"
    return f"{what} cannot be decoded and {'is' if len(paths) == 1 else 'are'} left out: {listed(paths)}."


def _contents(archive: zipfile.ZipFile, files: list[PictureFile]) -> Iterator[tuple[PictureFile, bytes]]:
    for file in files:
        try:
            yield file, archive.read(file.path)  # stops at the size that was declared, and checks it
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError):
            yield file, b""  # which no decoder takes for a picture


def _side(content: bytes, path: str) -> int:
    try:
        return check(content, path)
    except CorruptPictureError:
        return 0


def _check_archive(entries: list[zipfile.ZipInfo], size: int) -> None:
    if len(entries) > FILES:
        msg = f"The zip holds {len(entries):,} files and {FILES:,} are the most; upload a part of them."
        raise UploadError(msg)
    for entry in entries:
        _check_name(entry)
        if entry.flag_bits & 1:
            msg = f"'{entry.filename[:80]}' in the zip is encrypted; zip the folders without a password."
            raise UploadError(msg)
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > UNPACKED_MEGABYTES * 1_000_000 or unpacked > RATIO * max(size, 1):
        msg = (
            f"The zip unpacks to {unpacked / 1e6:,.0f} MB, {unpacked / max(size, 1):,.0f} times its size; at most "
            f"{UNPACKED_MEGABYTES} MB and {RATIO} times are taken: upload fewer pictures, as PNG or JPEG."
        )
        raise UploadError(msg)


def _check_name(entry: zipfile.ZipInfo) -> None:
    """Refuse names that would leave the folder that a careless program unpacks to."""
    name = entry.orig_filename.replace("\\", "/")
    is_link = stat.S_ISLNK(entry.external_attr >> 16)
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/") or "\x00" in name or is_link:
        what = "is a symbolic link" if is_link else "names a place outside of the zip"
        msg = f"'{name[:80]}' in the zip {what}, which no zip of pictures needs; zip the folders themselves."
        raise UploadError(msg)


def _sorted(entries: list[zipfile.ZipInfo]) -> tuple[list[PictureFile], list[str]]:
    """Pictures by folder in the order of their paths, and what else there was."""
    names = sorted({entry.filename for entry in entries if not entry.is_dir() and not _is_hidden(entry.filename)})
    drawn = [name for name in names if name.lower().endswith(SUFFIXES)]
    loose = [name for name in drawn if "/" not in name]
    found = [_file(name) for name in drawn if "/" in name]
    said = []
    if len(names) > len(drawn):
        said.append(f"{len(names) - len(drawn):,} files are no pictures and are left out.")
    if loose:
        said.append(f"{len(loose):,} pictures lie in no folder and are left out: {listed(loose)}.")
    if not found:
        msg = f"The zip holds no pictures in folders ({len(drawn):,} pictures, {len(names):,} files); {NEEDED}."
        raise UploadError(msg)
    if len(found) > PICTURES:
        msg = f"The zip holds {len(found):,} pictures and {PICTURES:,} are the most; upload a part of them."
        raise UploadError(msg)
    return _with_splits(found), said


def _is_hidden(name: str) -> bool:
    parts = name.split("/")
    return (
        "__MACOSX" in parts or any(part.startswith(".") for part in parts) or parts[-1] in ("Thumbs.db", "desktop.ini")
    )


def _file(path: str) -> PictureFile:
    *above, label, _ = path.split("/")
    split = next((SPLITS[part.lower()] for part in above if part.lower() in SPLITS), "")
    return PictureFile(path, label, split)


def _with_splits(found: list[PictureFile]) -> list[PictureFile]:
    """Folders called train and test count only where every picture is in one, and there are both."""
    counts = Counter(file.split for file in found)
    if counts["train"] and counts["test"] and not counts[""]:
        return found
    return [replace(file, split="") for file in found]
