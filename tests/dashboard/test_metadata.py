"""What a metadata column is taken for, and who passes a condition on it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dashboard.services import metadata, wording
from dashboard.services.filters import Condition, Filters, in_words
from dashboard.services.listing import where

N = 60
FRAME = pd.DataFrame(
    {
        "town": ["Ulm", "Bern", None] * 20,
        "age": [float(i) for i in range(N)],
        "flag": [0, 1] * 30,
        "happy": pd.array([True, False, None] * 20, dtype="boolean").astype(object),
        "seen": pd.date_range("2024-01-30 12:00", periods=N),
        "note": [f"Note no. {i}" for i in range(N)],
        "empty": [None] * N,
    }
)
FRAME.loc[7, "age"] = float("nan")


def test_columns_are_described() -> None:
    found = {column.name: column for column in metadata.describe(FRAME)}
    kinds = {name: column.kind for name, column in found.items()}
    assert kinds == {
        "town": "choice", "age": "number", "flag": "choice", "happy": "choice", "seen": "date", "note": "text",
        "empty": "choice",
    }  # fmt: skip
    assert found["town"].values == (("Bern", 20), ("Ulm", 20))
    assert found["town"].missing == 20
    assert (found["age"].low, found["age"].high, found["age"].missing, found["age"].whole) == (0, 59, 1, True)
    assert found["flag"].labels == {"0": "0 (30)", "1": "1 (30)"}
    assert dict(found["happy"].values) == {"true": 20, "false": 20}
    assert (found["seen"].low, found["seen"].high) == ("2024-01-30", "2024-03-29")
    assert (found["empty"].values, found["empty"].missing) == ((), N)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition(column="town", values=("Ulm",)), FRAME["town"] == "Ulm"),
        (Condition(column="town", values=("Ulm", "Bern")), FRAME["town"].notna()),
        (Condition(column="town", missing=True), FRAME["town"].isna()),
        (Condition(column="town", values=("Ulm",), missing=True), FRAME["town"] != "Bern"),
        (Condition(column="age", low=10, high=20), FRAME["age"].between(10, 20)),
        (Condition(column="age", low=58), FRAME["age"] >= 58),
        (Condition(column="age", high=1, missing=True), (FRAME["age"] <= 1) | FRAME["age"].isna()),
        (Condition(column="flag", values=("1",)), FRAME["flag"] == 1),
        (Condition(column="happy", values=("false",)), FRAME["happy"] == False),  # noqa: E712
        (Condition(column="seen", low="2024-02-28", high="2024-03-01"), np.isin(np.arange(N), [29, 30, 31])),
        (Condition(column="note", text="NO. 1"), FRAME["note"].str.contains("no. 1", regex=False)),
        (Condition(column="age", low="2024-01-01"), np.zeros(N, dtype=bool)),
        (Condition(column="seen", low=3), np.zeros(N, dtype=bool)),
        (Condition(column="gone", values=("x",)), np.zeros(N, dtype=bool)),
        (Condition(column="town"), np.ones(N, dtype=bool)),
    ],
)
def test_who_passes(condition: Condition, expected: pd.Series) -> None:
    assert where(FRAME, [condition]).tolist() == np.asarray(expected, dtype=bool).tolist()


def test_all_conditions_must_hold() -> None:
    both = [Condition(column="town", values=("Ulm",)), Condition(column="age", low=50)]
    assert where(FRAME, both).nonzero()[0].tolist() == [51, 54, 57]


def test_a_date_with_a_zone_is_asked_by_its_own_day() -> None:
    frame = pd.DataFrame({"seen": pd.to_datetime(["2024-05-01 23:30", "2024-05-02 00:30"]).tz_localize("Asia/Tokyo")})
    assert where(frame, [Condition(column="seen", high="2024-05-01")]).tolist() == [True, False]


def test_infinite_numbers_have_a_finite_range() -> None:
    (column,) = metadata.describe(pd.DataFrame({"x": [float("inf"), *range(9), float("-inf")]}))
    assert (column.kind, column.low, column.high, column.whole) == ("number", 0, 8, True)


def test_labels_of_a_menu_differ() -> None:
    long = "x" * 80
    values = [f"{long}a", f"{long}b", "missing", "", None]
    (column,) = metadata.describe(pd.DataFrame({"x": pd.Series(values, dtype=object)}))
    labels = list(column.labels.values())
    assert len(set(labels)) == len(labels) == 4
    assert "“missing” (1)" in labels
    assert wording.distinct(["a", "a", "a [2]", "a"]) == ["a", "a [2]", "a [2] [2]", "a [3]"]


def test_filters_in_words() -> None:
    filters = Filters(
        outcome="wrong",
        true=1,
        low=0.2,
        where=(
            Condition(column="age", low=60, high=80),
            Condition(column="town", values=("Ulm", "Bern", "Rom", "Oslo", "Bonn")),
            Condition(column="seen", low="2024-02-28", missing=True),
            Condition(column="note", text="x"),
            Condition(column="flag"),
        ),
    )
    assert in_words(filters, ["6", "7"]) == (
        "wrong, true label 7, confidence 20 % to 100 %, age 60 to 80, town is Ulm or Bern or Rom or 2 more, "
        "seen at least 2024-02-28 or missing, note contains “x”"
    )
    assert in_words(Filters(sort="id"), []) == ""
    assert in_words(Filters(where=(Condition(column="age", missing=True),)), []) == "age is missing"


def test_facts_of_two_examples() -> None:
    lines = metadata.facts({"age": 61.0, "town": None}, {"age": -0.1 - 0.2, "seen": pd.Timestamp("2024-02-28")})
    assert lines == [
        {"column": "age", "value": "61", "other": "−0.3"},
        {"column": "town", "value": "missing", "other": "missing"},
        {"column": "seen", "value": "missing", "other": "2024-02-28"},
    ]
