"""How a build begins: the folder is claimed for a project, its examples are written, and its run gets a place."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from influence_core.errors import UnwritableWorkspaceError
from influence_core.methods import Fit
from influence_core.solvers.damping import AUTO
from influence_core.store.describe import solve_order, view_of
from influence_core.store.examples import is_named_alike, write_examples
from influence_core.store.files import drop_damaged, explained, write_sums
from influence_core.store.manifest import Manifest, RunRecord, read_record, write_record
from influence_core.store.progress import Report, Ticker
from influence_core.target import Target


@dataclass(frozen=True)
class Asked:
    """What a run is to answer.

    Attributes:
        manifest: Of the project.
        target: The measurement whose scores are stored.
        order: All test ids, most worth explaining first.
    """

    manifest: Manifest
    target: Target
    order: list[int]


def claim(path: Path, manifest: Manifest) -> None:
    """Write the manifest, or see that the folder's project is this one.

    Raises:
        UnwritableWorkspaceError: If the folder holds anything else.
    """
    existing = path / "manifest.json"
    if existing.is_file():
        found = read_record(existing, Manifest)
        if found.fingerprint != manifest.fingerprint:
            msg = (
                f"{path} holds another project or another state of it ('{found.name}', {found.n_train} "
                "training examples); choose another folder."
            )
            raise UnwritableWorkspaceError(msg)
        if found == manifest:
            return
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)
    if not existing.is_file() and any(path.iterdir()):
        msg = f"{path} is not empty and not a workspace; choose another folder."
        raise UnwritableWorkspaceError(msg)
    write_record(existing, manifest)


def write_tables(fit: Fit, path: Path, progress: Report) -> list[int]:
    """Write both example tables; the order in which test predictions are solved."""
    project, view = fit.project, view_of(fit.project)
    folder = path / "examples"
    drop_damaged(folder)
    order: list[int] = []
    for split in ("train", "test"):
        with Ticker(f"Predictions on the {split} set", progress) as tick:
            seen = fit.predictions(split).kept()
            order = solve_order(project, seen)  # the last split is the test set
            if not is_named_alike(folder / f"{split}.arrow", project, split):
                write_examples(folder / f"{split}.arrow", project, split, seen, view)
            tick(1, 1)
    write_sums(folder)
    return order


def open_run(fit: Fit, path: Path, asked: Asked) -> Path:
    """Write what the run is, before its results."""
    recipe = fit.project.recipe if fit.method.damping == AUTO else None
    record = RunRecord(
        method=fit.method.name,
        hyperparameters=asdict(fit.method),
        measure=asked.target.measure,
        of=asked.target.of,
        order=asked.order,
        libraries={name: version(name) for name in ("torch", "numpy", "safetensors", "pyarrow")},
        recipe=recipe,
    )
    identity = [record.method, record.hyperparameters, record.measure, record.of, asked.manifest.fingerprint]
    identity += [] if recipe is None else [asdict(recipe)]
    folder = path / "runs" / hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:10]
    drop_damaged(folder)
    if not (folder / "run.json").is_file():
        write_record(folder / "run.json", record)
    return folder
