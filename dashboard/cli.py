"""The ``influence`` command: results go to standard output, progress and messages to standard error."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import Annotated

import typer

from dashboard.commands import asking, making, serving
from dashboard.services import demos, faults
from dashboard.terminal import explained, say

STOPPED = "Stopped; what is done is kept, and the same command goes on from there."

app = typer.Typer(
    name="influence",
    help="Which training examples caused this prediction?",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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


app.command()(serving.demo)
app.command()(making.init)
app.command()(making.check)
app.command()(making.build)
app.command("open")(serving.open_workspace)
app.command()(asking.info)
app.command()(asking.explain)
app.command()(asking.sweep)
app.command()(asking.scores)
app.command()(asking.methods)
