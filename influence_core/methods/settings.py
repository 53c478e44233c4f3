"""A method's hyperparameters as a user meets them: name, kind, choices, default and explanation.

All of it is read off the method's dataclass, the explanation off its docstring, so that the command line, the page's
form and the list of methods say the same.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from influence_core.errors import MethodError
from influence_core.methods.base import Method

Kind = Literal["number", "whole number", "yes or no", "choice", "text"]
KINDS: dict[type, Kind] = {bool: "yes or no", int: "whole number", float: "number", str: "text"}
TRUTHS = {"yes": True, "true": True, "no": False, "false": False}
NONE = "none"  # what is written for an optional setting that is not given


@dataclass(frozen=True)
class Setting:
    """One hyperparameter.

    Attributes:
        name: The field's.
        kind: What may be written for it.
        choices: The words to choose from, of a choice; of any other kind, words that may be written instead.
        default: Its value if nothing is given.
        explanation: What it does, as the method's docstring says it.
        optional: Whether it may also be ``none``.
    """

    name: str
    kind: Kind
    choices: tuple[str, ...]
    default: Any
    explanation: str
    optional: bool = False

    @property
    def brief(self) -> str:
        """The explanation's first sentence, to stand within another one."""
        first = re.split(r"\.(?:\s|$)", self.explanation, maxsplit=1)[0]
        return first[:1].lower() + first[1:]

    @property
    def allowed(self) -> str:
        """What may be written, in words."""
        words = [*self.choices, *([NONE] if self.optional else [])]
        if self.kind == "choice":
            return f"one of {', '.join(words)}"
        said = self.kind if self.kind == "yes or no" else f"a {self.kind}"
        return f"{said}, or {' or '.join(words)}" if words else said

    @property
    def written(self) -> str:
        """The default as it would be typed."""
        if isinstance(self.default, bool):
            return "yes" if self.default else "no"
        return NONE if self.default is None else format(self.default, "g" if isinstance(self.default, float) else "")

    def parse(self, text: str) -> Any:
        """The value that a text means.

        Raises:
            ValueError: If it means none.
        """
        given = text.strip()
        if self.optional and given == NONE:
            return None
        if given in self.choices:
            return given
        if self.kind == "choice":
            raise ValueError(given)
        if self.kind == "yes or no":
            if given not in TRUTHS:
                raise ValueError(given)
            return TRUTHS[given]
        convert: dict[Kind, type] = {"number": float, "whole number": int}
        return convert.get(self.kind, str)(given)


def settings_of(kind: type[Method]) -> tuple[Setting, ...]:
    """The hyperparameters of a method, in the order of its fields."""
    hints, explained = get_type_hints(kind), explanations(kind)
    return tuple(_setting(one.name, hints[one.name], one.default, explained.get(one.name, "")) for one in fields(kind))


def _setting(name: str, hint: Any, default: Any, explanation: str) -> Setting:
    variants = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    choices = tuple(word for one in variants if get_origin(one) is Literal for word in get_args(one))
    of_type: list[Kind] = [KINDS[one] for one in variants if one in KINDS]
    kind: Kind = of_type[0] if of_type else "choice"
    return Setting(name, kind, choices, default, explanation, NoneType in variants)


def explanations(kind: type) -> dict[str, str]:
    """What the section ``Attributes:`` of a class's docstring says of each name, without the marks of its markup."""
    _, _, section = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if not line.startswith("    "):
            if line:
                break  # the next section
            continue
        begun = re.match(r"    (\w+): (.*)", line)
        if begun:
            name = begun[1]
            found[name] = begun[2]
        elif name:
            found[name] += f" {line.strip()}"
    return {name: said.replace("``", "") for name, said in found.items()}


def parsed(kind: type[Method], given: Mapping[str, str]) -> dict[str, Any]:
    """Hyperparameters from texts such as ``{"damping": "0.01"}``.

    Raises:
        MethodError: If the method has no such setting, or the text is no value of it.
    """
    known = {one.name: one for one in settings_of(kind)}
    return {name: _parsed(kind, known, name, text) for name, text in given.items()}


def _parsed(kind: type[Method], known: Mapping[str, Setting], name: str, text: str) -> Any:
    if name not in known:
        those = ", ".join(f"{one.name} ({one.brief})" for one in known.values())
        has = f"leave it out, choose another method, or set one of {those}" if those else "it has no settings at all"
        msg = f"The method {kind.name} has no {name}; {has}."
        raise MethodError(msg)
    try:
        return known[name].parse(text)
    except ValueError as error:
        setting = known[name]
        msg = (
            f"'{text}' is no value for {name} of the method {kind.name} ({setting.brief}); it may be "
            f"{setting.allowed}, and is {setting.written} by default."
        )
        raise MethodError(msg) from error
