"""Where to start: the most surprising mistakes and the training examples that harm them most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dashboard.services.cards import Card, plain_card
from dashboard.services.wording import count, number, percent, signed
from influence_core.store import Run, Workspace

CARDS = 4
MOST_SOLVED = 200  # wrong predictions that are added up; the most important ones come first
MISTAKES = {True: ("wrong prediction", "wrong predictions"), False: ("large error", "large errors")}
LARGEST_ERRORS = 0.1  # in a regression the tenth with the largest errors counts as wrong


@dataclass(frozen=True)
class Harm:
    """Training examples that harm the solved wrong predictions most.

    Attributes:
        cards: The examples, the most harmful first.
        n_wrong: How many wrong predictions were added up.
    """

    cards: list[Card]
    n_wrong: int


def has_verdicts(kind: str) -> bool:
    """Whether a prediction is right or wrong, not off by some amount."""
    return kind in ("classification", "multilabel")


def wrong_ids(frame: pd.DataFrame, kind: str) -> np.ndarray:
    """Wrong predictions by loss, the largest first; in a regression the tenth with the largest errors."""
    by_loss = frame.sort_values(["loss", "id"], ascending=[False, True])
    if has_verdicts(kind):
        by_loss = by_loss[~by_loss["correct"].astype(bool)]
    else:
        by_loss = by_loss.head(max(1, round(LARGEST_ERRORS * len(by_loss))))
    return by_loss["id"].to_numpy(dtype=int)


def first_test(run: Run, frame: pd.DataFrame, kind: str) -> int | None:
    """The prediction a visitor sees first: the most surprising wrong one that is solved.

    Of a run that reached no answer it is the first that was tried, whose page says why.
    """
    solved = set(run.solved.tolist())
    wrong = [int(i) for i in wrong_ids(frame, kind) if int(i) in solved]
    return next(iter([*wrong, *run.solved.tolist(), *run.record.order]), None)


def surprising(workspace: Workspace, run: Run, frame: pd.DataFrame) -> list[Card]:
    """Cards of the wrong predictions with the largest loss."""
    manifest = workspace.manifest
    solved = set(run.solved.tolist())
    ids = [int(i) for i in wrong_ids(frame, manifest.kind) if int(i) in solved][:CARDS]
    cards = []
    for i in ids:
        example = workspace.test[i]
        sure = max(example.probabilities) if example.probabilities and manifest.class_names else None
        note = f"loss {number(example.loss)}" + (f", {percent(sure)} sure" if sure is not None else "")
        badge = "wrong" if has_verdicts(manifest.kind) else "large error"
        cards.append(plain_card(workspace, "test", example, badge, note))
    return cards


def harmful(workspace: Workspace, run: Run, frame: pd.DataFrame) -> Harm:
    """Add up the harm over the solved wrong predictions; there is none in numbers that judge nothing."""
    if run.reading is not None and run.reading.positive:
        return Harm([], 0)
    solved = set(run.solved.tolist())
    ids = [int(i) for i in wrong_ids(frame, workspace.manifest.kind) if int(i) in solved][:MOST_SOLVED]
    harm, hit = np.zeros(run.n_train), np.zeros(run.n_train, dtype=int)
    for i in ids:
        values = run.scores(i).of(i).double().numpy()
        harm += np.minimum(values, 0)
        hit += values < 0
    worst = [int(i) for i in np.argsort(harm, kind="stable")[:CARDS] if harm[i] < 0]
    one, many = MISTAKES[has_verdicts(workspace.manifest.kind)]
    notes = [f"{signed(harm[i], run.unit())} in all; harms {count(int(hit[i]), one, many)}" for i in worst]
    cards = [plain_card(workspace, "train", workspace.train[i], "", note) for i, note in zip(worst, notes, strict=True)]
    return Harm(cards, len(ids))
