"""What was uploaded: a table or pictures, told by the file's first bytes and by its name."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePath

import pandas as pd

from dashboard.services.uploads.archives import PictureFile, read_zip
from dashboard.services.uploads.csv_files import read_csv
from dashboard.services.uploads.limits import FEWEST_ROWS, MEGABYTES, UploadError
from dashboard.services.uploads.parquet_files import read_parquet

SPREADSHEETS = (".xlsx", ".xls", ".ods", ".docx")


@dataclass(frozen=True)
class Upload:
    """A file that was read.

    Attributes:
        file: Its name without folders.
        digest: SHA-256 of its bytes.
        said: What was noticed, in sentences.
        table: Its columns; None for pictures.
        pictures: The pictures of a zip.
        data: The zip itself, as pictures are decoded when the model is trained.
    """

    file: str
    digest: str
    said: tuple[str, ...]
    table: pd.DataFrame | None = None
    pictures: tuple[PictureFile, ...] = ()
    data: bytes = b""

    @property
    def name(self) -> str:
        """A short name made of the file's, for links and the folder."""
        return re.sub(r"[^A-Za-z0-9_-]+", "-", PurePath(self.file).stem).strip("-")[:40] or "upload"


def read(file: str, data: bytes) -> Upload:
    """Read an upload.

    Raises:
        UploadError: If it cannot be taken; says why and what to do.
    """
    name = PurePath(file.replace("\\", "/")).name
    if len(data) > MEGABYTES * 2**20:
        msg = f"The file has {len(data) / 2**20:,.0f} MB and {MEGABYTES} MB are the most; upload a part of it."
        raise UploadError(msg)
    if not data.strip():
        msg = "The file is empty; upload a CSV or Parquet table, or a zip of pictures."
        raise UploadError(msg)
    if name.lower().endswith(SPREADSHEETS):
        msg = f"'{name[-60:]}' is an office document; save the sheet as CSV (UTF-8) and upload that."
        raise UploadError(msg)
    digest = hashlib.sha256(data).hexdigest()
    if data.startswith(b"PK"):
        files, said = read_zip(data)
        _check_rows(len(files), "pictures")
        return Upload(name, digest, tuple(said), pictures=tuple(files), data=data)
    frame, said = read_parquet(data) if data.startswith(b"PAR1") else read_csv(data)
    _check_rows(len(frame), "rows")
    return Upload(name, digest, tuple(said), table=frame)


def _check_rows(found: int, what: str) -> None:
    if found < FEWEST_ROWS:
        msg = f"There are {found} {what} and at least {FEWEST_ROWS} are needed to train and to test; upload more."
        raise UploadError(msg)
