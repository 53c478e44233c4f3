"""Where the records of a workspace are, and how they are opened: read-only, or for one change at a time.

By default ``workspace.db`` in the workspace's folder, an SQLite file that is made by the first change; the setting
``INFLUENCE_DATABASE_URL`` names another database, such as PostgreSQL, which many workspaces share. Every change is one
transaction. SQLite keeps a rollback journal, not a write-ahead log: whoever copies the folder gets all of the records
in one file, it can be read where nothing may be written, and it works on shared folders.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from urllib.parse import quote

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from dashboard.services.records.faults import fault
from influence_core.errors import NewerWorkspaceError, UnwritableWorkspaceError

FILE = "workspace.db"
URL = "INFLUENCE_DATABASE_URL"
HERE = "here"  # whose rows are those of a file that lies in the workspace's own folder
WAIT = 20  # seconds for others' changes
MIGRATIONS = Path(__file__).parent / "migrations"

_UPGRADING = threading.Lock()  # Alembic has one context a process


@dataclass(frozen=True)
class Records:
    """The records of one workspace.

    Attributes:
        folder: Of the workspace.
        url: Of the database; empty for the file in the folder.
        workspace: By which its rows are told from others'.
    """

    folder: Path
    url: str
    workspace: str

    @property
    def file(self) -> Path | None:
        """The file in the folder, if the records are kept there."""
        return None if self.url else self.folder / FILE

    @property
    def obstacle(self) -> str:
        """Why nothing can be kept, in a sentence; empty if it can."""
        if self.file is None:
            return ""
        file = self.file if self.file.exists() else self.folder
        if os.access(self.folder, os.W_OK) and os.access(file, os.W_OK):
            return ""
        return (
            f"{self.folder} is read-only, so slices cannot be saved here; copy the workspace to a folder that can be "
            f"written to, or set {URL} to a database."
        )

    @contextmanager
    def reading(self) -> Iterator[Connection | None]:
        """A connection to look something up; None if nothing was ever kept.

        Raises:
            WorkspaceError: If the database cannot be used.
        """
        if self.file is not None and not self.file.exists():
            yield None
            return
        readonly = bool(self.obstacle)  # else a change that was cut short can be taken back on the way
        with self._explained(), self._engine("ro" if readonly else "rw", "BEGIN").begin() as connection:
            version = _version(connection)
            self._check(version)
            yield connection if version == _newest() else None

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """A connection for one change, which is kept as a whole or not at all.

        Raises:
            WorkspaceError: If the database cannot be used or written to.
        """
        if self.obstacle:
            raise UnwritableWorkspaceError(self.obstacle)
        with self._explained(), self._engine("rwc", "BEGIN IMMEDIATE").begin() as connection:
            version = _version(connection)
            self._check(version)
            if version != _newest():
                _upgrade(connection)
            yield connection

    @cached_property
    def name(self) -> str:
        """What a sentence calls the database."""
        return f"The database that {URL} names" if self.url else f"{FILE} in {self.folder}"

    def _engine(self, mode: str, begin: str) -> Engine:
        return _shared(self.url) if self.url else _of_file(str(self.file), mode, begin)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            msg = f"{URL} names no database that can be used here ({error}); write it as postgresql+psycopg://..."
            raise UnwritableWorkspaceError(msg) from error
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise fault(error, self.name) from error

    def _check(self, version: str | None) -> None:
        if version is not None and version not in _known():
            msg = (
                f"{self.name} was written by a newer version of this program ({version}; this one knows up to "
                f"{_newest()}); upgrade influence-dashboard to use its slices."
            )
            raise NewerWorkspaceError(msg)


def records(folder: Path | str, fingerprint: str) -> Records:
    """The records of a workspace; in a shared database its rows go by the fingerprint of its project."""
    url = os.environ.get(URL, "").strip()
    return Records(Path(folder), url, fingerprint if url else HERE)


@lru_cache(maxsize=4)
def _shared(url: str) -> Engine:
    if url.startswith("sqlite"):
        engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": WAIT, "isolation_level": None})
        _begin_with(engine, "BEGIN IMMEDIATE")
        return engine
    return create_engine(url, pool_pre_ping=True)


@lru_cache(maxsize=32)
def _of_file(path: str, mode: str, begin: str) -> Engine:
    address = f"file:{quote(path)}?mode={mode}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(address, uri=True, timeout=WAIT, isolation_level=None)

    engine = create_engine("sqlite+pysqlite://", creator=connect, poolclass=NullPool)
    _begin_with(engine, begin)
    return engine


def _begin_with(engine: Engine, statement: str) -> None:
    """A transaction that will write takes its turn at once; Python's sqlite3 would begin it too late."""

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


@lru_cache(maxsize=1)
def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions())


@lru_cache(maxsize=1)
def _newest() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _upgrade(connection: Connection) -> None:
    with _UPGRADING:
        config = _config()
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        finally:
            config.attributes.clear()
