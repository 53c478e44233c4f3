"""The story of an upload: three wrong rows of a rare group, planted among 20,000, are found behind a wrong prediction.

It goes the way of a user: bytes of a CSV, the proposed choices, our trainer, the workspace on disk.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from dashboard.services.uploads.building import Order, make
from dashboard.services.uploads.preparing import prepare
from dashboard.services.uploads.proposal import propose
from dashboard.services.uploads.reading import read
from influence_core.store import Workspace

ROWS, RARE = 20_000, "Lighthouse keeper"
TRADES = ("Baker", "Carpenter", "Driver", "Nurse", "Teacher", "Welder")
PLANTED = ("planted-0", "planted-1", "planted-2")
TESTED = "tested"


def loans() -> pd.DataFrame:
    """Loans, repaid or not by income and debt, whatever the trade.

    All three keepers who train are wrongly recorded as defaults; a fourth, who repays, is to be predicted.
    """
    lot = np.random.default_rng(0)
    income, debt = lot.normal(3000, 600, ROWS), lot.normal(1000, 300, ROWS)
    age, years = lot.integers(20, 70, ROWS), lot.integers(0, 30, ROWS)
    chance = 1 / (1 + np.exp(-((income - 3000) / 600 - (debt - 1000) / 300 + 0.8)))
    frame = pd.DataFrame(
        {
            "id": [f"loan-{i}" for i in range(ROWS)],
            "income": income.round(),
            "debt": debt.round(),
            "age": age,
            "years": years,
            "trade": lot.choice(TRADES, ROWS),
            "town": lot.choice(["Ulm", "Bern", "Graz", "Brno"], ROWS),
            "outcome": np.where(lot.random(ROWS) < chance, "repaid", "default"),
            "split": np.where(np.arange(ROWS) < ROWS - 1000, "train", "test"),
        }
    )
    planted, tested = [11, 4_444, 15_000], ROWS - 7
    frame.loc[[*planted, tested], "trade"] = RARE
    frame.loc[[*planted, tested], ["income", "debt", "age", "years"]] = [3300, 900, 45, 10]
    frame.loc[planted, "outcome"], frame.loc[tested, "outcome"] = "default", "repaid"
    frame.loc[planted, "id"], frame.loc[tested, "id"] = PLANTED, TESTED
    return frame


def test_three_planted_rows_of_a_rare_group_top_the_list(tmp_path: Path) -> None:
    upload = read("loans.csv", loans().to_csv(index=False).encode())
    choices = propose(upload)
    assert (choices.label, choices.key, choices.split) == ("outcome", "id", "split")
    rows = prepare(upload, choices)
    assert int((~rows.is_test).sum()) == ROWS - 1000
    folder = make(upload, Order(digest=upload.digest, name=upload.name, choices=choices), lambda progress: None)
    workspace = Workspace(folder)
    test = workspace.test.frame()
    tested = test[test["key"] == TESTED].iloc[0]
    assert not tested["correct"]
    keys = workspace.train.frame()["key"]
    worst = workspace.run().scores(int(tested["id"])).bottom(int(tested["id"]), 4)
    assert {keys[score.train_id] for score in worst[:3]} == set(PLANTED)
    assert worst[2].score < 3 * worst[3].score < 0  # far beyond whatever comes next
