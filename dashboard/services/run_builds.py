"""Build another run of an open workspace while its visitor looks on: the menu of methods, their forms and the job."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dashboard.services import methods
from dashboard.services.address import ALLOWED, Address
from dashboard.services.builds import SOLVED_FIRST
from dashboard.services.jobs import Report, Work
from dashboard.services.projects import other_demo
from dashboard.services.solving import is_promised
from dashboard.services.turns import Turns
from influence_core.errors import ProjectError
from influence_core.methods import METHODS
from influence_core.methods.settings import NONE, Setting, settings_of
from influence_core.project import Project
from influence_core.store import Progress, Run, Workspace, build


@dataclass(frozen=True)
class Entry:
    """One method of the menu.

    Attributes:
        name: In commands.
        title: In words.
        cost: What it takes.
        limits: What it serves, and how far it is right.
        settings: What can be set of it.
        default_limit: Predictions that a build solves unless told otherwise; None where it answers all of them.
    """

    name: str
    title: str
    cost: str
    limits: str
    settings: tuple[Setting, ...]
    default_limit: int | None


@dataclass(frozen=True)
class RunOrder:
    """What is to be built: the key of a build.

    Attributes:
        folder: Of the workspace.
        method: Its name.
        settings: What differs from its own settings, as it would be typed.
        test_limit: Predictions that are solved at once, of a method that solves them one by one; None for the others.
    """

    folder: str
    method: str
    settings: tuple[tuple[str, str], ...] = ()
    test_limit: int | None = None


def menu() -> list[Entry]:
    """All methods: those that estimate a refit first, baselines after."""
    kinds = sorted(METHODS.values(), key=lambda kind: not kind.is_estimate)
    return [
        Entry(k.name, k.title, k.cost, k.limits, settings_of(k), SOLVED_FIRST if k.is_one_by_one else None)
        for k in kinds
    ]


def words_of(setting: Setting) -> list[str]:
    """What may be chosen in place of a number, such as ``auto``; of a choice, all there is."""
    return [*setting.choices, *([NONE] if setting.optional else [])]


def order(folder: str, entry: Entry, typed: Mapping[str, str], test_limit: int | None = None) -> RunOrder:
    """An order from a filled form; what is left at its default is not part of it.

    Raises:
        MethodError: If a text is no value of its setting.
    """
    defaults = {setting.name: setting.written for setting in entry.settings}
    changed = {name: text for name, text in typed.items() if defaults.get(name) != text}
    methods.check(entry.name, changed)
    limit = (test_limit or entry.default_limit) if entry.default_limit else None
    return RunOrder(folder, entry.name, tuple(sorted(changed.items())), limit)


def obstacle(workspace: Workspace, given: str, host: str | None) -> str:
    """Why no run can be built here, and what turns it on; empty if one can."""
    folder = Path(workspace.path)
    if not is_promised(workspace.manifest, given):
        return (
            "Building a run computes with the project's code, which is not at hand: open the workspace with "
            f"`influence open {shlex.quote(str(folder))} --project PROJECT`, or build the run by a command:"
        )
    if not os.access(folder, os.W_OK):
        return f"{folder} is read-only, so no run can be added; copy it to a folder of your own and open that, or type:"
    if not (host and Address(host, 0).is_loopback) and os.environ.get(ALLOWED) != "allow":
        return (
            "Builds are off, as this dashboard can be reached from other machines and anyone there could fill its "
            f"disk. Open it on this machine alone (without --host), set {ALLOWED}=allow where it is started, or type:"
        )
    return ""


def work(asked: RunOrder, load: Callable[[], Project | None], turns: Turns) -> Work:
    """What a job does: load the project, then build, letting short computations pass between two steps."""

    def make(report: Report) -> None:
        workspace = Workspace(asked.folder)
        report(Progress("Loading the project", 0, 0, None))
        project = load()
        if project is None:
            raise ProjectError(other_demo(workspace.manifest))

        def step(progress: Progress) -> None:
            report(progress)
            turns.let_pass()

        report(Progress("Getting ready", 0, 0, None))  # stops here what was cancelled while loading
        method = methods.chosen(asked.method, dict(asked.settings), project)
        with turns:
            build(
                project,
                asked.folder,
                method,
                test_limit=asked.test_limit,
                progress=step,
                project_ref=workspace.manifest.project_ref,
            )

    return make


def made(asked: RunOrder) -> str:
    """Id of the newest run that an order describes; empty if there is none."""
    workspace = Workspace(asked.folder)
    wanted = {name: _kept(value) for name, value in vars(methods.plain(asked.method, dict(asked.settings))).items()}
    return next((run.id for run in workspace.runs if _is_of(run, asked.method, wanted)), "")


def _is_of(run: Run, method: str, wanted: Mapping[str, object]) -> bool:
    return run.method == method and {name: _kept(value) for name, value in run.hyperparameters.items()} == wanted


def _kept(value: object) -> object:
    """A number as a file keeps it: 1 and 1.0 are the same."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
