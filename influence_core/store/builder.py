"""Build a workspace: a list of idempotent units of work, each a file that is whole or absent."""

from __future__ import annotations

import hashlib
import json
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from influence_core.errors import CurvatureError, UnwritableWorkspaceError
from influence_core.evaluation.agreement import Check, agreement, sample_rows
from influence_core.evaluation.leave_one_out import Measured, refitted_scores
from influence_core.methods import Exact
from influence_core.methods.attributor import ExactAttributor
from influence_core.methods.base import Tensors, Tick
from influence_core.methods.exact import ExactFit
from influence_core.predictions import predict
from influence_core.project import Project
from influence_core.report import FitReport
from influence_core.store.describe import describe, solve_order, view_of
from influence_core.store.examples import write_examples
from influence_core.store.files import drop_damaged, explained, write_sums
from influence_core.store.manifest import Manifest, ReportRecord, RunRecord, read_record, write_record
from influence_core.store.shards import Shard, shards_of
from influence_core.store.tensors import read_tensors, write_tensors
from influence_core.store.workspace import Workspace
from influence_core.target import Target

SHARD = 128  # test predictions a shard
REMOVED = 24  # refits of the built-in check
MEASURED = 200  # test predictions that it measures


@dataclass(frozen=True)
class Progress:
    """Where a build is.

    Attributes:
        stage: In words.
        done: Units done of this stage.
        total: Units of this stage.
        seconds_left: Of this stage, from its speed so far; None while that is unknown.
    """

    stage: str
    done: int
    total: int
    seconds_left: float | None


Report = Callable[[Progress], None]


def build(  # noqa: PLR0913  (the one call of a notebook: every argument but two has a default)
    project: Project,
    path: Path | str,
    method: Exact | None = None,
    *,
    target: Target = Target(),  # noqa: B008  (frozen)
    test_limit: int | None = None,
    progress: Report = lambda _: None,
    project_ref: str = "",
) -> Workspace:
    """Build a run of ``method`` on ``project`` in the folder ``path``, or go on where an earlier build stopped.

    Args:
        project: What is explained.
        path: The workspace's folder; a run is added to a workspace of the same project.
        method: By default ``Exact()``.
        target: The measurement whose scores are stored.
        test_limit: Solve only that many test predictions, the most worth explaining first.
        progress: Called before and after every unit of work.
        project_ref: ``demo:NAME`` for a bundled demo.

    Raises:
        ProjectError: If model, data and task do not fit together.
        MethodError: If the method cannot serve the model.
        UnwritableWorkspaceError: If the folder holds another project, is read-only, or the disk is full; what
            is already written is kept.
    """
    started = time.perf_counter()
    method = method or Exact()
    fit = method.prepare(project)
    target.check(project.task.kind, getattr(project.task, "n_classes", 0))
    builder = _Builder(fit, Path(path), target, test_limit, progress)
    manifest = describe(project, fit.model, fit.head, view_of(project), project_ref)
    builder.claim(manifest)
    order = builder.examples()
    folder = builder.open_run(manifest, order)
    builder.finish(folder, order, started)
    return Workspace(path)


@dataclass(frozen=True)
class _Builder:
    fit: ExactFit
    path: Path
    target: Target
    test_limit: int | None
    progress: Report

    def claim(self, manifest: Manifest) -> None:
        """Write the manifest, or see that the folder's project is this one."""
        existing = self.path / "manifest.json"
        if existing.is_file():
            found = read_record(existing, Manifest)
            if found.fingerprint != manifest.fingerprint:
                msg = (
                    f"{self.path} holds another project or another state of it ('{found.name}', {found.n_train} "
                    "training examples); choose another folder."
                )
                raise UnwritableWorkspaceError(msg)
            if found == manifest:
                return
        with explained(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        if not existing.is_file() and any(self.path.iterdir()):
            msg = f"{self.path} is not empty and not a workspace; choose another folder."
            raise UnwritableWorkspaceError(msg)
        write_record(existing, manifest)

    def examples(self) -> list[int]:
        """Write both example tables; the order in which test predictions are solved."""
        project, view = self.fit.project, view_of(self.fit.project)
        folder = self.path / "examples"
        drop_damaged(folder)
        order: list[int] = []
        for split in ("train", "test"):
            with self._stage(f"Predictions on the {split} set") as tick:
                seen = predict(self.fit.model, project, split)
                order = solve_order(project, seen)  # the last split is the test set
                if not (folder / f"{split}.arrow").is_file():
                    write_examples(folder / f"{split}.arrow", project, split, seen, view)
                tick(1, 1)
        write_sums(folder)
        return order

    def open_run(self, manifest: Manifest, order: list[int]) -> Path:
        """Write what the run is, before its results."""
        record = RunRecord(
            method=self.fit.method.name,
            hyperparameters=asdict(self.fit.method),
            measure=self.target.measure,
            of=self.target.of,
            order=order,
            libraries={name: version(name) for name in ("torch", "numpy", "safetensors", "pyarrow")},
        )
        identity = [record.method, record.hyperparameters, record.measure, record.of, manifest.fingerprint]
        folder = self.path / "runs" / hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:10]
        drop_damaged(folder)
        if not (folder / "run.json").is_file():
            write_record(folder / "run.json", record)
        return folder

    def finish(self, folder: Path, order: list[int], started: float) -> None:
        """The method's stages, the score shards, self-influence and the check; the report last."""
        tensors: dict[str, torch.Tensor] = {}
        for stage in self.fit.stages:
            tensors |= self._unit(folder / f"{stage.name}.safetensors", stage.title, stage.compute, tensors)
        attributor = self.fit.attributor(tensors)
        solved = self._scores(folder, attributor, order)
        self._unit(
            folder / "self-influence.safetensors",
            "Self-influence",
            lambda _, tick: {"self_influence": attributor.self_influence()},
            {},
        )
        check = self._check(folder, tensors, attributor, order[:solved])
        write_sums(folder)
        write_record(
            folder / "report.json",
            ReportRecord(fit=self._report(attributor, tensors, order, started), solved=solved, check=check),
        )

    def _scores(self, folder: Path, attributor: ExactAttributor, order: list[int]) -> int:
        wanted = len(order) if self.test_limit is None else min(self.test_limit, len(order))
        shards = shards_of(folder)
        done = shards[-1].stop if shards else 0
        with self._stage("Scores of the test predictions") as tick:
            for start in range(done, wanted, SHARD):
                stop = min(start + SHARD, wanted)
                ids = order[start:stop]
                scores = attributor.scores(ids, self.target).values.float()
                kept = self.fit.tests.read(ids).tensors()
                write_tensors(Shard.at(folder, start, stop).path, {**kept, "scores": scores})
                tick(stop, wanted)
        return max(done, wanted)

    def _check(self, folder: Path, tensors: Tensors, attributor: ExactAttributor, ids: list[int]) -> Check | None:
        """Refit without a few random training examples, where that is cheap and convex."""
        head = self.fit.head
        if head is None:
            return None
        removed = sample_rows(attributor.n_train, REMOVED)
        measured = ids[:MEASURED]

        def compute(_: Tensors, tick: Tick) -> dict[str, torch.Tensor]:
            problem = head.problem(tensors["inputs"], tensors["labels"])
            coefficients = problem.coefficients(head.layer)
            tests = self.fit.tests.read(measured)
            kept = Measured(tests, attributor.task, self.target)
            refitted = refitted_scores(problem, coefficients, kept, removed, tick)
            predicted = attributor.scores(measured, self.target).values[:, removed].mT
            return {"predicted": predicted, "refitted": refitted, "removed": torch.tensor(removed)}

        try:
            pairs = self._unit(folder / "check.safetensors", "Check by refitting", compute, {})
        except CurvatureError:
            return None  # no single optimum to refit to: the scores stay "not checked"
        return agreement(pairs["predicted"], pairs["refitted"]) if pairs["predicted"].numel() > 2 else None  # noqa: PLR2004

    def _report(self, attributor: ExactAttributor, tensors: Tensors, order: list[int], started: float) -> FitReport:
        vector = self.fit.model.vector
        return FitReport(
            seconds=time.perf_counter() - started,
            peak_megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            steps=0,
            residual=attributor.scores(order[:8], self.target).residual,
            gradient_norm=float(tensors["gradient_norm"]),
            lowest_eigenvalue=attributor.factor.lowest_eigenvalue,
            parameters_attributed=vector.size,
            parameters_total=vector.total,
        )

    def _unit(
        self,
        path: Path,
        title: str,
        compute: Callable[[Tensors, Tick], dict[str, torch.Tensor]],
        earlier: Tensors,
    ) -> dict[str, torch.Tensor]:
        """Make one file, unless it is there; read it back, so that a resumed build goes on from the same numbers."""
        if not path.is_file():
            with self._stage(title) as tick:
                write_tensors(path, compute(earlier, tick))
        return {name: t.double() if t.is_floating_point() else t for name, t in read_tensors(path).items()}

    def _stage(self, title: str) -> _Ticker:
        return _Ticker(title, self.progress)


@dataclass
class _Ticker:
    """Turns counts into progress with a time left."""

    title: str
    report: Report
    started: float = 0.0

    def __enter__(self) -> Tick:
        self.started = time.perf_counter()
        self.report(Progress(self.title, 0, 1, None))
        return self._tick

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.report(Progress(self.title, 1, 1, 0.0))

    def _tick(self, done: int, total: int) -> None:
        spent = time.perf_counter() - self.started
        self.report(Progress(self.title, done, total, spent / done * (total - done) if done else None))
