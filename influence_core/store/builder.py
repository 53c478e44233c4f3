"""Build a workspace: a list of idempotent units of work, each a file that is whole or absent."""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from influence_core.errors import CurvatureError, DamagedWorkspaceError, ProjectError
from influence_core.evaluation.agreement import Check, agreement
from influence_core.evaluation.first_order import first_order_gap
from influence_core.gradients import FunctionalModel
from influence_core.heads import Head, find_head
from influence_core.methods import Fit, Method, auto
from influence_core.methods.attributor import ExactAttributor
from influence_core.methods.base import Attributor, RowStage, Stage, Tensors, Tick
from influence_core.methods.exact import LARGEST
from influence_core.methods.newton import newton_beside
from influence_core.methods.newton_attributor import NewtonAttributor
from influence_core.methods.norms import norms
from influence_core.placement import at_hand
from influence_core.project import Project
from influence_core.report import FitReport, largest_residual
from influence_core.rows import KroneckerRows
from influence_core.solvers.inverse import InverseFactor
from influence_core.store.beginning import Asked, claim, open_run, write_tables
from influence_core.store.describe import describe, fingerprint, view_of
from influence_core.store.files import explained, write_sums
from influence_core.store.manifest import Manifest, ReportRecord, RunRecord, read_record, write_record
from influence_core.store.progress import Report, Ticker, within
from influence_core.store.refit_check import MEASURED, REMOVED, RefitCheck
from influence_core.store.row_store import in_double, stored_rows
from influence_core.store.shards import Kind, Shard, are_many, lean, shards_of
from influence_core.store.solved_rows import solved_rows
from influence_core.store.tensors import read_tensors, write_tensors
from influence_core.store.workspace import Workspace
from influence_core.target import Target


def build(  # noqa: PLR0913  (the one call of a notebook: every argument but two has a default)
    project: Project,
    path: Path | str,
    method: Method | None = None,
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
        method: By default the one that serves the model: exact for a small one, else LiSSA finished by
            conjugate gradients.
        target: The measurement whose scores are stored.
        test_limit: Solve only that many test predictions, the most worth explaining first.
        progress: Called before and after every unit of work.
        project_ref: ``demo:NAME`` for a bundled demo, ``upload`` for a model trained on rows that the folder keeps.

    Raises:
        ProjectError: If model, data and task do not fit together.
        MethodError: If the method cannot serve the model.
        UnwritableWorkspaceError: If the folder holds another project, is read-only, or the disk is full; what
            is already written is kept.
    """
    started = time.perf_counter()
    fit = (method or auto(project)).prepare(project)
    target.check(project.task.kind, project.task.n_targets)
    builder = _Builder(fit, Path(path), target, test_limit, progress)
    manifest = describe(project, fit.model, fit.head, view_of(project), project_ref)
    claim(builder.path, manifest)
    order = write_tables(fit, builder.path, progress)
    folder = open_run(fit, builder.path, Asked(manifest, target, order))
    builder.finish(folder, started, manifest)
    return Workspace(path)


@dataclass(frozen=True)
class _Builder:
    fit: Fit
    path: Path
    target: Target
    test_limit: int | None
    progress: Report

    def finish(self, folder: Path, started: float, manifest: Manifest) -> None:
        """The method's stages, the score shards, self-influence and the check; the report last."""
        order = read_record(folder / "run.json", RunRecord).order  # of the build that began: its shards go by it
        tensors: dict[str, torch.Tensor] = {}
        for stage in self.fit.stages:
            tensors |= self._stage(folder, stage, tensors)
        attributor = self.fit.attributor(tensors)
        if attributor.first is not None:
            everyone = replace(self, test_limit=None)
            everyone._scores(folder, attributor.first, order, "first")
        solved = self._scores(folder, attributor, order)
        self._self_influence(folder, attributor)
        self._first_order_gap(folder, tensors, attributor, order[:solved])
        self._norms(folder, attributor)
        check = self._check(folder, tensors, attributor, order[:solved])
        self._compare(folder, manifest)
        write_sums(folder)
        fit = self._report(folder, tensors, attributor, started)
        write_record(folder / "report.json", ReportRecord(fit=fit, solved=solved, check=check))

    def _stage(self, folder: Path, stage: Stage | RowStage, earlier: Tensors) -> dict[str, torch.Tensor]:
        if isinstance(stage, Stage):
            path = folder / f"{stage.name}.safetensors"
            made = self._unit(path, stage.title, stage.compute, earlier)
            return in_double(made) if stage.in_double else made
        with Ticker(stage.title, self.progress) as tick:
            return stored_rows(folder, stage, earlier, tick)

    def _compare(self, folder: Path, manifest: Manifest) -> None:
        """Read all data once more: if they are not those of the start, nothing that was made of them counts."""
        with Ticker("Comparing the data with those of the start", self.progress):
            if fingerprint(self.fit.project) == manifest.fingerprint:
                return
        with explained(folder):
            shutil.rmtree(folder)
        msg = (
            "The project's model or data changed while this run was built, so the run is dropped; let the data set "
            "give the same row whenever it is read (no random augmentation, no file still being written), and build "
            "again."
        )
        raise ProjectError(msg)

    def _scores(self, folder: Path, attributor: Attributor, order: list[int], kind: Kind = "scores") -> int:
        wanted = len(order) if self.test_limit is None else min(self.test_limit, len(order))
        shards = shards_of(folder, kind)
        done = shards[-1].stop if shards else 0
        title = "Scores of the test predictions" if kind == "scores" else "First answers to all test predictions"
        with Ticker(title, self.progress) as tick:
            for start in range(done, wanted, attributor.shard):
                stop = min(start + attributor.shard, wanted)
                inner = within(tick, start - done, stop - start, wanted - done)
                kept = self._kept(attributor, order[start:stop], inner)
                write_tensors(Shard.at(folder, start, stop, kind).path, kept)
        return max(done, wanted)

    def _kept(self, attributor: Attributor, test_ids: list[int], tick: Tick) -> dict[str, torch.Tensor]:
        """What a shard keeps of some test predictions: no scores where they would be large and are quick to compute."""
        pairs = len(self.fit.project.train) * len(self.fit.project.test)
        if are_many(pairs) and isinstance(attributor, ExactAttributor) and isinstance(attributor.rows, KroneckerRows):
            return attributor.tests.read(test_ids).tensors()
        return lean(attributor.kept(test_ids, self.target, tick), pairs=pairs)

    def _self_influence(self, folder: Path, attributor: Attributor) -> None:
        path = folder / "self-influence.safetensors"
        if path.is_file():
            return
        with Ticker("Self-influence", self.progress):
            values = attributor.self_influence()
            if values is not None:
                write_tensors(path, {"self_influence": values})

    def _first_order_gap(self, folder: Path, tensors: Tensors, attributor: Attributor, ids: list[int]) -> None:
        """How far first order is from the Newton step for each training example, where both are at hand."""
        path = folder / "newton-gap.safetensors"
        if path.is_file():
            return
        with Ticker("First order against Newton", self.progress):
            newton = attributor if isinstance(attributor, NewtonAttributor) else newton_beside(self.fit, tensors)
            if newton is not None:
                write_tensors(path, first_order_gap(newton, ids, self.target).tensors())

    def _norms(self, folder: Path, attributor: Attributor) -> None:
        """What second rankings divide by."""
        path = folder / "norms.safetensors"
        if path.is_file():
            return
        with Ticker("Norms of the training gradients", self.progress) as tick:
            found = norms(self.fit, attributor, tick)
            if found:
                write_tensors(path, found)

    def _check(self, folder: Path, tensors: Tensors, attributor: Attributor, ids: list[int]) -> Check | None:
        """Refit without a few random training examples, where that is cheap and convex."""
        kind = self.fit.method
        if self.fit.head is None or not kind.is_estimate or self.fit.model.vector.size > LARGEST:
            return None
        measured = ids[:MEASURED]
        if kind.is_direct:
            predicted = attributor.scores(measured, self.target).values
        else:
            measured, predicted = _stored(folder, measured)
        if len(measured) * REMOVED < 3:  # noqa: PLR2004  (fewer pairs cannot be compared)
            return None
        factor = attributor.factor if isinstance(attributor, ExactAttributor) else None
        solve = factor.solve if isinstance(factor, InverseFactor) and not factor.damping else None
        check = RefitCheck(self.fit.project, *self._in_float64(), measured, predicted, self.target, solve)
        try:
            pairs = in_double(self._unit(folder / "check.safetensors", "Check by refitting", check.compute, tensors))
        except CurvatureError:
            return None  # no single optimum to refit to: the scores stay "not checked"
        return agreement(pairs["predicted"], pairs["refitted"]) if pairs["predicted"].numel() > 2 else None  # noqa: PLR2004

    def _in_float64(self) -> tuple[FunctionalModel, Head]:
        """A model and its own head; a method that has no use for the head may know that of another copy."""
        model, head = self.fit.model, self.fit.head
        is_its = head is not None and any(head.layer is layer for layer in model.module.modules())
        if model.dtype != torch.float64 or not is_its:
            model = FunctionalModel.of(self.fit.project)
            head = find_head(model, self.fit.project)
        assert head is not None  # noqa: S101  (the same project had one)
        return model, head

    def _report(self, folder: Path, tensors: Tensors, attributor: Attributor, started: float) -> FitReport:
        vector, (lowest, largest) = self.fit.model.vector, attributor.ends
        steps, residual = _solves(folder)
        found = FitReport(
            seconds=time.perf_counter() - started,
            peak_megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            steps=steps,
            residual=residual,
            gradient_norm=float(tensors["gradient_norm"]),
            lowest_eigenvalue=lowest,
            largest_eigenvalue=largest,
            parameters_attributed=vector.size,
            parameters_total=vector.total,
        )
        if self.fit.method.is_one_by_one:
            return found
        sample = attributor.scores(read_record(folder / "run.json", RunRecord).order[:8], self.target)
        return replace(
            found,
            residual=sample.residual,
            damping_used=sample.damping,
            damping_rule=sample.damping_rule,
            facts=attributor.facts if isinstance(attributor, ExactAttributor) else (),
        )

    def _unit(
        self,
        path: Path,
        title: str,
        compute: Callable[[Tensors, Tick], dict[str, torch.Tensor]],
        earlier: Tensors,
    ) -> dict[str, torch.Tensor]:
        """Make one file, unless it is there; read it back, so that a resumed build goes on from the same numbers."""
        try:
            return self._read(path)
        except DamagedWorkspaceError:  # absent, or damaged before the folder had digests
            with Ticker(title, self.progress) as tick:
                write_tensors(path, compute(earlier, tick))
        return self._read(path)

    def _read(self, path: Path) -> dict[str, torch.Tensor]:
        return at_hand(read_tensors(path), self.fit.model.theta)


def _stored(folder: Path, ids: list[int]) -> tuple[list[int], torch.Tensor]:
    """Those of the first test ids whose stored scores are an answer, and these scores in float64."""
    rows = [row for shard in shards_of(folder) for row in solved_rows(shard)][: len(ids)]
    kept = [(test_id, row) for test_id, row in zip(ids, rows, strict=True) if row.converged]
    scores = [row.scores.double() for _, row in kept]
    return [test_id for test_id, _ in kept], torch.stack(scores) if scores else torch.empty(0, 0, device="cpu")


def _solves(folder: Path) -> tuple[int, float]:
    """Steps of the longest solve and the largest residual over all shards; 0 where nothing is solved step by step."""
    rows = (row.solve for shard in shards_of(folder) for row in solved_rows(shard))
    solves = [solve for solve in rows if solve is not None]
    return max((s.steps for s in solves), default=0), largest_residual(solves) if solves else 0.0
