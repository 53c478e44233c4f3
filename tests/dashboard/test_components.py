from __future__ import annotations

import numpy as np
import pytest

from dashboard.components import charts, confusion
from dashboard.components.labels import safe


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain name 7", "plain name 7"),
        ("![x](http://a.b/c.png)", "\\!\\[x\\]\\(http\u2060\\:\\/\\/a\\.b\\/c\\.png\\)"),
        (":smile:", r"\:smile\:"),
        ("$x^2$", r"\$x\^2\$"),
        ("<b>", r"\<b\>"),
        ("`code` *bold* ~gone~", r"\`code\` \*bold\* \~gone\~"),
        ("two\nlines\u202e", "two lines"),
    ],
)
def test_names_in_labels_are_what_they_are(name: str, shown: str) -> None:
    assert safe(name) == shown


def test_a_long_name_is_cut_before_it_is_escaped() -> None:
    assert safe("*" * 200) == r"\*" * 59 + "…"


def test_names_in_charts_are_escaped() -> None:
    mark = charts.Mark(0.5, "positive", "<img src=x>")
    figure = charts.distribution(np.array([-1.0, 0, 1]), {"<b>": np.array([1, 0])}, ([0], ["0"]), [mark], (0.0, 1.0))
    texts = [trace.name for trace in figure.data] + [t for trace in figure.data for t in (trace.text or ())]
    assert "&lt;b&gt;" in texts
    assert "&lt;img src=x&gt;" in texts
    assert not any("<" in text for text in texts)


def test_columns_of_the_same_name_stay_apart() -> None:
    assert confusion.columns_of(["a", "b", "a"]) == ["a (0)", "b", "a (2)"]
