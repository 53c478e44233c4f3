"""The table of slices: one row a named filter, of one workspace."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from dashboard.services.records.database import Records
from dashboard.services.records.tables import SLICES
from influence_core.errors import UnknownNameError


@dataclass(frozen=True)
class Saved:
    """One row.

    Attributes:
        name: Unique in its workspace.
        definition: JSON text.
        revision: Grows with every change.
    """

    name: str
    definition: str
    revision: int


@dataclass(frozen=True)
class SliceTable:
    """The slices of one workspace. Every method is one transaction.

    All of them raise WorkspaceError if the database cannot be used.
    """

    records: Records

    def all(self) -> list[Saved]:
        """By name, whatever its case."""
        columns = SLICES.c.name, SLICES.c.definition, SLICES.c.revision
        with self.records.reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(select(*columns).where(self._ours))
            return sorted((Saved(*row) for row in rows), key=lambda saved: (saved.name.casefold(), saved.name))

    def add(self, name: str, definition: str) -> None:
        """Keep a new one.

        Raises:
            UnknownNameError: If there is one of that name.
        """
        with self.records.changing() as connection:
            self._check_free(connection, name)
            row = {"id": uuid4().hex, "workspace": self.records.workspace, "revision": 1}
            connection.execute(insert(SLICES).values(name=name, definition=definition, **row))

    def rename(self, old: Saved, name: str) -> None:
        """Give one another name.

        Raises:
            UnknownNameError: If it was changed meanwhile, or there is one of that name.
        """
        with self.records.changing() as connection:
            self._check_free(connection, name)
            self._change(connection, old, name=name)

    def redefine(self, old: Saved, definition: str) -> None:
        """Give one another definition.

        Raises:
            UnknownNameError: If it was changed meanwhile.
        """
        with self.records.changing() as connection:
            self._change(connection, old, definition=definition)

    def delete(self, old: Saved) -> None:
        """Remove one.

        Raises:
            UnknownNameError: If it was changed or removed meanwhile.
        """
        with self.records.changing() as connection:
            done = connection.execute(delete(SLICES).where(self._ours, *_same(old)))
            _check_done(done.rowcount, old)

    @property
    def _ours(self) -> ColumnElement[bool]:
        return SLICES.c.workspace == self.records.workspace

    def _check_free(self, connection: Connection, name: str) -> None:
        taken = connection.execute(select(SLICES.c.id).where(self._ours, SLICES.c.name == name)).first()
        if taken is not None:
            msg = f"There is a slice “{name}” already; choose another name."
            raise UnknownNameError(msg)

    def _change(self, connection: Connection, old: Saved, **values: str) -> None:
        changed = update(SLICES).where(self._ours, *_same(old)).values(revision=old.revision + 1, **values)
        _check_done(connection.execute(changed).rowcount, old)


def _same(old: Saved) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return SLICES.c.name == old.name, SLICES.c.revision == old.revision


def _check_done(rows: int, old: Saved) -> None:
    if not rows:
        msg = f"The slice “{old.name}” was changed or deleted meanwhile, so this was not done; look at it again."
        raise UnknownNameError(msg)
