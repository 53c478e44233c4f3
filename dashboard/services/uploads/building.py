"""Train on an upload and build its workspace, in steps that tell how far they are and can be stopped."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from dashboard.services import catalogue
from dashboard.services.turns import Turns
from dashboard.services.uploads import archives
from dashboard.services.uploads.features import STAGE, features, reader_of, reduced
from dashboard.services.uploads.keeping import FOLDER as KEPT
from dashboard.services.uploads.keeping import Kept, Recipe, keep, recipe_of
from dashboard.services.uploads.labels import few_rows
from dashboard.services.uploads.limits import UploadError
from dashboard.services.uploads.models import choose_strength, head_of, pipeline, width_of
from dashboard.services.uploads.pictures import CorruptPictureError, thumbnail
from dashboard.services.uploads.preparing import Rows, prepare
from dashboard.services.uploads.proposal import Choices
from dashboard.services.uploads.reading import Upload
from dashboard.services.uploads.training import inputs_of, project_in, take
from influence_core.errors import WorkspaceError
from influence_core.store import Progress, Workspace, build
from influence_core.store.manifest import UPLOAD
from influence_core.store.progress import Ticker

Report = Callable[[Progress], None]


class Order(BaseModel):
    """What is to be trained: the key of a job.

    Attributes:
        digest: Of the file.
        name: Of the project.
        choices: What its owner chose.
    """

    model_config = ConfigDict(frozen=True)

    digest: str
    name: str
    choices: Choices


def home() -> Path:
    """Where the workspaces of uploads are."""
    return catalogue.location().parent / "uploads"


def find(order: Order) -> Path | None:
    """The finished workspace of an order; None if there is none."""
    for recipe_file in sorted(home().glob("*/upload/recipe.json")):
        folder = recipe_file.parents[1]
        recipe = recipe_of(folder)
        if recipe and (recipe.digest, recipe.choices) == (order.digest, order.choices) and is_finished(folder):
            return folder
    return None


def is_finished(folder: Path) -> bool:
    """Whether a workspace can be opened."""
    try:
        return bool(Workspace(folder).runs)
    except WorkspaceError:
        return False


def work(upload: Upload, order: Order, turns: Turns) -> Callable[[Report], None]:
    """What a job does: train, build, and put the workspace into the catalogue."""

    def train(report: Report) -> None:
        def step(progress: Progress) -> None:
            report(progress)
            turns.let_pass()

        report(Progress("Getting ready", 0, 0, None))
        with turns:
            catalogue.register(find(order) or make(upload, order, step))

    return train


def make(upload: Upload, order: Order, report: Report) -> Path:
    """Train and build in a folder of its own; what is stopped or fails leaves nothing behind.

    Raises:
        InfluenceError: If nothing can be learnt from it, or the disk is full.
    """
    folder = _new_folder(order.name)
    aside = folder.with_name(f".{folder.name}")  # a build begins in an empty folder
    try:
        keep(aside, _trained(upload, order, report))
        with Ticker("Fitting the model", report):
            project = project_in(aside)  # of what is kept, so that it is the same model the next time
        build(project, folder, progress=report, project_ref=UPLOAD)
        (aside / KEPT).rename(folder / KEPT)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _new_folder(name: str) -> Path:
    """Made at once, so that no other upload of that name takes it."""
    for number in count(1):
        folder = home() / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            msg = f"{home()} cannot be written to ({error.strerror}); free some space or change its permissions."
            raise UploadError(msg) from error
        return folder
    raise AssertionError


def _trained(upload: Upload, order: Order, report: Report) -> Kept:
    """All that is kept, with the strength that cross-validation chose."""
    rows, choices = prepare(upload, order.choices), order.choices
    pngs: tuple[bytes, ...] = ()
    reader = ""
    read: np.ndarray | None = None
    n_classes = len(set(rows.labels))
    if choices.modality == "image":
        rows, pngs = _thumbnails(upload, rows, report)
        n_classes = len(set(rows.labels))
        reader = reader_of([file.side for file in upload.pictures])
        with Ticker(STAGE, report) as tick:
            found = features(pngs, reader, tick)
        read = reduced(found, rows.is_test, width_of(choices.kind, n_classes, len(rows.labels)))
    recipe = Recipe(
        name=order.name,
        file=upload.file,
        digest=upload.digest,
        choices=choices,
        numbers=rows.numbers,
        strength=1.0,
        said=rows.said,
        read_by=reader,
    )
    strength = _strength(Kept(recipe, rows, pngs, read), n_classes, report)
    return Kept(recipe.model_copy(update={"strength": strength}), rows, pngs, read)


def _strength(kept: Kept, n_classes: int, report: Report) -> float:
    kind, modality, rows = kept.recipe.choices.kind, kept.recipe.choices.modality, kept.rows
    width = width_of(kind, n_classes, len(rows.labels))
    train = np.flatnonzero(~rows.is_test)
    with Ticker("Choosing the penalty by cross-validation", report) as tick:
        return choose_strength(
            lambda strength: pipeline(modality, rows.numbers, rows.inputs, head_of(kind, strength), width),
            take(inputs_of(kept), train),
            rows.labels[train],
            kind,
            tick,
        )


def _thumbnails(upload: Upload, rows: Rows, report: Report) -> tuple[Rows, tuple[bytes, ...]]:
    """Thumbnails of the pictures; those that turn out to be corrupt are left out."""
    by_path = {file.path: file for file in upload.pictures}
    files = [by_path[path] for path in rows.inputs["path"]]
    made: list[bytes] = []  # empty where it is corrupt
    last = time.monotonic()
    with Ticker("Reading the pictures", report) as tick:
        for i, (file, content) in enumerate(archives.pictures(upload.data, files)):
            if time.monotonic() - last > 0.2:  # noqa: PLR2004  (seconds between two words to the page)
                tick(i, len(files))
                last = time.monotonic()
            try:
                made.append(thumbnail(content, file.path))
            except CorruptPictureError:
                made.append(b"")
    whole = np.array([bool(png) for png in made])
    return (rows, tuple(made)) if whole.all() else _without_corrupt(rows, made, whole)


def _without_corrupt(rows: Rows, made: list[bytes], whole: np.ndarray) -> tuple[Rows, tuple[bytes, ...]]:
    corrupt = [path for path, is_whole in zip(rows.inputs["path"], whole, strict=True) if not is_whole]
    notes = [*rows.said, archives.said_of_corrupt(corrupt)]
    kept = few_rows(rows.labels, whole, ~rows.is_test, notes)
    inputs = rows.inputs[kept].reset_index(drop=True)
    keys = [key for key, keep_it in zip(rows.keys, kept, strict=True) if keep_it]
    known = rows.known[kept].reset_index(drop=True)
    left = Rows(inputs, (), rows.labels[kept], keys, rows.is_test[kept], known, tuple(notes))
    return left, tuple(png for png, keep_it in zip(made, kept, strict=True) if keep_it)
