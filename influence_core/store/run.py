"""One stored run, answered without the user's code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import nan

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from influence_core.combination import Combination, CombinedScores, weighted
from influence_core.errors import TargetError, UnknownNameError
from influence_core.evaluation.first_order import FirstOrderGap
from influence_core.methods import Newton
from influence_core.rankings import Norms, Rank
from influence_core.rows import DenseRows
from influence_core.scores import InfluenceScores, Words, words
from influence_core.solvers.base import check_damping
from influence_core.store.answers import Answers
from influence_core.store.examples import ExampleTable
from influence_core.store.facts import RunFacts
from influence_core.store.frames import ranking
from influence_core.store.refusals import not_solved, other_damping
from influence_core.store.second_rankings import check_rank, kept_norms
from influence_core.store.solved_rows import SolvedRow, SolvedRows
from influence_core.store.stored_exact import StoredExact
from influence_core.store.stored_tests import StoredTests, measuring_task
from influence_core.store.tensors import read_checked
from influence_core.strongest import Strongest, strongest
from influence_core.target import Target

FIRST = "ekfac"  # the method of answers at once


@dataclass(frozen=True)
class Run(RunFacts):
    """A complete run of a workspace. Everything is read from its folder, memory-mapped, on first use."""

    @property
    def solved(self) -> np.ndarray:
        """Test ids with stored scores that converged, most worth explaining first."""
        return self._rows.ids

    @property
    def answered(self) -> list[int]:
        """Test ids that were solved for the stored measurement when somebody asked, in ascending order."""
        return self._rows.answered

    @property
    def has_first(self) -> bool:
        """Whether every prediction has an answer at once for the stored measurement."""
        return self._rows.has_first

    @property
    def answers(self) -> Answers:
        """What was solved after the build."""
        return self._rows.answers

    @property
    def mean_eigenvalue(self) -> float:
        """Of the undamped curvature of a direct run."""
        return self._exact.mean_eigenvalue

    def solve_for(self, target: Target) -> Target:
        """What has to be solved to answer a target: where the stored one answers every other, that one."""
        return self.target if self.answers_any_target or self.is_for_any_target else target

    @property
    def answers_any_target(self) -> bool:
        """Whether a solved prediction answers every target here and now: of a direct run, and of Newton on a head."""
        return self.is_direct or (self.method == Newton.name and self.is_linear_head)

    def scores(self, test_id: int, target: Target | None = None, damping: float | None = None) -> InfluenceScores:
        """Scores of one test prediction against every training example.

        What was solved is read. Of a direct run any other target or damping takes one solve, here and now. Where an
        answer takes a solve of its own that was not made yet, there may be a first answer, which ``is_first``.

        Raises:
            UnknownNameError: If there is no such test example.
            NotSolvedError: If it is not among the solved ones.
            TargetError: If the target cannot be measured.
            MethodError: If another damping takes another run.
            CurvatureError: If the damping leaves the curvature indefinite.
        """
        target = target or self.target
        is_own = damping is None or (damping == self.damping and not self.is_filtered)
        check_damping(self.damping if damping is None else damping)
        target.check(self.manifest.kind, len(self.manifest.names))
        self._check_test(test_id)
        if is_own:
            known = self._rows.find(test_id, self.target if self.is_for_any_target else target)
            if known is not None and known.has_scores:
                return self._from_file(test_id, target, known)
            first = self.first(test_id) if target == self.target else None
            if first is not None:
                return first
        elif not self.is_direct:
            raise other_damping(self)
        if not self.answers_any_target:
            raise not_solved(self, test_id, target, len(self.solved))
        if self._rows.find(test_id, self.target) is None:
            raise not_solved(self, test_id, target, len(self.solved))
        if self.manifest.kind == "custom":
            msg = (
                f"This project has a task of its own, so only the stored measurement ({self.target.measure}) is known."
            )
            raise TargetError(msg)
        return self._exact.scores(test_id, target, None if is_own else damping)

    def combined(self, combination: Combination) -> CombinedScores:
        """Scores of a weighted sum of measurements against every training example, from those of its terms.

        Raises:
            InfluenceError: As ``scores`` does, of the first term that has no answer.
        """
        singly = [Combination((term,)).groups[term.target][1] for term in combination.terms]
        found = [self.scores(term.test_id, term.target) for term in combination.terms]
        return weighted(combination, zip(singly, found, strict=True))

    def first(self, test_id: int) -> InfluenceScores | None:
        """The answer at once to a prediction, for the stored measurement, also if a solve has replaced it by now.

        Raises:
            UnknownNameError: If there is no such test example.
        """
        self._check_test(test_id)
        known = self._rows.first(test_id)
        if known is None:
            return None
        return replace(self._from_file(test_id, self.target, known), method=FIRST, residual=nan, is_first=True)

    def is_first(self, test_id: int, target: Target | None = None) -> bool:
        """Whether ``scores`` of a prediction are an answer at once that waits for its solve; nothing is computed."""
        asked = target or self.target
        return self.has_first and asked == self.target and self._rows.find(test_id, asked) is None

    def rows(self, start: int, stop: int, rank: Rank = "effect") -> np.ndarray:
        """Scores of test ids ``start`` to ``stop``, shape ``(stop - start, n_train)``; NaN where there is no answer.

        Of another ranking, the numbers that examples are ranked by.

        Raises:
            MethodError: If the run does not know what that ranking divides by.
        """
        check_rank(self, rank)
        block = np.full((stop - start, self.n_train), np.nan, dtype=np.float32)
        computed = []
        for test_id in range(start, stop):
            known = self._rows.find(test_id, self.target)
            if known is not None and not known.has_scores:
                computed.append(test_id)
            elif known is not None and self._from_file(test_id, self.target, known).converged:
                block[test_id - start] = self.norms.by(rank, known.scores).numpy()
        if computed:
            scores = self._exact.block(computed, self.target)
            block[np.array(computed) - start] = torch.stack([self.norms.by(rank, row) for row in scores]).numpy()
        return block

    def strongest(self, test_id: int, k: int, target: Target | None = None) -> Strongest:
        """The ``k`` most positive and ``k`` most negative scores of one prediction, and the histogram of all.

        Of a direct run on many rows that is quicker than all its ``scores``.

        Raises:
            MethodError: If the solve did not reach an answer.
            InfluenceError: As ``scores`` does.
        """
        target, k = target or self.target, min(k, self.n_train)
        known = self._rows.find(test_id, target)
        if known is None or known.has_scores:
            found = self.scores(test_id, target)
            found.check_converged(test_id)
            return strongest(DenseRows(found.values.mT), torch.ones(1, 1, device="cpu"), k)[0]
        return self._exact.strongest(test_id, target, k)

    def words(self, test_id: int, target: Target) -> Words:
        """What the sign of a score of this prediction is called, on every screen and in every file."""
        example, manifest = self.test[test_id], self.manifest
        said = words(target, manifest.kind, manifest.names, label=example.label, prediction=example.prediction)
        return said if self.reading is None else self.reading.words(said, target)

    @cached_property
    def norms(self) -> Norms:
        """What second rankings of the scores divide by, as far as the run keeps it."""
        return kept_norms(self)

    def numbers(self, found: InfluenceScores, test_id: int, rank: Rank) -> Tensor:
        """What one prediction's training examples are ranked by, shape ``(n_train,)``; see ``Norms.by``.

        Raises:
            MethodError: If the run does not know what that ranking divides by.
        """
        check_rank(self, rank, found.damping)
        return self.norms.by(rank, found.of(test_id))

    def frame(
        self, test_id: int, target: Target | None = None, k: int | None = None, rank: Rank = "effect"
    ) -> pd.DataFrame:
        """The scores of one test prediction with their training examples, the most positive first.

        Args:
            test_id: The prediction.
            target: What is measured; the stored measurement if absent.
            k: Only the k most positive and the k most negative rows; all if absent.
            rank: What the rows of each side are ordered by; see ``influence_core.rankings``.

        Returns:
            Columns ``train_id``, ``score`` (its unit is ``scores(test_id, target).unit``), ``rank`` within its side,
            ``share`` of all influence of its sign (0 to 1), ``direction`` in words, such as ``helpful``, and ``key``,
            ``label`` and ``prediction`` of the training example; ``ranking`` too, the number they are ordered by, if
            that is not the score.

        Raises:
            MethodError: If the solve did not reach an answer.
            InfluenceError: As ``scores`` does.
        """
        return ranking(self, (test_id, target), k, rank)

    @cached_property
    def train(self) -> ExampleTable:
        """The training examples of the workspace."""
        return ExampleTable(self.folder.parents[1] / "examples" / "train.arrow")

    @cached_property
    def test(self) -> ExampleTable:
        """The test examples of the workspace."""
        return ExampleTable(self.folder.parents[1] / "examples" / "test.arrow")

    def influenced(self, train_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Test ids and this training example's score for each, the stored measurement, in the order of ``solved``."""
        if not 0 <= train_id < self.n_train:
            msg = f"There is no training example {train_id}; ids run from 0 to {self.n_train - 1}."
            raise UnknownNameError(msg)
        if self._rows.have_scores:
            return self.solved, self._rows.column(train_id)
        computed = self._exact.influenced(train_id, self._rows.outputs(), self.target)
        return self.solved, self._rows.of_converged(computed)

    def self_influence(self) -> np.ndarray | None:
        """Self-influence of every training example by ``self_influence_by``, shape ``(n_train,)``; None if unknown."""
        path = self.folder / "self-influence.safetensors"
        if not self.is_direct and not path.is_file():
            return None
        values: np.ndarray = read_checked(path)["self_influence"].numpy()
        return values

    @cached_property
    def first_order_gap(self) -> FirstOrderGap | None:
        """How far first order is from the Newton step for each training example; None where that is not stored."""
        path = self.folder / "newton-gap.safetensors"
        return FirstOrderGap.read(read_checked(path)) if path.is_file() else None

    @property
    def self_influence_by(self) -> str:
        """Name of the method that self-influence is by: a solve for every training example would take too long."""
        return FIRST if self.has_first else self.method

    def _check_test(self, test_id: int) -> None:
        if not 0 <= test_id < self.manifest.n_test:
            msg = f"There is no test example {test_id}; ids run from 0 to {self.manifest.n_test - 1}."
            raise UnknownNameError(msg)

    @cached_property
    def _exact(self) -> StoredExact:
        task = measuring_task(self.manifest)
        tests = StoredTests(self._rows, self.target, task)
        return StoredExact(self.folder, self.method, self.damping, tests, task, self.damping_rule)

    @cached_property
    def _rows(self) -> SolvedRows:
        return SolvedRows(self.folder, self.record.order, self._report.solved, self.target)

    def _from_file(self, test_id: int, target: Target, known: SolvedRow) -> InfluenceScores:
        solve = known.solve
        return InfluenceScores(
            values=known.scores[None],
            test_ids=(test_id,),
            target=target,
            unit=self.unit(target),
            method=self.method,
            damping=self.damping,
            damping_rule=self.damping_rule,
            residual=solve.residual if solve else self.report.residual,
            solves=(solve,) if solve else (),
            outside=float(known.tensors["outside"][known.row]) if "outside" in known.tensors else None,
        )
