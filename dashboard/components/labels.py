"""Names of the user's inside labels, which Streamlit reads as Markdown."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 60
# Everything that Markdown, emoji and icon codes, colour directives or formulas begin with
SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:^=&@/])")
# Bare addresses become links after the escapes were read; an invisible word joiner in them prevents it
LINK = re.compile(r"(?=://)|(?<=www)(?=\.)|(?<=\S)(?=@)", re.IGNORECASE)


def safe(name: object, longest: int = LONGEST) -> str:
    """A name that shows as it is written wherever Markdown is read: no picture, icon, link or formula comes of it."""
    visible = "".join(c if unicodedata.category(c) not in {"Cc", "Cf", "Zl", "Zp"} else " " for c in str(name))
    line = " ".join(visible.split())
    short = line if len(line) <= longest else line[: longest - 1] + "…"
    return SPECIAL.sub(r"\\\1", LINK.sub("\u2060", short))
