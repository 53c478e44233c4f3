"""All scores of a run as one NumPy file."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from dashboard.services.answer_forms import safe_cell
from dashboard.services.wording import count as counted
from influence_core.rankings import Rank
from influence_core.store import Run, Workspace
from influence_core.store.files import write, write_text
from influence_core.store.second_rankings import check_rank

ROWS = 128  # test predictions a block; as many as a shard holds


def export(workspace: Workspace, run: Run, out: Path, keys: Path | None = None, rank: Rank = "effect") -> str:
    """Write float32 scores, shape ``(n_test, n_train)``, NaN where not solved; returns a sentence about them.

    Of another ranking than the effect, the numbers that examples are ranked by are written.

    The rows are written one block after the other and not through a memory map: a disk that fills up is then
    an error with a sentence, where a map gets the process killed. ``keys`` is a file for the user's own ids: which
    example each row (test) and each column (train) is.

    Raises:
        MethodError: If the run does not know what that ranking divides by.
        UnwritableWorkspaceError: If the disk is full or the folder cannot be written to.
        DamagedWorkspaceError: If a shard is missing, truncated or altered.
    """
    check_rank(run, rank)
    n_test, n_train = workspace.manifest.n_test, workspace.manifest.n_train
    header = {"descr": "<f4", "fortran_order": False, "shape": (n_test, n_train)}

    def content(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, n_test, ROWS):
                file.write(run.rows(start, min(start + ROWS, n_test), rank).astype("<f4", copy=False).tobytes())

    write(out, content)
    if keys is not None:
        write_text(keys, _keys(workspace))
    missing = n_test - len(run.solved)
    rows = f"{counted(missing, 'row is', 'rows are')} NaN: not solved yet" if missing else "every row is solved"
    baseline = "" if run.reading is None else f" {run.reading.sentence}"
    what = f"scores in {run.unit()}" if rank == "effect" else f"numbers to rank by {rank}"
    return f"{out} holds {n_test:,} x {n_train:,} {what}; {rows}.{baseline}"


def _keys(workspace: Workspace) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["split", "id", "key"])
    for split, table in (("test", workspace.test), ("train", workspace.train)):
        writer.writerows([split, i, safe_cell(key)] for i, key in enumerate(table.frame()["key"]))
    return file.getvalue()
