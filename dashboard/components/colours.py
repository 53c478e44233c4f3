"""The colour and the shape of each side, everywhere the same; nothing here needs Streamlit."""

from __future__ import annotations

POSITIVE = "#0072B2"
NEGATIVE = "#D55E00"
COLOURS = {"positive": POSITIVE, "negative": NEGATIVE}
SYMBOLS = {"positive": "triangle-up", "negative": "triangle-down"}
