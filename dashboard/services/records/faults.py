"""What a database says of itself, in one sentence each."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import IntegrityError

from influence_core.errors import DamagedWorkspaceError, InfluenceError, UnknownNameError, UnwritableWorkspaceError

READ_ONLY = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")


def fault(error: Exception, name: str) -> InfluenceError:
    """Our error for what SQLAlchemy or SQLite raised.

    Args:
        error: What was raised.
        name: What the database is called.
    """
    if isinstance(error, IntegrityError):
        return UnknownNameError("Somebody saved the same name at this moment; choose another name.")
    original = getattr(error, "orig", None) or error
    code = str(getattr(original, "sqlite_errorname", ""))
    if code.startswith("SQLITE_BUSY"):
        return UnwritableWorkspaceError(f"{name} is in use by another program for too long; try it again.")
    if code.startswith("SQLITE_FULL"):
        return UnwritableWorkspaceError(f"The disk is full while writing {name}; free some space and do it again.")
    if code.startswith(READ_ONLY):
        return UnwritableWorkspaceError(f"{name} cannot be opened or written to; change its permissions.")
    if isinstance(original, sqlite3.Error):
        return DamagedWorkspaceError(
            f"{name} is damaged ({original}), so slices can be neither read nor saved; put back a copy of "
            "it, or move it away to begin anew."
        )
    reason = str(original).strip().splitlines() or [type(original).__name__]
    return UnwritableWorkspaceError(f"{name} cannot be used ({reason[0]}); see that it runs and can be reached.")
