"""What a benchmark reports: figures with their bounds, printed as a table and kept as JSON."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from tests.benchmarks.races import Race, race_table

Run = Callable[[], "list[Figure | Race]"]


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        name: What was measured.
        value: The measurement, in ``unit``.
        unit: In words or as a symbol; empty for a pure number.
        least: The value must not be below it, if there is such a bound.
        most: The value must not be above it, if there is such a bound.
        note: What a reader needs to know beside the number.
    """

    name: str
    value: float
    unit: str = ""
    least: float | None = None
    most: float | None = None
    note: str = ""

    @property
    def bound(self) -> str:
        """The bound in words; empty if the figure is only reported."""
        if self.least is not None and self.most is not None:
            return f"{self.least:g} to {self.most:g}"
        if self.least is not None:
            return f">= {self.least:g}"
        return "" if self.most is None else f"<= {self.most:g}"

    @property
    def met(self) -> bool | None:
        """Whether the bound is met; None if there is none. NaN meets nothing."""
        if not self.bound:
            return None
        low = -float("inf") if self.least is None else self.least
        high = float("inf") if self.most is None else self.most
        return bool(low <= self.value <= high)


def machine() -> dict[str, str]:
    """Where and when the figures were measured."""
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "load": f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown",
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }


def table(title: str, figures: Sequence[Figure]) -> str:
    """The figures of one benchmark, one a line."""
    rows = [("figure", "measured", "bound", "met", "")]
    words = {True: "yes", False: "NO", None: "-"}
    rows += [(f.name, f"{f.value:.4g} {f.unit}".strip(), f.bound or "-", words[f.met], f.note) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4]]) for row in rows]
    return "\n".join([title, "-" * len(title), *(line.rstrip() for line in lines), ""])


def measure(benchmarks: dict[str, Run], out: Path | None = None) -> int:
    """Run benchmarks, print their tables, write them to ``out``; 1 if a bound is not met."""
    say(", ".join(f"{name} {value}" for name, value in machine().items()) + "\n")
    results: dict[str, list[Figure]] = {}
    races: list[Race] = []
    for name, run in benchmarks.items():
        measured = run()
        races += [one for one in measured if isinstance(one, Race)]
        results[name] = [one for one in measured if isinstance(one, Figure)]
        if results[name]:
            say(table(name, results[name]))
    if races:
        say(race_table(races))
    if out is not None:
        kept = {name: [asdict(f) | {"met": f.met} for f in figures] for name, figures in results.items()}
        found = {"machine": machine(), "races": [race.row() for race in races], "benchmarks": kept}
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(any(one.met is False for one in (*races, *(f for figures in results.values() for f in figures))))


def command(name: str, run: Run) -> None:
    """The `main` of one benchmark."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.benchmarks.{name}")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    sys.exit(measure({name: run}, parser.parse_args().out))


def say(line: str) -> None:
    """A line on the terminal, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        if names:
            return names[0]
    return platform.processor() or platform.machine()
