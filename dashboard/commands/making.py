"""Commands that lead from a user's model to a workspace."""

# ruff: noqa: PLC0415  (a mistyped option is refused before torch, which takes seconds, is imported)
from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from dashboard.options import (
    Curvature,
    DampingOrAuto,
    ListForm,
    ListFormat,
    Modality,
    ProjectName,
    Settings,
    Source,
)
from dashboard.services import templates
from dashboard.terminal import Steps, say, show


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE.py", help="The new file.", show_default=False)],
    source: Annotated[Source, typer.Option("--from", help="What the model is made with.")] = Source.torch,
    modality: Annotated[
        Modality | None, typer.Option(help="What an example is.", show_default="the usual one of --from")
    ] = None,
) -> None:
    """Write a project file to put your own data and model into; it runs as it stands."""
    template = templates.Template.choose(source.value, modality and modality.value)
    template.write(file)
    say(f"{file} is a project of {template.words}, and runs as it stands. Put your own data and model into it.")
    say(f"Next: `influence check {shlex.quote(str(file))}`")


def check(project: ProjectName, form: ListForm = ListFormat.table) -> None:
    """Try on a few rows everything that a build needs, and say what is wrong and how to mend it."""
    with Steps() as steps:
        from dashboard.services import check as checking

        found = checking.check(project, steps)
    if form is ListFormat.json:
        typer.echo(found.as_json())
    else:
        show(found.as_table())
    if not found.would_build:
        say(f"Mend the problems, then run `influence check {shlex.quote(project)}` again.")
        raise typer.Exit(2)
    say(f"Next: `influence build {shlex.quote(project)} --out my-workspace`")


def build(
    project: ProjectName,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The workspace; an unfinished one is gone on with.")],
    method: Annotated[
        str, typer.Option(metavar="NAME", help="How influence is computed; `influence methods` lists them.")
    ] = "auto",
    settings: Settings = [],  # noqa: B006  (Typer makes a new list for each command)
    damping: DampingOrAuto = None,
    curvature: Annotated[Curvature | None, typer.Option(help="Short for --set curvature=...")] = None,
    tolerance: Annotated[float | None, typer.Option(metavar="X", help="Short for --set tolerance=X.")] = None,
    rows: Annotated[int | None, typer.Option(min=1, metavar="N", help="Short for --set rows=N.")] = None,
    test_limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Solve the N most surprising predictions; all (exact) or 60 by default."),
    ] = None,
) -> None:
    """Compute the influence of all training examples and keep it in a folder."""
    with Steps() as steps:
        from dashboard.services import builds, methods

        short = {"damping": damping, "curvature": curvature and curvature.value, "tolerance": tolerance, "rows": rows}
        order = builds.Order(project, method, methods.given(settings, short), test_limit)
        made = builds.build_order(order, out, steps)
    solved = len(made.run().solved)
    say(f"{out} is ready: {solved:,} of {made.manifest.n_test:,} test predictions are solved.")
    say(f"Next: `influence open {shlex.quote(str(out))}`")
