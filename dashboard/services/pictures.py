"""Pictures at the size in which they are looked at."""

from __future__ import annotations

import base64
import io

from PIL import Image


def fitted(png: bytes, side: int) -> bytes:
    """A PNG whose longer side is about ``side`` pixels.

    Small pictures grow by a whole factor without smoothing, so that every pixel of an 8x8 digit is a square.
    """
    with Image.open(io.BytesIO(png)) as opened:
        picture = opened if opened.mode in {"L", "RGB", "RGBA"} else opened.convert("RGB")
        longer = max(picture.size)
        if longer < side:
            factor = max(1, side // longer)
            size = (picture.width * factor, picture.height * factor)
            shown = picture.resize(size, Image.Resampling.NEAREST)
        else:
            shown = picture.copy()
            shown.thumbnail((side, side), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        shown.save(out, "PNG")
    return out.getvalue()


def data_url(png: bytes, side: int) -> str:
    """The fitted picture as a ``data:`` address, so that nothing is fetched."""
    return "data:image/png;base64," + base64.b64encode(fitted(png, side)).decode("ascii")
