"""The menu of methods: what they cost, where they end, and what can be set of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from influence_core.errors import MethodError, UnknownNameError
from influence_core.methods import METHODS, Method, auto
from influence_core.methods.settings import parsed, settings_of
from influence_core.project import Project

AUTO = "auto"  # the method that serves the model


def given(pairs: Sequence[str], short: Mapping[str, Any]) -> dict[str, str]:
    """Settings from texts such as ``damping=0.01``, and from options that are short for one; None was not given.

    Raises:
        MethodError: If a text is no setting, or a setting is given twice.
    """
    found = {name: str(value) for name, value in short.items() if value is not None}
    for pair in pairs:
        name, sign, value = (part.strip() for part in pair.partition("="))
        if not (name and sign and value):
            msg = f"'{pair}' is no setting; write --set NAME=VALUE, such as --set damping=0.01."
            raise MethodError(msg)
        if name in found:
            msg = f"The setting {name} is given twice, as {found[name]} and as {value}; leave one of them out."
            raise MethodError(msg)
        found[name] = value
    return found


def find(name: str) -> type[Method]:
    """The method of that name.

    Raises:
        UnknownNameError: If there is none.
    """
    if name not in METHODS:
        msg = f"There is no method '{name}'; choose one of {', '.join(METHODS)}."
        raise UnknownNameError(msg)
    return METHODS[name]


def check(name: str, settings: Mapping[str, str]) -> None:
    """Refuse what cannot be before a project is loaded; of ``auto`` that is not known before.

    Raises:
        UnknownNameError: If there is no such method.
        MethodError: If it has no such setting, or a text is no value of it.
    """
    if name != AUTO:
        parsed(find(name), settings)


def chosen(name: str, settings: Mapping[str, str], project: Project) -> Method:
    """A method with these settings; ``auto`` is the one that serves the model.

    Raises:
        UnknownNameError: If there is no such method.
        MethodError: If it has no such setting, or a text is no value of it.
    """
    basis: Any = auto(project) if name == AUTO else find(name)()
    method: Method = replace(basis, **parsed(type(basis), settings))
    return method


def plain(name: str, settings: Mapping[str, str]) -> Method:
    """A named method with these settings; nothing is looked at to make it.

    Raises:
        UnknownNameError: If there is no such method.
        MethodError: If it has no such setting, or a text is no value of it.
    """
    kind = find(name)
    return kind(**parsed(kind, settings))


def as_json(name: str | None = None) -> str:
    """Name, title, cost and limits of each method; of one method also its settings."""
    if name is None:
        return json.dumps([_line(kind) for kind in METHODS.values()], indent=2)
    kind = find(name)
    return json.dumps(_line(kind) | {"settings": _settings(kind)}, indent=2)


def as_table() -> Table:
    """The menu for a terminal."""
    return _table([_line(kind) for kind in METHODS.values()])


def described(name: str) -> Group:
    """One method and what can be set of it, for a terminal."""
    kind = find(name)
    about = Text(f"{kind.name}: {kind.title}. {kind.cost}. {kind.limits}.")
    settings = _settings(kind)
    if not settings:
        return Group(about, Text("It has no settings."))
    how = f"Set one by `influence build PROJECT --out DIR --method {name} --set NAME=VALUE`."
    return Group(about, _table(settings), Text(how))


def _line(kind: type[Method]) -> dict[str, str]:
    return {"name": kind.name, "title": kind.title, "cost": kind.cost, "limits": kind.limits}


def _settings(kind: type[Method]) -> list[dict[str, str]]:
    return [
        {"setting": one.name, "value": one.allowed, "default": one.written, "meaning": one.explanation}
        for one in settings_of(kind)
    ]


def _table(lines: Sequence[Mapping[str, str]]) -> Table:
    table = Table(*lines[0])
    for line in lines:
        table.add_row(*(Text(cell) for cell in line.values()))
    return table
