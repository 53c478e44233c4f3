"""The ``influence`` command: results go to standard output, progress and messages to standard error.

Commands import what they need when they run: torch takes seconds, and a demo that is ready needs none of it.
"""

# ruff: noqa: PLC0415  (the imports inside commands, for the reason above)
from __future__ import annotations

import logging
import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from dashboard.options import (
    Code,
    Curvature,
    Damping,
    Folder,
    Format,
    ListForm,
    ListFormat,
    Measure,
    Method,
    Modality,
    NoBrowser,
    Port,
    ProjectName,
    RunId,
    Source,
)
from dashboard.services import address as address_service
from dashboard.services import catalogue, demos, faults, serve, templates
from dashboard.terminal import Steps, explained, say, show

STOPPED = "Stopped; what is done is kept, and the same command goes on from there."

app = typer.Typer(
    name="influence",
    help="Which training examples caused this prediction?",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


# --- the command --------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 2 the user's mistake, 1 our fault, 130 Ctrl-C."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]  # it may stand anywhere
    faults.LOGGER.addHandler(logging.NullHandler())  # the sentence is enough; --debug prints the traceback
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no error
    try:
        code = app(given, prog_name="influence", standalone_mode=False) or 0
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:  # the reader has seen enough; nothing may be written any more, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            traceback.print_exception(error)
        code, sentence = explained(error)
        say(sentence)
    if code == 130:  # noqa: PLR2004
        say(STOPPED)
    return int(code)


@app.callback(invoke_without_command=True)
def influence(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,  # noqa: ARG001
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Which training examples caused this prediction?"""
    if version:
        typer.echo(demos.versions()["influence-dashboard"])
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def demo(
    name: Annotated[
        str, typer.Argument(help="digits, breast-cancer, diabetes, spam, mnist-cnn or spam-transformer.")
    ] = "digits",
    port: Port = None,
    no_browser: NoBrowser = False,
) -> None:
    """Build a demo, the first time, and open it in the browser."""
    address = address_service.Address.choose(address_service.LOOPBACK, port)
    wanted = demos.DemoFolder(name)
    if wanted.problem() is not None:
        with Steps() as steps:
            steps.say(f"Building the demo {name}; the next time it opens at once.")
            from dashboard.services import builds

            builds.build_demo(wanted, steps, steps.say)
    _serve(wanted.path, address, no_browser=no_browser)


@app.command()
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


@app.command()
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


@app.command()
def build(
    project: ProjectName,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The workspace; an unfinished one is gone on with.")],
    method: Annotated[Method, typer.Option(help="How influence is computed.")] = Method.auto,
    damping: Damping = None,
    curvature: Annotated[Curvature | None, typer.Option(help="Which curvature is inverted.")] = None,
    tolerance: Annotated[
        float | None, typer.Option(metavar="X", help="Residual at which an iterative solve is done.")
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, metavar="N", help="Examples in memory at once.")] = None,
    test_limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Solve the N most surprising predictions; all (exact) or 60 by default."),
    ] = None,
) -> None:
    """Compute the influence of all training examples and keep it in a folder."""
    with Steps() as steps:
        from dashboard.services import builds

        settings = {
            "damping": damping,
            "curvature": curvature and curvature.value,
            "tolerance": tolerance,
            "rows": rows,
        }
        order = builds.Order(project, method.value, settings, test_limit)
        made = builds.build_order(order, out, steps)
    solved = len(made.run().solved)
    say(f"{out} is ready: {solved:,} of {made.manifest.n_test:,} test predictions are solved.")
    say(f"Next: `influence open {shlex.quote(str(out))}`")


@app.command("open")
def open_workspace(
    folder: Folder,
    project: Code = None,
    port: Port = None,
    host: Annotated[str, typer.Option(help="Where to listen.")] = address_service.LOOPBACK,
    no_browser: NoBrowser = False,
) -> None:
    """Open a workspace in the browser."""
    address = address_service.Address.choose(host, port)
    if not address.is_loopback:
        say(f"Warning: everyone who can reach {host} can read this workspace; there is no password.")
    from dashboard.services import inventory

    with Steps() as steps:
        inventory.checked(folder, project, steps)
    _serve(folder, address, project=project or "", no_browser=no_browser)


@app.command()
def info(folder: Folder) -> None:
    """Say what a workspace holds, and check its files."""
    from dashboard.services import inventory

    show(inventory.described(folder))


@app.command()
def explain(
    folder: Folder,
    test: Annotated[
        str, typer.Option(metavar="ID", help="A test example: row id or key (row:3 or key:3 to be plain).")
    ],
    run: RunId = None,
    target: Annotated[str, typer.Option(metavar="true|predicted|CLASS", help="Of which class.")] = "true",
    measure: Annotated[Measure, typer.Option(help="What is explained.")] = Measure.loss,
    damping: Damping = None,
    top: Annotated[int, typer.Option(min=1, metavar="K", help="Length of each list.")] = 10,
    form: Annotated[Format, typer.Option("--format", help="How it is written.")] = Format.table,
    project: Code = None,
) -> None:
    """List the training examples that helped and harmed one prediction most; solve it first if need be."""
    from dashboard.services import answer_forms, explanation, on_demand
    from dashboard.services.opened import Workspace

    question = explanation.Question(test, run, target, measure.value, damping, top)
    with Steps() as steps:
        answered = on_demand.explain_or_solve(Workspace(folder), question, project, steps)
    if form is Format.table:
        show(answer_forms.as_table(answered))
    else:
        text = answer_forms.as_csv(answered) if form is Format.csv else answer_forms.as_json(answered.answer)
        typer.echo(text.rstrip("\n"))


@app.command()
def scores(
    folder: Folder,
    out: Annotated[Path, typer.Option(metavar="FILE.npy", help="float32, one row a test example.")],
    run: RunId = None,
    keys: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Your keys of the rows (test) and the columns (train).")
    ] = None,
) -> None:
    """Write all scores of a run to a NumPy file."""
    from dashboard.services import score_files
    from dashboard.services.opened import Workspace

    workspace = Workspace(folder)
    say(score_files.export(workspace, workspace.run(run), out, keys))


@app.command()
def methods(
    form: ListForm = ListFormat.table,
) -> None:
    """List the methods, what they cost and where they end."""
    from dashboard.services import inventory

    if form is ListFormat.json:
        typer.echo(inventory.methods_as_json())
    else:
        show(inventory.methods_as_table())


def _serve(folder: Path, address: address_service.Address, *, project: str = "", no_browser: bool) -> None:
    url = address.url(catalogue.register(folder))

    def ready() -> None:
        say(f"The dashboard is at {url} (Ctrl-C stops it)")
        if not no_browser:
            serve.open_browser(url)

    serve.serve(folder, address, project=project, ready=ready)
