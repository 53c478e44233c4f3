"""What a user calls a test example or a class, found in a workspace."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.services.wording import plain
from influence_core.errors import TargetError, UnknownNameError
from influence_core.store import Workspace
from influence_core.target import NUMBERED, Kind, Of

LISTED = 20  # names in a message


def find_test(workspace: Workspace, text: str) -> int:
    """The row id of a test example that was named by its id or its key.

    Raises:
        UnknownNameError: If there is no such example, the key is that of several, or it is the row id of another.
    """
    n_test = workspace.manifest.n_test
    ids = [int(i) for i in (workspace.test.frame()["key"] == text).to_numpy().nonzero()[0]]
    if text.isascii() and text.isdecimal() and int(text) < n_test:
        row = int(text)
        if ids and ids != [row]:
            rows = f"row {ids[0]}" if len(ids) == 1 else f"rows {listed(ids)}"
            msg = f"'{text}' is the row id of one test example and the key of {rows}; write row:{text} or key:{text}."
            raise UnknownNameError(msg)
        return row
    prefix, _, rest = text.partition(":")
    if not ids and rest and prefix in ("row", "key"):
        return _find_as(workspace, prefix, rest)
    if not ids:
        msg = f"There is no test example '{text}'; give a row id from 0 to {n_test - 1}, or an example's key."
        raise UnknownNameError(msg)
    return _only(ids, text)


def _find_as(workspace: Workspace, prefix: str, text: str) -> int:
    """The row id of an example that was named by ``row:`` or ``key:``."""
    if prefix == "row" and text.isascii() and text.isdecimal() and int(text) < workspace.manifest.n_test:
        return int(text)
    ids = [int(i) for i in (workspace.test.frame()["key"] == text).to_numpy().nonzero()[0]] if prefix == "key" else []
    if not ids:
        msg = f"There is no test example whose {'key' if prefix == 'key' else 'row id'} is '{text}'."
        raise UnknownNameError(msg)
    return _only(ids, text)


def _only(ids: list[int], key: str) -> int:
    if len(ids) > 1:
        msg = f"{len(ids)} test examples have the key '{key}'; give a row id: {listed(ids)}."
        raise UnknownNameError(msg)
    return ids[0]


def find_class(text: str, kind: Kind, class_names: Sequence[str]) -> Of:
    """The class, label or value of ``--target``: a word, a name, or an index if nothing has that name.

    Raises:
        UnknownNameError: If there is no such class.
        TargetError: If the task has nothing to name.
    """
    if text in ("true", "predicted"):
        return "true" if text == "true" else "predicted"
    if not class_names:
        msg = f"A {kind} task has no classes, so the target '{text}' means nothing; use 'true'."
        raise TargetError(msg)
    if text in class_names:
        return class_names.index(text)
    if text.isdecimal() and int(text) < len(class_names):
        return int(text)
    one, words = NUMBERED[kind][0], "true, predicted," if kind == "classification" else "true"
    msg = f"There is no {one} '{text}'; choose {words} or one of {listed(class_names)}."
    raise UnknownNameError(msg)


def listed(names: Sequence[object]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(plain(name) for name in names[:LISTED]) + more
