"""Commands that print what a workspace holds, and what can be put into one."""

# ruff: noqa: PLC0415  (a mistyped option is refused before torch, which takes seconds, is imported)
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dashboard.options import (
    Code,
    Damping,
    Folder,
    Format,
    ListForm,
    ListFormat,
    Measure,
    OfClass,
    RankBy,
    Ranking,
    RunId,
    TestId,
)
from dashboard.terminal import Steps, say, show


def info(folder: Folder) -> None:
    """Say what a workspace holds, and check its files."""
    from dashboard.services import inventory

    show(inventory.described(folder))


def explain(
    folder: Folder,
    test: TestId,
    run: RunId = None,
    target: OfClass = "true",
    measure: Annotated[Measure, typer.Option(help="What is explained.")] = Measure.loss,
    damping: Damping = None,
    rank: RankBy = Ranking.effect,
    top: Annotated[int, typer.Option(min=1, metavar="K", help="Length of each list.")] = 10,
    form: Annotated[Format, typer.Option("--format", help="How it is written.")] = Format.table,
    project: Code = None,
    first: Annotated[
        bool,
        typer.Option("--first", help="Take the answer at once, also if it could be refined."),
    ] = False,
) -> None:
    """List the training examples that helped and harmed one prediction most; solve it first if need be."""
    from dashboard.services import answer_forms, explanation, on_demand
    from dashboard.services.opened import Workspace

    question = explanation.Question(test, run, target, measure.value, damping, top, rank.value, first)
    with Steps() as steps:
        answered = on_demand.explain_or_solve(Workspace(folder), question, project, steps)
    if form is Format.table:
        show(answer_forms.as_table(answered))
    else:
        text = answer_forms.as_csv(answered) if form is Format.csv else answer_forms.as_json(answered.answer)
        typer.echo(text.rstrip("\n"))


def sweep(
    folder: Folder,
    test: TestId,
    run: RunId = None,
    target: OfClass = "true",
    measure: Annotated[Measure, typer.Option(help="What is explained.")] = Measure.loss,
    form: ListForm = ListFormat.table,
) -> None:
    """Say how much of one prediction's ranking stays under a tenth of the damping and under ten times it."""
    from dashboard.services import sweeps
    from dashboard.services.explanation import Question
    from dashboard.services.opened import Workspace

    found = sweeps.swept(Workspace(folder), Question(test, run, target, measure.value))
    if form is ListFormat.json:
        typer.echo(sweeps.as_json(*found))
    else:
        show(sweeps.as_table(*found))


def scores(
    folder: Folder,
    out: Annotated[Path, typer.Option(metavar="FILE.npy", help="float32, one row a test example.")],
    run: RunId = None,
    rank: RankBy = Ranking.effect,
    keys: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Your keys of the rows (test) and the columns (train).")
    ] = None,
) -> None:
    """Write all scores of a run, or the numbers of another ranking, to a NumPy file."""
    from dashboard.services import score_files
    from dashboard.services.opened import Workspace

    workspace = Workspace(folder)
    say(score_files.export(workspace, workspace.run(run), out, keys, rank.value))


def methods(
    name: Annotated[str | None, typer.Argument(help="Say what can be set of this one.", show_default=False)] = None,
    form: ListForm = ListFormat.table,
) -> None:
    """List the methods, what they cost and where they end; or what can be set of one."""
    from dashboard.services import methods as menu

    if form is ListFormat.json:
        typer.echo(menu.as_json(name))
    else:
        show(menu.as_table() if name is None else menu.described(name))
