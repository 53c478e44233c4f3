"""What the command says in a terminal: sentences, tables, progress, and errors with their exit code."""

from __future__ import annotations

import errno
import sys
import time
from typing import TYPE_CHECKING

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from dashboard.services import faults

if TYPE_CHECKING:
    from types import TracebackType

    from dashboard.services.builds import Progress as Step

UNUSABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
LONG = 10.0  # seconds of a step whose end is said where there is no bar
FILE_WIDTH = 160  # columns of a table that goes to a file or a pipe


def explained(error: Exception) -> tuple[int, str]:
    """Exit code and sentence of an error."""
    if hasattr(error, "format_message"):  # what Typer says of a command line that makes no sense
        return 2, f"{str(error.format_message()).rstrip('.')}; see `influence --help`."
    if isinstance(error, OSError) and error.errno in UNUSABLE:
        return (
            2,
            f"{error.filename or 'A file'} cannot be used ({error.strerror}); change that and try again.",
        )
    fault = faults.describe(error)
    if not fault.log_id:
        return 2, fault.sentence
    reason = f"{type(error).__name__}: {error}".rstrip(".: ")
    return 1, f"This is our fault, not yours ({reason}); add --debug to see where, and please report it."


def say(message: str) -> None:
    """One line on standard error; a name in it may hold control or direction characters."""
    visible = "".join(c if c.isprintable() else " " for c in message)
    typer.echo(" ".join(visible.split()), err=True)


def show(result: RenderableType) -> None:
    """A result on standard output: as wide as the terminal, or wide enough for a file."""
    width = None if sys.stdout.isatty() else FILE_WIDTH
    Console(file=sys.stdout, width=width, markup=False, emoji=False, highlight=False).print(result)


class Clock(ProgressColumn):
    """The seconds left of a step, or how long it has been running: an import of the user's code knows no end."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """What stands at the end of a line."""
        if task.finished:
            return Text("done")
        left = task.fields["left"]
        return Text(f"{task.elapsed or 0:.0f} s so far" if left is None else f"{left:.0f} s left")


class Steps:
    """Progress on standard error: bars with seconds in a terminal, one line a step and the long ones' end elsewhere."""

    def __init__(self) -> None:
        console = Console(stderr=True, markup=False, emoji=False, highlight=False)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            Clock(),
        )
        self.bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self.tasks: dict[str, TaskID] = {}
        self.ended: set[TaskID] = set()
        self.begun = 0.0

    def __enter__(self) -> Steps:
        self.bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bars.stop()

    def __call__(self, step: Step) -> None:
        """Show where a build is."""
        if step.stage not in self.tasks:
            self.tasks[step.stage] = self.bars.add_task(step.stage, left=None)
            self.begun = time.monotonic()
            if self.bars.disable:
                self.say(f"{step.stage} ...")
        task, finished = self.tasks[step.stage], step.done == step.total
        seconds = time.monotonic() - self.begun
        if finished and self.bars.disable and seconds > LONG and task not in self.ended:
            self.say(f"{step.stage} took {seconds:.0f} s.")
        if finished:
            self.ended.add(task)
        self.bars.update(task, completed=step.done, total=step.total, left=step.seconds_left)

    def say(self, message: str) -> None:
        """A message above the bars."""
        if self.bars.disable:
            say(message)
        else:
            self.bars.console.print(message)
