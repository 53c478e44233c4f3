"""EK-FAC fitted: one solve in the eigenbasis a prediction, one pass over the training gradients a block of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from influence_core import scores
from influence_core.checks import check_test_ids
from influence_core.curvature.ekfac import EKFAC
from influence_core.curvature.factored import FactoredModel, Rows
from influence_core.curvature.layer_rows import size_of
from influence_core.gradients import FunctionalModel
from influence_core.methods.base import Tick
from influence_core.predictions import predict
from influence_core.project import Dataset, Project
from influence_core.solvers.eigen_blocks import EigenBlocks
from influence_core.target import Target

SHARD = 128  # test predictions that are computed and kept together
SAMPLED = 8  # right-hand sides whose residual is measured
KEPT = 2**30  # bytes of training gradients in factors that stay in memory


@dataclass(frozen=True)
class _Solved:
    """Gradients of some measurements, solved.

    Attributes:
        matrices: By layer, of gradients of unit length, shape ``(m, o, i)``.
        sizes: The gradients' lengths, shape ``(m,)``.
        residual: Largest relative residual on this curvature: rounding, as its inverse is known.
    """

    matrices: dict[str, Tensor]
    sizes: Tensor
    residual: float


class Factored(Protocol):
    """What is needed of a project being fitted."""

    @property
    def project(self) -> Project:
        """What is fitted."""
        ...

    @property
    def factored(self) -> FactoredModel:
        """The private copy of its model, and its layers."""
        ...

    @property
    def trunked(self) -> tuple[FactoredModel, Dataset]:
        """The same with the training data in memory."""
        ...

    @property
    def rows(self) -> int:
        """Examples in memory at once."""
        ...


@dataclass(frozen=True)
class EkfacAttributor:
    """Curvature and solver; the training gradients stay in memory, in factors, where they fit.

    Attributes:
        fitted: The project.
        curvature: Undamped.
        solver: Its inverse.
    """

    fitted: Factored
    curvature: EKFAC
    solver: EigenBlocks

    shard = SHARD
    first = None  # an answer takes no solve

    @property
    def n_train(self) -> int:
        """Number of training examples."""
        return len(self.fitted.project.train)

    @property
    def ends(self) -> tuple[float | None, float | None]:
        """Lowest and largest eigenvalue of the undamped approximation."""
        values = [block.values for block in self.curvature.blocks]
        return min(float(v.min()) for v in values), max(float(v.max()) for v in values)

    def scores(
        self,
        test_ids: Sequence[int],
        target: Target = Target(),  # noqa: B008  (frozen)
        tick: Tick = lambda done, total: None,
    ) -> scores.InfluenceScores:
        """Scores of some test predictions against every training example, shape ``(len(test_ids), n_train)``.

        Raises:
            TargetError: If the task cannot measure the target.
        """
        solved = self._solved(test_ids, target)
        by_layer = self._along(solved, target, tick)
        damping = self.solver.damping
        return scores.InfluenceScores(
            values=torch.stack(list(by_layer.values())).sum(dim=0),
            test_ids=tuple(test_ids),
            target=target,
            unit=scores.unit_of(target, self.fitted.project.task),
            method="ekfac",
            damping=damping if isinstance(damping, float) else 0.0,
            damping_rule=self.solver.rule(self.curvature),
            residual=solved.residual,
        )

    def layer_scores(
        self,
        test_ids: Sequence[int],
        target: Target = Target(),  # noqa: B008  (frozen)
        tick: Tick = lambda done, total: None,
    ) -> dict[str, Tensor]:
        """What each layer adds to the scores, by its name, shape ``(len(test_ids), n_train)`` each."""
        return self._along(self._solved(test_ids, target), target, tick)

    def self_influence(self) -> Tensor:
        """Self-influence of every training example, shape ``(n_train,)``."""
        inverse = {block.layer.name: self.solver.inverse(block.values) for block in self.curvature.blocks}
        total = []
        for rows in self._train():
            each = [b.rows(rows[b.layer.name]).weighted_squares(inverse[b.layer.name]) for b in self.curvature.blocks]
            total.append(torch.stack(each).double().sum(dim=0))
        return scores.self_influence(torch.cat(total), self.n_train)

    def norms(self) -> dict[str, Tensor]:
        """``gradient_norms`` and ``step_norms`` of every training example, float64, shape ``(n_train,)`` each."""
        inverse = {block.layer.name: self.solver.inverse(block.values) for block in self.curvature.blocks}
        squares: dict[str, list[Tensor]] = {"gradient_norms": [], "step_norms": []}
        for rows in self._train():
            turned = {b.layer.name: b.rows(rows[b.layer.name]) for b in self.curvature.blocks}
            lengths = [one.weighted_squares(torch.ones_like(inverse[name])) for name, one in turned.items()]
            steps = [one.weighted_squares(inverse[name].square()) for name, one in turned.items()]
            squares["gradient_norms"].append(torch.stack(lengths).double().sum(dim=0))
            squares["step_norms"].append(torch.stack(steps).double().sum(dim=0))
        return {name: torch.cat(found).sqrt() for name, found in squares.items()}

    def kept(self, test_ids: Sequence[int], target: Target, tick: Tick) -> dict[str, Tensor]:
        """What a workspace keeps of some test predictions."""
        return {"scores": self.scores(test_ids, target, tick).values.float()}

    def _along(self, solved: _Solved, target: Target, tick: Tick) -> dict[str, Tensor]:
        parts: dict[str, list[Tensor]] = {name: [] for name in solved.matrices}
        done = 0
        for rows in self._train():
            for name, matrices in solved.matrices.items():
                parts[name].append(rows[name].dot(matrices))
            done += len(parts[name][-1])
            tick(done, self.n_train)
        along = {name: torch.cat(found).double() * solved.sizes for name, found in parts.items()}
        return {name: scores.scale(found.mT, self.n_train, target) for name, found in along.items()}

    def _solved(self, test_ids: Sequence[int], target: Target) -> _Solved:
        project = self.fitted.project
        target.check(project.task.kind, project.task.n_targets)
        check_test_ids(project, test_ids)
        predict(self.fitted.factored.model, project, "test", ids=test_ids)  # names the first row that does not fit
        model, found = self._in_float64, []
        for _, batch in model.model.batches(project.test, self.fitted.rows, list(test_ids)):
            rows = model.measurement_rows(batch, target)
            found.append({name: one.dense()[0] for name, one in rows.items()})
        dense = {name: torch.cat([part[name] for part in found]) for name in found[0]}
        sizes = torch.stack([matrices.square().sum(dim=(1, 2)) for matrices in dense.values()]).sum(dim=0).sqrt()
        sizes = sizes.where(sizes > 0, 1)
        dtype = self.fitted.factored.dtype
        solved, left = {}, torch.zeros_like(sizes[:SAMPLED])
        for block in self.curvature.blocks:
            name, inverse = block.layer.name, self.solver.inverse(block.values)
            units = (dense[name] / sizes[:, None, None]).to(dtype)
            solved[name] = block.back(block.rotate(units) * inverse)
            back = block.back(block.rotate(solved[name][:SAMPLED]) / inverse)
            left += (back - units[:SAMPLED]).double().square().sum(dim=(1, 2))
        return _Solved(solved, sizes, float(left.max().sqrt()))

    @cached_property
    def _in_float64(self) -> FactoredModel:
        """For measurements: in float32 the loss of a confident prediction has a gradient of rounding errors."""
        model = FunctionalModel.of(self.fitted.project)
        return FactoredModel(model, self.fitted.factored.layers, self.fitted.factored.left)

    def _train(self) -> Iterator[Rows]:
        """Gradients of the training examples, batch by batch."""
        if self._in_memory:
            yield from self._in_memory
            return
        factored, train = self.fitted.trunked
        for _, batch in factored.model.batches(train, self.fitted.rows):
            yield factored.loss_rows(batch)

    @cached_property
    def _in_memory(self) -> list[Rows]:
        """All of them, if they fit; else nothing."""
        factored, train = self.fitted.trunked
        kept: list[Rows] = []
        size = 0
        for _, batch in factored.model.batches(train, self.fitted.rows):
            kept.append(factored.loss_rows(batch))
            size += sum(size_of(rows) for rows in kept[-1].values())
            if size > KEPT:
                return []
        return kept
