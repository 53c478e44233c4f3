"""What an example card shows, as the plain values that go to the browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from dashboard.services import pictures, texts
from dashboard.services.influence import SIGNS, Explanation
from dashboard.services.labels import said
from dashboard.services.table_rows import differences
from dashboard.services.wording import percent, plain, side_names, signed
from influence_core.store import Example, Workspace

THUMBNAIL = 96
EXCERPT = 220
COLUMNS_ON_A_CARD = 3
UNUSUAL = 0.05  # a self-influence in the top twentieth is flagged


class Face(TypedDict):
    """What the example itself looks like: one of them is filled."""

    picture: str
    text: texts.Segments
    row: list[tuple[str, str, str]]


class Card(Face):
    """One example card; every text is shown as it is and never interpreted."""

    id: int
    key: str
    label: str
    badge: str
    same: bool
    rank: str
    share: str
    width: float
    score: str
    flag: str


def face(example: Example, other: Example | None, workspace: Workspace) -> Face:
    """The picture, excerpt or row of a card; words shared with, or columns different from, another example."""
    picture = pictures.data_url(example.image, THUMBNAIL) if example.image else ""
    segments: texts.Segments = []
    if example.text is not None:
        shared = texts.words(example.text) & texts.words(other.text or "") if other else frozenset()
        segments = texts.segments(texts.excerpt(example.text, shared, EXCERPT), shared)
    row: list[tuple[str, str, str]] = []
    if example.row is not None:
        found = differences(example.row, other.row if other else None, workspace.manifest.columns)
        row = [(d.column, d.value, d.said) for d in found[:COLUMNS_ON_A_CARD]]
    return Face(picture=picture, text=segments, row=row)


def score_cards(
    workspace: Workspace, explanation: Explanation, side: str, ids: Sequence[int], flags: dict[int, str]
) -> list[Card]:
    """Cards of training examples on one side of a prediction, in the order of ``ids``.

    Args:
        workspace: Holds the examples.
        explanation: The scores.
        side: ``positive`` or ``negative``.
        ids: Training ids.
        flags: What is unusual about an example, in words.
    """
    test = workspace.test[explanation.test_id]
    ranks = {int(train_id): rank for rank, train_id in enumerate(explanation.ranked[side].tolist(), start=1)}
    largest = float(abs(explanation.numbers[explanation.ranked[side][0]])) if ranks else 1.0
    names = workspace.manifest.class_names
    whole = side_names(explanation.words, explanation.target)[0 if side == "positive" else 1]
    cards: list[Card] = []
    for train_id in ids:
        example = workspace.train[int(train_id)]
        value = float(explanation.values[train_id])
        same = bool(names) and example.label == test.label
        cards.append(
            Card(
                id=int(train_id),
                key=plain(example.key),
                label=f"{'label' if names else 'actual'} {said(example, names)}",
                badge=("same label" if same else "other label") if names else "",
                same=same,
                rank=f"{ranks[int(train_id)]} of {len(ranks):,}",
                share=f"{percent(explanation.share(int(train_id)))} of {whole}",
                width=SIGNS[side] * float(explanation.numbers[train_id]) / largest,
                score=signed(value, explanation.unit) + _ranked_by(explanation, int(train_id)),
                flag=flags.get(int(train_id), ""),
                **face(example, test, workspace),
            )
        )
    return cards


def _ranked_by(explanation: Explanation, train_id: int) -> str:
    """The number that a card is ranked by, where that is not its score."""
    if explanation.rank == "effect":
        return ""
    return f" · {explanation.rank} {signed(float(explanation.numbers[train_id]), '').strip()}"


def plain_card(workspace: Workspace, split: str, example: Example, badge: str, note: str) -> Card:
    """A card without a score: for Overview's places to start."""
    names = workspace.manifest.class_names
    truth = f"{'label' if names else 'actual'} {said(example, names)}"
    guess = "" if split == "train" else f", predicted {said(example, names, 'prediction')}"
    return Card(
        id=example.id,
        key=plain(example.key),
        label=truth + guess,
        badge=badge,
        same=False,
        rank="",
        share="",
        width=0.0,
        score=note,
        flag="",
        **face(example, None, workspace),
    )


def flags_of(self_influence: np.ndarray, called: str = "self-influence") -> dict[int, str]:
    """Training examples whose self-influence stands out, in words; ``called`` says what it is."""
    order = np.argsort(-self_influence, kind="stable").tolist()
    top = order[: max(1, int(UNUSUAL * len(order)))]
    return {i: f"{called}: top {percent((rank + 1) / len(order))}" for rank, i in enumerate(top)}
