"""What a person is told when something goes wrong."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass

from influence_core.errors import (
    InfluenceError,
    NotSolvedError,
    TargetError,
    UnknownNameError,
    WorkspaceError,
)

LOGGER = logging.getLogger("dashboard")

ADVICE: tuple[tuple[type[InfluenceError], str], ...] = (
    (UnknownNameError, "Choose another one here or in the list."),
    (NotSolvedError, "Choose another prediction, or build the workspace again with a higher `--test-limit`."),
    (TargetError, "Choose another target to explain."),
    (WorkspaceError, "`influence info DIR` says what the folder holds."),
)


@dataclass(frozen=True)
class Fault:
    """An error in words.

    Attributes:
        sentence: What happened.
        advice: What to do next; may be empty.
        log_id: Finds the traceback in the terminal; empty if it is not our fault.
    """

    sentence: str
    advice: str
    log_id: str


def describe(error: Exception) -> Fault:
    """Our own errors in their words; anything else is our fault and is logged under an id with its traceback."""
    if isinstance(error, InfluenceError):
        advice = next((text for kind, text in ADVICE if isinstance(error, kind)), "")
        return Fault(str(error), advice, "")
    log_id = secrets.token_hex(4)
    LOGGER.error("fault %s", log_id, exc_info=error)
    return Fault(
        "Something went wrong on our side, not on yours.",
        f"Nothing was lost. The details are in the terminal that runs the dashboard, under the id {log_id}.",
        log_id,
    )
