"""One prediction under less and under more damping, for a terminal and as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

from rich.console import Group
from rich.table import Table
from rich.text import Text

from dashboard.services.explanation import Question, target_of
from dashboard.services.named import find_test
from dashboard.services.wording import number, plain
from influence_core.store import Example, Workspace
from influence_core.store.sweep import Point, Sweep, sweep


def swept(workspace: Workspace, question: Question) -> tuple[Example, Sweep]:
    """The prediction that was asked for, and its sweep.

    Raises:
        UnknownNameError: If there is no such test example, run or class.
        NotSolvedError: If the prediction is not solved.
        TargetError: If the target cannot be measured.
        MethodError: If another damping takes another run.
    """
    run = workspace.run(question.run)
    example = workspace.test[find_test(workspace, question.test)]
    return example, sweep(run, example.id, target_of(workspace.manifest, question))


def as_json(example: Example, found: Sweep) -> str:
    """One object; a correlation that is none is null."""
    points = [asdict(p) | {"spearman": None if math.isnan(p.spearman) else p.spearman} for p in found.points]
    said = {"test_id": example.id, "key": example.key, "own": found.own, "sentence": found.sentence}
    return json.dumps({**said, "points": points}, indent=2, allow_nan=False)


def as_table(example: Example, found: Sweep) -> Group:
    """For a terminal."""
    table = Table("damping", f"of the {found.points[0].of} largest scores stay", "Spearman", "")
    for point in found.points:
        table.add_row(*(Text(cell) for cell in _cells(point)))
    return Group(Text(f"Test example {example.id}, {plain(example.key)}"), table, Text(found.sentence))


def _cells(point: Point) -> tuple[str, str, str, str]:
    if point.refused:
        return number(point.damping), "none", "none", point.refused
    return number(point.damping), str(point.common), f"{point.spearman:.3f}".replace("-", "−"), ""
