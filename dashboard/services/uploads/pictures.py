"""One picture: its header is read before it is decoded, and what is kept of it is a small PNG of our own."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from dashboard.services.uploads.limits import PIXELS, UploadError

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff")
NOT_KEPT = "A kept picture is damaged or larger than a thumbnail; upload the pictures again."
SIDE = 256  # pixels of the longer side of what is kept


class CorruptPictureError(Exception):
    """It cannot be decoded; whoever reads many leaves it out and says so."""


def check(data: bytes, name: str) -> int:
    """Read the header, and the check sums where the format has some; the pixels of the longer side.

    Raises:
        UploadError: If it has more pixels than are decoded here.
        CorruptPictureError: If it is no picture.
    """
    image = _opened(data, name)
    side = max(image.size)
    try:
        image.verify()
    except Exception as error:  # Pillow's decoders raise anything, SyntaxError and struct.error among it
        raise CorruptPictureError(name) from error
    return side


def thumbnail(data: bytes, name: str) -> bytes:
    """A PNG of at most ``SIDE`` pixels a side, without whatever else the file held.

    Raises:
        UploadError: If it has more pixels than are decoded here.
        CorruptPictureError: If it cannot be decoded.
    """
    image = _opened(data, name)
    try:
        image.draft("RGB", (2 * SIDE, 2 * SIDE))  # a large JPEG is decoded small
        upright = ImageOps.exif_transpose(image)
        small = upright.convert("L") if upright.mode in ("1", "L", "LA") else _in_colour(upright)
        small.thumbnail((SIDE, SIDE))
        buffer = io.BytesIO()
        small.save(buffer, format="PNG")
        return buffer.getvalue()
    except Exception as error:
        raise CorruptPictureError(name) from error


def decoded(png: bytes) -> Image.Image:
    """A thumbnail that was kept; one that a stranger put there is held to the same limits.

    Raises:
        UploadError: If it is larger than a thumbnail or no picture.
    """
    try:
        image = _opened(png, "kept")
        is_small = max(image.size) <= SIDE
        if is_small:
            image.load()
    except (CorruptPictureError, OSError, ValueError, SyntaxError) as error:
        raise UploadError(NOT_KEPT) from error
    if not is_small:
        raise UploadError(NOT_KEPT)
    return image


@dataclass(frozen=True)
class Thumbnails(Sequence[Any]):
    """Kept pictures, decoded when they are looked at."""

    pngs: Sequence[bytes]

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.pngs)

    def __getitem__(self, index: Any) -> Any:
        """One picture."""
        return decoded(self.pngs[index])


def _opened(data: bytes, name: str) -> Image.Image:
    """The header only; nothing is decoded yet."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(name, 0) from error
    except Exception as error:
        raise CorruptPictureError(name) from error
    if image.width * image.height > PIXELS:
        raise _too_large(name, image.width * image.height)
    return image


def _too_large(name: str, pixels: int) -> UploadError:
    size = f"{pixels / 1e6:,.0f} megapixels" if pixels else "far too many pixels"
    return UploadError(
        f"The picture '{name[-80:]}' has {size} and {PIXELS // 1_000_000} megapixels are the most; make it smaller."
    )


def _in_colour(image: Image.Image) -> Image.Image:
    """RGB on white; 16-bit greys are brought to 8 bits by their own range."""
    if image.mode in ("I", "I;16", "F"):
        values = np.asarray(image, dtype=np.float64)
        low, high = float(values.min()), float(values.max())
        return Image.fromarray(np.round(255 * (values - low) / ((high - low) or 1.0)).astype(np.uint8))
    if image.mode in ("RGBA", "PA") or "transparency" in image.info:
        whole = image.convert("RGBA")
        ground = Image.new("RGBA", whole.size, "white")
        return Image.alpha_composite(ground, whole).convert("RGB")
    return image.convert("RGB")
