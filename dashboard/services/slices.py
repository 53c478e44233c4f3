"""A slice is a named, saved filter: its definition is kept, never the ids that it finds.

Classes are kept by name and columns by name, so that a slice says what it means and can tell when the workspace was
built anew without one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from dashboard.services.filters import Condition, Filters, Record, in_words
from dashboard.services.metadata import Column
from dashboard.services.records import Saved, SliceTable, records
from dashboard.services.wording import plain
from influence_core.errors import UnknownNameError
from influence_core.store import Manifest, Workspace

LONGEST = 60
VERSION = 1


class Definition(Record):
    """What is kept of the filters; their order is how a list is looked at, and no part of it. See ``Filters``."""

    version: int = VERSION
    outcome: str = "all"
    true: str | None = None
    predicted: str | None = None
    low: float = 0.0
    high: float = 1.0
    least_error: float = 0.0
    search: str = ""
    where: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Slice:
    """One slice as a page shows it.

    Attributes:
        saved: As it is kept.
        filters: What it filters; None if it does not fit this workspace.
        words: What it filters, in words.
        misfit: Why it does not fit, in a sentence; empty if it does.
    """

    saved: Saved
    filters: Filters | None
    words: str
    misfit: str

    @property
    def name(self) -> str:
        """Unique in its workspace."""
        return self.saved.name


def table(workspace: Workspace) -> SliceTable:
    """Where the slices of a workspace are kept."""
    return SliceTable(records(workspace.path, workspace.manifest.fingerprint))


def listed(workspace: Workspace, columns: Sequence[Column]) -> list[Slice]:
    """All slices by name.

    Raises:
        WorkspaceError: If the database cannot be used.
    """
    return [_opened(saved, workspace.manifest, columns) for saved in table(workspace).all()]


def named(slices: Sequence[Slice], name: str) -> Slice:
    """The slice of a name.

    Raises:
        UnknownNameError: If there is none, or it does not fit the workspace.
    """
    for one in slices:
        if one.name == name:
            if one.misfit:
                raise UnknownNameError(one.misfit)
            return one
    msg = f"There is no slice “{plain(name)}” in this workspace; it may have been renamed or deleted."
    raise UnknownNameError(msg)


def definition(filters: Filters, manifest: Manifest) -> str:
    """What is kept of the filters, as JSON."""
    kept = filters.model_dump(exclude={"sort", "true", "predicted"})
    where = tuple(condition for condition in filters.where if condition.says_something)
    classes = {role: _class(getattr(filters, role), manifest.class_names) for role in ("true", "predicted")}
    return Definition(**{**kept, **classes, "where": where}).model_dump_json()


def _class(index: int | None, names: Sequence[str]) -> str | None:
    return None if index is None else names[index]


def checked_name(given: str) -> str:
    """A slice's name on one line.

    Raises:
        UnknownNameError: If there is nothing in it, or too much.
    """
    name = " ".join(plain(given, longest=10 * LONGEST).split())
    if not name:
        msg = "The slice has no name; write what you want to find it by."
        raise UnknownNameError(msg)
    if len(name) > LONGEST:
        msg = f"The name has {len(name)} characters; use at most {LONGEST}."
        raise UnknownNameError(msg)
    return name


def _opened(saved: Saved, manifest: Manifest, columns: Sequence[Column]) -> Slice:
    try:
        kept = Definition.model_validate_json(saved.definition)
    except ValidationError:
        misfit = f"The slice “{saved.name}” was saved by another version of this program, which this one cannot read."
        return Slice(saved, None, "cannot be read", misfit)
    roles = {kept.predicted: 1, kept.true: 0}  # in words the names themselves, whatever number they have now
    words = in_words(_filters(kept, roles), [kept.true or "", kept.predicted or ""])
    misfit = _misfit(saved.name, kept, manifest, columns)
    classes = {name: i for i, name in reversed(list(enumerate(manifest.class_names)))}
    return Slice(saved, None if misfit else _filters(kept, classes), words, misfit)


def _filters(kept: Definition, classes: Mapping[Any, int]) -> Filters:
    plainly = kept.model_dump(exclude={"version", "true", "predicted", "where"})
    true, predicted = (None if name is None else classes[name] for name in (kept.true, kept.predicted))
    return Filters(**plainly, true=true, predicted=predicted, where=kept.where)


def _misfit(name: str, kept: Definition, manifest: Manifest, columns: Sequence[Column]) -> str:
    """Why a slice does not fit any more: one sentence, or nothing."""
    known = {column.name: column for column in columns}
    classes = [one for one in (kept.true, kept.predicted) if one is not None and one not in manifest.class_names]
    gone = [one.column for one in kept.where if one.column not in known]
    other = [one.column for one in kept.where if one.column in known and not _suits(one, known[one.column])]
    if classes:
        return f"The slice “{name}” asks for the class “{plain(classes[0])}”, which this workspace does not have."
    if gone:
        return (
            f"The slice “{name}” asks for the column “{plain(gone[0])}”, which this workspace does not have any more."
        )
    if other:
        return f"The slice “{name}” asks for a range of “{plain(other[0])}”, which holds something else now."
    return ""


def _suits(condition: Condition, column: Column) -> bool:
    dated = [isinstance(bound, str) for bound in (condition.low, condition.high) if bound is not None]
    return not dated or (all(dated) if column.is_date else column.is_number and not any(dated))
