"""How numbers and names are written on screen."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from itertools import count as count_up

from influence_core import scores
from influence_core.target import Target

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
LONGEST_NAME = 60
MISSING = "missing"


def plain(name: object, longest: int = LONGEST_NAME) -> str:
    """A name of the user's on one line: no control or direction characters, at most ``longest`` long."""
    visible = "".join(c if unicodedata.category(c) not in {"Cc", "Cf", "Zl", "Zp"} else " " for c in str(name))
    line = " ".join(visible.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def distinct(labels: Iterable[str]) -> list[str]:
    """Labels of which no two are alike, as a menu needs them: a second "age" is "age [2]"."""
    found: dict[str, None] = {}
    for label in labels:
        numbered = (f"{label} [{i}]" for i in count_up(2))
        found[label if label not in found else next(x for x in numbered if x not in found)] = None
    return list(found)


def class_name(label: float | None, class_names: list[str]) -> str:
    """The name of a class, or a number of a regression."""
    if label is None:
        return MISSING
    if class_names:
        return plain(class_names[int(label)])
    return number(label)


def number(value: float) -> str:
    """Three significant digits, with a real minus sign; powers of ten where it is tiny or huge."""
    if not math.isfinite(value):
        return MISSING
    size = abs(value)
    sign = "−" if value < 0 else ""
    if size == 0:
        return "0"
    if 1e-3 <= size < 1e6:  # noqa: PLR2004
        digits = max(0, 2 - math.floor(math.log10(size)))
        return f"{sign}{size:,.{digits}f}"
    exponent = math.floor(math.log10(size))
    return f"{sign}{size / 10**exponent:.1f}×10{str(exponent).translate(SUPERSCRIPTS)}"


def signed(value: float, unit: str) -> str:
    """A score with its sign and its unit."""
    sign = "+" if value > 0 else ""
    return f"{sign}{number(value)} {unit}"


def percent(share: float) -> str:
    """A share of one, such as ``3.2 %``."""
    if not math.isfinite(share):
        return MISSING
    hundredths = 100 * share
    if 0 < hundredths < 0.1:  # noqa: PLR2004
        return "< 0.1 %"
    return f"{hundredths:.0f} %" if hundredths >= 10 or hundredths == 0 else f"{hundredths:.1f} %"  # noqa: PLR2004


def time_left(seconds: float | None) -> str:
    """How long something will take, such as ``about 8 s left``; empty if that is not known."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    if seconds < 100:  # noqa: PLR2004
        return f"about {max(1, round(seconds))} s left"
    return f"about {round(seconds / 60)} min left"


def count(n: int, one: str, many: str) -> str:
    """``1 example``, ``1,437 examples``."""
    return f"{n:,} {one if n == 1 else many}"


def side_names(words: scores.Words, target: Target) -> tuple[str, str]:
    """What the influence of each side is called in a sentence: ``harmful influence``."""
    if words.is_neutral:
        return f"“{words.positive}” total", f"“{words.negative}” total"
    if target.is_true_loss:
        return f"{words.positive} influence", f"{words.negative} influence"
    return f"influence that {plain(words.positive)}", f"influence that {plain(words.negative)}"
