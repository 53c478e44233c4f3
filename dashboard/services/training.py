"""One training example: what it is, how unusual it is, and which predictions it moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dashboard.services.cards import Card, plain_card
from dashboard.services.first_order import sentence
from dashboard.services.refining import self_influence_named
from dashboard.services.wording import count, number, percent, signed
from influence_core.store import Run, Workspace

MOVED = 4


@dataclass(frozen=True)
class Reach:
    """Which solved predictions a training example moves.

    Attributes:
        helps: The predictions it helps most.
        harms: The predictions it harms most.
        n_helped: How many it helps.
        n_harmed: How many it harms.
        self_influence: How much it moves its own loss, in words that name it.
        first_order: How far its first-order scores are off, in words; empty where that is not known.
        verbs: What it does to them: ``helps`` and ``harms``, ``supports`` and ``opposes``, or a baseline's own words.
        note: Which predictions were looked at, where that is not plain; may be empty.
    """

    helps: list[Card]
    harms: list[Card]
    n_helped: int
    n_harmed: int
    self_influence: str
    first_order: str
    verbs: tuple[str, str]
    note: str


def reach(workspace: Workspace, run: Run, train_id: int) -> Reach:
    """Look over all solved predictions."""
    test_ids, values = run.influenced(train_id)
    measured = run.unit()
    order = np.argsort(-values, kind="stable")

    def moved(chosen: np.ndarray) -> list[Card]:
        pairs = [(workspace.test[int(test_ids[i])], float(values[i])) for i in chosen[:MOVED]]
        return [plain_card(workspace, "test", test, "", signed(value, measured)) for test, value in pairs]

    helped, harmed = order[values[order] > 0], order[::-1][values[order[::-1]] < 0]
    own = _self_influence(run, train_id, measured)
    said, note = sentence(run, train_id), _note(run, len(test_ids))
    return Reach(moved(helped), moved(harmed), len(helped), len(harmed), own, said, _verbs(run), note)


def _note(run: Run, n: int) -> str:
    if not run.has_first:
        return ""
    of = count(run.manifest.n_test, "prediction", "predictions")
    return f"Only the {n:,} of {of} that the build has refined are counted here; first answers are not."


def _verbs(run: Run) -> tuple[str, str]:
    if run.reading is not None and run.reading.positive:
        return f"{run.reading.positive}:", f"{run.reading.negative}:"  # a number that does nothing to a prediction
    return ("helps", "harms") if run.target.is_true_loss else ("supports", "opposes")


def _self_influence(run: Run, train_id: int, measured: str) -> str:
    values = run.self_influence()
    if values is None:
        return f"Self-influence: not known, as the method {run.method} gives none"
    own = float(values[train_id])
    higher = float((values > own).mean())
    others = f"{percent(higher)} of the training examples have more" if higher else "no training example has more"
    called = self_influence_named(run)
    return f"{called[0].upper()}{called[1:]}: {number(own)} {measured}; {others}"
