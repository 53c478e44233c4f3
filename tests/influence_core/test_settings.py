"""Settings are read off the methods themselves, and texts become values of the right type or a sentence."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import pytest

from influence_core.errors import MethodError
from influence_core.methods import METHODS
from influence_core.methods.settings import explanations, parsed, settings_of


@dataclass(frozen=True)
class Everything:
    """A method with a setting of each kind.

    Attributes:
        size: How much. It is explained on
            two lines.
        count: How many.
        fast: Whether it hurries.
        how: ``this`` or ``that``.
        called: Any text.
        limit: At most; ``none`` for no limit.
        damping: A number, or ``auto``.

    Raises:
        Nothing: At all.
    """

    size: float = 0.5
    count: int = 3
    fast: bool = False
    how: Literal["this", "that"] = "this"
    called: str = "x"
    limit: float | None = None
    damping: float | Literal["auto"] = "auto"

    name = "everything"


ANY: Any = Everything


def test_every_kind_of_setting_is_described() -> None:
    assert [(one.name, one.kind, one.choices, one.written) for one in settings_of(ANY)] == [
        ("size", "number", (), "0.5"),
        ("count", "whole number", (), "3"),
        ("fast", "yes or no", (), "no"),
        ("how", "choice", ("this", "that"), "this"),
        ("called", "text", (), "x"),
        ("limit", "number", (), "none"),
        ("damping", "number", ("auto",), "auto"),
    ]
    size, *_, limit, damping = settings_of(ANY)
    assert (size.explanation, size.brief) == ("How much. It is explained on two lines.", "how much")
    assert (limit.optional, limit.allowed) == (True, "a number, or none")
    assert damping.allowed == "a number, or auto"
    assert "Nothing" not in explanations(ANY)


def test_texts_become_values_of_the_fields_types() -> None:
    given = {"size": "1e-3", "count": "7", "fast": "yes", "how": "that", "called": "a b", "limit": "none"}
    found = parsed(ANY, given)
    assert found == {"size": 1e-3, "count": 7, "fast": True, "how": "that", "called": "a b", "limit": None}
    assert [type(value) for value in found.values()][:4] == [float, int, bool, str]
    assert parsed(ANY, {"limit": "2", "damping": "0"}) == {"limit": 2.0, "damping": 0.0}
    assert parsed(ANY, {"damping": "auto"}) == {"damping": "auto"}


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("size", "much", r"'much' is no value for size .*\(how much\); it may be a number, and is 0.5 by default\."),
        ("count", "1.5", "it may be a whole number, and is 3 by default"),
        ("fast", "1", "it may be yes or no, and is no by default"),
        ("how", "other", "it may be one of this, that, and is this by default"),
        ("nothing", "1", r"The method everything has no nothing; .* size \(how much\), count \(how many\)"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(name: str, text: str, sentence: str) -> None:
    with pytest.raises(MethodError, match=sentence):
        parsed(ANY, {name: text})


@pytest.mark.parametrize("kind", METHODS.values(), ids=METHODS)
def test_every_setting_of_every_method_has_a_default_and_an_explanation(kind: Any) -> None:
    settings = settings_of(kind)
    assert [one.name for one in settings] == [one.name for one in fields(kind)]
    for one in settings:
        assert one.explanation.endswith("."), one.name
        assert parsed(kind, {one.name: one.written}) == {one.name: getattr(kind(), one.name)}
        assert getattr(kind(), one.name) == one.default
