"""All scores of a run as one NumPy file."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from dashboard.services.answer_forms import safe_cell
from dashboard.services.wording import count as counted
from influence_core.scores import unit
from influence_core.store import Run, Workspace
from influence_core.store.files import write, write_text

ROWS = 128  # test predictions a block; as many as a shard holds


def export(workspace: Workspace, run: Run, out: Path, keys: Path | None = None) -> str:
    """Write float32 scores, shape ``(n_test, n_train)``, NaN where not solved; returns a sentence about them.

    The rows are written one block after the other and not through a memory map: a disk that fills up is then
    an error with a sentence, where a map gets the process killed. ``keys`` is a file for the user's own ids: which
    example each row (test) and each column (train) is.

    Raises:
        UnwritableWorkspaceError: If the disk is full or the folder cannot be written to.
        DamagedWorkspaceError: If a shard is missing, truncated or altered.
    """
    n_test, n_train = workspace.manifest.n_test, workspace.manifest.n_train
    header = {"descr": "<f4", "fortran_order": False, "shape": (n_test, n_train)}

    def content(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, n_test, ROWS):
                file.write(run.rows(start, min(start + ROWS, n_test)).astype("<f4", copy=False).tobytes())

    write(out, content)
    if keys is not None:
        write_text(keys, _keys(workspace))
    missing = n_test - len(run.solved)
    scale = unit(run.target, workspace.manifest.kind, workspace.manifest.label_unit)
    rows = f"{counted(missing, 'row is', 'rows are')} NaN: not solved yet" if missing else "every row is solved"
    return f"{out} holds {n_test:,} x {n_train:,} scores in {scale}; {rows}."


def _keys(workspace: Workspace) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["split", "id", "key"])
    for split, table in (("test", workspace.test), ("train", workspace.train)):
        writer.writerows([split, i, safe_cell(key)] for i, key in enumerate(table.frame()["key"]))
    return file.getvalue()
