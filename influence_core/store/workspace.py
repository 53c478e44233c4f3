"""A folder that holds everything the dashboard shows."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import pandas as pd

from influence_core.errors import (
    MissingWorkspaceError,
    UnfinishedWorkspaceError,
    UnknownNameError,
)
from influence_core.store.examples import ExampleTable
from influence_core.store.manifest import Manifest, read_record
from influence_core.store.run import Run
from influence_core.target import Target


class Workspace:
    """An opened workspace: one project and its complete runs. Opening runs no code of whoever made it.

    Args:
        path: The folder.

    Raises:
        MissingWorkspaceError: If there is no workspace.
        UnfinishedWorkspaceError: If no run is complete yet.
        NewerWorkspaceError: If a newer version of this program wrote it.
        DamagedWorkspaceError: If a file is missing, truncated or altered; also raised later by the parts that
            are read on first use.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not (self.path / "manifest.json").is_file():
            what = "is not a workspace: it has no manifest.json" if self.path.exists() else "does not exist"
            msg = f"{self.path} {what}; make one with `influence build PROJECT --out {self.path}`."
            raise MissingWorkspaceError(msg)
        self.manifest = read_record(self.path / "manifest.json", Manifest)
        if not self.runs:
            command = f"influence build {self.manifest.called} --out {self.path}"
            msg = f"The build of {self.path} was not finished; `{command}` goes on where it stopped."
            raise UnfinishedWorkspaceError(msg)

    @cached_property
    def train(self) -> ExampleTable:
        """The training examples."""
        return ExampleTable(self.path / "examples" / "train.arrow")

    @cached_property
    def test(self) -> ExampleTable:
        """The test examples."""
        return ExampleTable(self.path / "examples" / "test.arrow")

    @cached_property
    def runs(self) -> list[Run]:
        """Complete runs, newest first."""
        reports = sorted((self.path / "runs").glob("*/report.json"), key=lambda p: (-p.stat().st_mtime_ns, p))
        return [Run(report.parent, self.manifest) for report in reports]

    def run(self, run_id: str | None = None) -> Run:
        """One run, by default the newest.

        Raises:
            UnknownNameError: If there is no complete run of that id.
        """
        for run in self.runs:
            if run_id in (None, run.id):
                return run
        msg = f"There is no complete run '{run_id}'; this workspace has {', '.join(r.id for r in self.runs)}."
        raise UnknownNameError(msg)

    def frame(self, test_id: int, target: Target | None = None, k: int | None = None) -> pd.DataFrame:
        """``Run.frame`` of the newest run."""
        return self.run().frame(test_id, target, k)
