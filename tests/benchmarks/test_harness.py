"""The benchmark harness itself: what a row says, and when a ratio is not shown."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import pytest

from tests.benchmarks import fashion
from tests.benchmarks.__main__ import NAMES
from tests.benchmarks.figures import Figure, measure
from tests.benchmarks.races import Race, race_table

FASTER = Race("a", "b", required=8, seconds_ours=0.1, seconds_theirs=1.0, agreement=0.99999)
LIMIT = Race("q", "30 ms", required=3, seconds_ours=0.06, seconds_theirs=0.03, sense="most")
COLUMNS = {
    "work", "against", "ratio", "required", "seconds_ours", "seconds_theirs", "memory_ours", "memory_theirs",
    "agreement", "met",
}  # fmt: skip


def test_a_ratio_is_times_faster_and_of_a_limit_times_as_long() -> None:
    assert FASTER.ratio == pytest.approx(10)
    assert LIMIT.ratio == pytest.approx(2)
    assert FASTER.met
    assert LIMIT.met
    assert not Race("a", "b", 11, 0.1, 1.0).met
    assert not Race("q", "30 ms", 1.5, 0.06, 0.03, sense="most").met


@pytest.mark.parametrize("agreement", [0.99, math.nan])
def test_a_ratio_without_equal_scores_is_not_shown_and_keeps_no_promise(agreement: float) -> None:
    differing = Race("a", "b", 8, 0.1, 100.0, agreement=agreement)
    assert math.isnan(differing.ratio)
    assert not differing.met
    assert "scores differ" in race_table([differing])
    assert "1e+03x" not in race_table([differing])
    assert differing.row()["ratio"] is None
    assert Race("a", "b", 8, 0.1, 100.0, agreement=0.5, equal=0.5).ratio == pytest.approx(1000)


def test_a_missed_promise_is_said() -> None:
    assert "(missed)" in race_table([Race("a", "b", 11, 0.1, 1.0)])
    assert "(missed)" not in race_table([FASTER, LIMIT])
    assert "| >= 8x | 100 ms | 1 s |" in race_table([FASTER])


def test_the_file_holds_races_figures_and_the_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "figures.json"
    assert measure({"one": lambda: [FASTER, Figure("size", 3.0, "MB", most=4)], "two": lambda: [LIMIT]}, out) == 0
    found = json.loads(out.read_text())
    assert [set(row) for row in found["races"]] == [COLUMNS, COLUMNS]
    assert found["races"][0]["required"] == ">= 8x"
    assert found["races"][0]["memory_ours"] is None
    assert found["benchmarks"]["one"][0]["name"] == "size"
    assert found["machine"]["cpu"]
    printed = capsys.readouterr().out
    assert "| a | b | 10x | >= 8x |" in printed
    assert "size" in printed
    assert measure({"one": lambda: [Race("a", "b", 11, 0.1, 1.0)]}) == 1


def test_every_benchmark_has_its_file() -> None:
    folder = Path(__file__).parent
    assert all((folder / f"{name}.py").is_file() for name in NAMES)


def test_pictures_that_cannot_be_fetched_are_said_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(command: list[str], **_: object) -> None:
        raise subprocess.CalledProcessError(100, command, stderr="W: first\nE: Unable to locate package")

    monkeypatch.setattr(fashion.subprocess, "run", refuse)
    with pytest.raises(RuntimeError, match=r"cannot be fetched \(E: Unable to locate package\); run `apt-get download"):
        fashion.fetch(tmp_path / "absent")
    assert not list(tmp_path.iterdir())
