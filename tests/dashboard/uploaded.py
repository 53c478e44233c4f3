"""Real files to upload, made in memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

from dashboard.services.uploads.building import Order, make
from dashboard.services.uploads.proposal import Choices, propose
from dashboard.services.uploads.reading import Upload, read
from influence_core.store import Progress, Workspace

GOOD = "a lovely film with fine actors and a pleasant end"
BAD = "an awful film with poor actors and a terrible end"


def cancer(rows: int = 200) -> pd.DataFrame:
    """Tumours in words: a key, thirty numbers, the diagnosis as ``target``."""
    frame: pd.DataFrame = load_breast_cancer(as_frame=True).frame.head(rows).copy()
    frame["target"] = frame["target"].map({0: "malignant", 1: "benign"})
    frame.insert(0, "id", [f"p{i}" for i in range(rows)])
    return frame


def csv(frame: pd.DataFrame, **how: object) -> bytes:
    return frame.to_csv(index=False, **how).encode()  # type: ignore[call-overload, no-any-return]


def parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def diabetes() -> bytes:
    """A regression, as Parquet."""
    return parquet(load_diabetes(as_frame=True, scaled=False).frame)


def reviews(rows: int = 60) -> pd.DataFrame:
    lot = np.random.default_rng(0)
    moods = ["good" if i % 2 else "bad" for i in range(rows)]
    texts = [" ".join(lot.permutation((GOOD if mood == "good" else BAD).split())) for mood in moods]
    return pd.DataFrame({"review": texts, "year": 1990 + np.arange(rows) % 30, "mood": moods})


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


def digits(rows: int = 120, folder: str = "digits/{label}") -> dict[str, bytes]:
    """Pictures of digits by class folder."""
    data = load_digits()
    return {
        f"{folder.format(label=data.target[i])}/{i:04}.png": png((data.images[i] * 15.9).astype(np.uint8))
        for i in range(rows)
    }


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def order_of(upload: Upload, **changes: object) -> Order:
    choices = Choices(**{**propose(upload).model_dump(), **changes})
    return Order(digest=upload.digest, name=upload.name, choices=choices)


def trained(name: str, data: bytes, report: Callable[[Progress], None] = lambda progress: None) -> Workspace:
    """The workspace of an upload with the choices that were proposed."""
    upload = read(name, data)
    return Workspace(make(upload, order_of(upload), report))


def folders(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir()) if place.exists() else []
