"""Iterative solvers against dense solves: value, damping, residual, and what they say when they do not get there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from influence_core.errors import CurvatureError, MethodError
from influence_core.report import Outcome, from_tensors, to_tensors
from influence_core.solvers.cg import CGSolver, with_first
from influence_core.solvers.lanczos import ends
from influence_core.solvers.lissa import LissaSolver, batches
from tests import oracles


@dataclass(frozen=True)
class Dense:
    """A curvature that is the mean of one matrix a row, shape ``(n, p, p)``."""

    parts: Tensor

    @property
    def size(self) -> int:
        return self.parts.shape[1]

    @property
    def n(self) -> int:
        return len(self.parts)

    def matvec(self, vectors: Tensor, rows: Sequence[int] | None = None) -> Tensor:
        chosen = self.parts if rows is None else self.parts[list(rows)]
        return chosen.mean(dim=0).to(vectors.dtype) @ vectors


def spread(values: Tensor, n: int = 1) -> Dense:
    """A curvature with these eigenvalues, the same for every row."""
    basis, _ = torch.linalg.qr(torch.randn(len(values), len(values), dtype=torch.float64))
    return Dense((basis * values @ basis.mT).expand(n, -1, -1))


def noisy(p: int = 12, n: int = 64) -> Dense:
    """Rows that differ: the mean of outer products, as a Gauss-Newton matrix is."""
    slopes = torch.randn(n, p, 1) * torch.logspace(0, -1.5, p)[:, None]
    return Dense(slopes @ slopes.mT)


def solved(curvature: Dense, damping: float, columns: Tensor) -> Tensor:
    return torch.linalg.solve(curvature.parts.mean(dim=0) + damping * torch.eye(curvature.size), columns)


def lissa(curvature: Dense, damping: float = 0.1, **changes: float) -> LissaSolver:
    largest = float(torch.linalg.eigvalsh(curvature.parts)[:, -1].mean())
    settings = {"tolerance": 1e-6, "batch": 16, "passes": 4000, "seed": 0, "scale": largest + damping} | changes
    return LissaSolver(damping, **settings)  # type: ignore[arg-type]


def test_lissa_converges_to_the_damped_solve_and_not_to_one_damped_by_the_scale() -> None:
    curvature = spread(torch.logspace(-2, 1, 20))
    columns, damping = torch.randn(20, 3), 0.05
    solution = lissa(curvature, damping, tolerance=1e-9, passes=100_000).solve(curvature, columns)
    assert oracles.relative(solution.vectors, solved(curvature, damping, columns)) < 1e-6
    scaled = solved(curvature, damping * 10.05, columns)  # what two published codes return
    assert oracles.relative(solution.vectors, scaled) > 0.1
    assert all(report.converged for report in solution.reports)


def test_the_noise_of_mini_batches_has_no_floor() -> None:
    curvature = noisy()
    columns = torch.randn(12, 4)
    solution = lissa(curvature).solve(curvature, columns)
    assert max(report.residual for report in solution.reports) <= 1e-6
    assert oracles.relative(solution.vectors, solved(curvature, 0.1, columns)) < 1e-4


def test_a_row_more_than_fills_the_mini_batches_is_no_harm() -> None:
    curvature = noisy(p=200, n=513)
    columns = torch.randn(200, 2)
    samples = [next_batch for _, next_batch in zip(range(10), batches(513, 128, 0), strict=False)]
    assert {len(ids) for ids in samples if ids is not None} == {102, 103}
    assert sorted(row for ids in samples[:5] for row in ids or []) == list(range(513))
    full = [float(torch.linalg.eigvalsh(curvature.matvec(torch.eye(200), ids))[-1]) for ids in samples[:4]]
    solver = lissa(curvature, scale=max(full) + 0.1, batch=128, passes=40, tolerance=1e-3)
    assert all(report.converged for report in solver.solve(curvature, columns).reports)


@pytest.mark.parametrize(("n", "batch", "passes"), [(64, 16, 3), (64, 64, 5), (30, 16, 1)])
def test_passes_are_the_most_passes(n: int, batch: int, passes: int) -> None:
    ticks: list[tuple[int, int]] = []
    most = passes * -(-n // batch)
    curvature = noisy(n=n)
    solver = lissa(curvature, batch=batch, passes=passes, tolerance=1e-9)
    solution = solver.solve(curvature, torch.randn(12, 1), lambda done, total: ticks.append((done, total)))
    assert ticks == [(step, most) for step in range(1, most + 1)]
    assert solution.reports[0].steps == most


def test_the_reported_residual_is_the_true_one_on_the_full_data() -> None:
    curvature = noisy()
    columns = torch.randn(12, 4)
    for solver in (lissa(curvature, passes=40), CGSolver(0.1, 1e-9, steps=4)):
        solution = solver.solve(curvature, columns)
        left = columns - curvature.matvec(solution.vectors) - 0.1 * solution.vectors
        true = left.norm(dim=0) / columns.norm(dim=0)
        assert torch.allclose(true, torch.tensor([r.residual for r in solution.reports]), rtol=1e-8)
        assert {r.legs[0].outcome for r in solution.reports} == {Outcome.OUT_OF_STEPS}
        assert all("ran out of steps" in r.sentence and "tolerance" in r.advice for r in solution.reports)


@pytest.mark.parametrize("make", [lissa, lambda c: CGSolver(0.1, 1e-3)])
def test_a_column_is_solved_for_itself_whatever_its_companions(make: object) -> None:
    curvature = noisy()
    columns = torch.randn(12, 5) * torch.logspace(-3, 3, 5)
    together = make(curvature).solve(curvature, columns)  # type: ignore[operator]
    for i in range(5):
        alone = make(curvature).solve(curvature, columns[:, i : i + 1])  # type: ignore[operator]
        assert oracles.relative(alone.vectors, together.vectors[:, i : i + 1]) < 1e-10
        mine, theirs = alone.reports[0], together.reports[i]
        assert (mine.steps, mine.legs[0].outcome) == (theirs.steps, theirs.legs[0].outcome)
        assert mine.residual == pytest.approx(theirs.residual)


def test_a_step_that_is_too_long_is_taken_back() -> None:
    curvature = noisy()
    columns = torch.randn(12, 2)
    reckless = lissa(curvature, scale=0.3)
    solution = reckless.solve(curvature, columns)
    assert all(report.converged for report in solution.reports)
    hopeless = lissa(curvature, scale=1e-4).solve(curvature, columns)
    assert {r.legs[0].outcome for r in hopeless.reports} == {Outcome.DIVERGED}
    assert all(r.residual <= 1 for r in hopeless.reports)  # the last good iterate is kept, here zero
    assert "diverged" in hopeless.reports[0].sentence


def test_not_a_number_is_caught_and_named() -> None:
    broken = Dense(noisy().parts.clone())
    broken.parts[3, 0, 0] = torch.nan
    for solver in (lissa(noisy()), CGSolver(0.1, 1e-3)):
        solution = solver.solve(broken, torch.randn(12, 2))
        assert {r.legs[0].outcome for r in solution.reports} == {Outcome.DIVERGED}
        assert not any(r.converged for r in solution.reports)


def test_conjugate_gradients_equal_the_dense_solve() -> None:
    curvature = spread(torch.logspace(-3, 2, 40))
    columns = torch.randn(40, 6)
    solution = CGSolver(1e-3, 1e-10).solve(curvature, columns)
    assert oracles.relative(solution.vectors, solved(curvature, 1e-3, columns)) < 1e-6
    assert all(r.converged for r in solution.reports)


def test_conjugate_gradients_wait_for_a_residual_that_rises_first() -> None:
    curvature = spread(torch.logspace(-2, 3, 300))
    solution = CGSolver(0.01, 1e-2).solve(curvature, torch.randn(300, 2))
    for report in solution.reports:
        best_early = min(value for step, value in report.trace if step <= 60)
        assert best_early >= 1  # nothing to see after 60 steps
        assert report.converged


@pytest.mark.parametrize("make", [lambda c: lissa(c, tolerance=1e-3), lambda c: CGSolver(0.1, 1e-3)])
def test_the_size_of_a_right_hand_side_is_no_matter_in_float32(make: object) -> None:
    curvature = noisy()
    columns = (torch.randn(12, 1) * torch.tensor([1.0, 1e-25, 1e25])).float()  # whose squares float32 cannot hold
    solution = make(curvature).solve(curvature, columns)  # type: ignore[operator]
    expected = solved(curvature, 0.1, columns.double())
    for i, report in enumerate(solution.reports):
        assert report.converged
        assert oracles.relative(solution.vectors[:, i], expected[:, i]) < 1e-2


def test_conjugate_gradients_name_a_direction_of_negative_curvature() -> None:
    curvature = spread(torch.tensor([-0.5, 0.2, 1.0, 3.0]))
    with pytest.raises(CurvatureError, match=r"direction of curvature -0\.\d+, so damping 0\.1 .* at least"):
        CGSolver(0.1, 1e-3).solve(curvature, torch.randn(4, 2))
    assert CGSolver(0.6, 1e-3).solve(curvature, torch.randn(4, 2)).reports[0].converged


def test_rounding_is_not_taken_for_negative_curvature() -> None:
    """Ten orders of magnitude, as features without a common scale have: float32 keeps seven."""
    for seed in range(8):
        torch.manual_seed(seed)
        curvature = spread(torch.cat([torch.zeros(30), torch.logspace(0, 9, 10)]))
        single = Dense(curvature.parts.float())
        solution = CGSolver(1e-2, 1e-3).solve(single, torch.randn(40, 3).float())
        left = solution.reports
        assert all(report.converged or report.advice for report in left)
        assert all(report.residual == report.residual for report in left)


def test_a_tolerance_that_float32_cannot_meet_is_refused_or_reported() -> None:
    curvature = spread(torch.logspace(-6, 2, 30))
    columns = torch.randn(30, 2).float()
    with pytest.raises(MethodError, match=r"in float32 a residual means something from 1e-05"):
        CGSolver(1e-6, 1e-9).solve(curvature, columns)
    for wrong in (0.0, -1.0, 1.0, float("nan"), float("inf")):
        with pytest.raises(MethodError, match="Tolerance is"):
            CGSolver(1e-6, wrong).solve(curvature, columns)
    solution = CGSolver(1e-6, 1e-5).solve(curvature, columns)  # conditioned far beyond float32
    left = columns.double() - curvature.matvec(solution.vectors.double()) - 1e-6 * solution.vectors.double()
    for report, true in zip(solution.reports, (left.norm(dim=0) / columns.double().norm(dim=0)).tolist(), strict=True):
        assert report.residual == pytest.approx(true, rel=0.5)
        assert report.converged or report.advice


def test_conjugate_gradients_take_over_from_an_estimate() -> None:
    curvature = noisy()
    columns = torch.randn(12, 3)
    first = lissa(curvature, passes=8).solve(curvature, columns)
    assert not any(r.converged for r in first.reports)
    finished = with_first(CGSolver(0.1, 1e-6).solve(curvature, columns, start=first.vectors), first)
    assert oracles.relative(finished.vectors, solved(curvature, 0.1, columns)) < 1e-5
    report = finished.reports[0]
    assert [leg.solver for leg in report.legs] == ["lissa", "cg"]
    assert report.sentence.startswith("LiSSA reached")
    assert "finished by conjugate gradients" in report.sentence
    assert [step for step, _ in report.trace] == sorted(step for step, _ in report.trace)


def test_a_column_of_zeros_is_solved_by_zero() -> None:
    curvature = noisy()
    columns = torch.cat([torch.zeros(12, 1), torch.randn(12, 1)], dim=1)
    for solver in (lissa(curvature), CGSolver(0.1, 1e-6)):
        solution = solver.solve(curvature, columns)
        assert (solution.vectors[:, 0] == 0).all()
        assert all(r.converged for r in solution.reports)


def test_a_tick_that_raises_stops_the_solve() -> None:
    curvature = noisy()

    def stop(done: int, total: int) -> None:
        if done > total // 100:
            raise KeyboardInterrupt

    for solver in (lissa(curvature), CGSolver(0.1, 1e-9)):
        with pytest.raises(KeyboardInterrupt):
            solver.solve(curvature, torch.randn(12, 2), stop)


def test_mini_batches_are_drawn_by_seed_and_cover_every_row_once_a_pass() -> None:
    first, again, other = (batches(10, 4, seed) for seed in (3, 3, 4))
    drawn = [next(first) for _ in range(6)]
    assert drawn == [next(again) for _ in range(6)]
    assert drawn != [next(other) for _ in range(6)]
    passes = [[row for ids in drawn[start : start + 3] for row in ids or []] for start in (0, 3)]
    assert [sorted(rows) for rows in passes] == [list(range(10))] * 2
    assert next(batches(10, 10, 0)) is None  # all rows: nothing is drawn


def test_reports_survive_a_file() -> None:
    curvature = noisy()
    columns = torch.randn(12, 3)
    first = lissa(curvature, passes=8).solve(curvature, columns)
    finished = with_first(CGSolver(0.1, 1e-6).solve(curvature, columns, start=first.vectors), first)
    reports = (*first.reports, *finished.reports)
    kept = to_tensors(reports)
    assert tuple(from_tensors(*(kept[name][i] for name in ("legs", "trace", "tolerance"))) for i in range(6)) == reports


def test_lanczos_finds_both_ends() -> None:
    values = 10 ** torch.linspace(-2, 2, 100)
    found = ends(spread(values).matvec, torch.empty(100))
    assert found.largest == pytest.approx(100, rel=1e-6)
    assert found.lowest == pytest.approx(0.01, abs=0.1)
    indefinite = torch.cat([torch.tensor([-0.7]), torch.rand(79) * 5])
    found = ends(spread(indefinite).matvec, torch.empty(80))
    assert found.lowest == pytest.approx(-0.7, rel=1e-3)


@pytest.mark.parametrize("lowest", [-0.1, -0.5])
def test_lanczos_finds_a_low_end_that_is_small_beside_the_largest(lowest: float) -> None:
    values = torch.cat([torch.tensor([lowest]), torch.rand(400) * 0.5, torch.logspace(-1, 3, 99)])
    found = ends(spread(values).matvec, torch.empty(500), lowest=1e-3)
    assert found.lowest == pytest.approx(lowest, abs=1e-3)
    assert found.largest == pytest.approx(1000, rel=1e-3)
    assert ends(spread(values).matvec, torch.empty(500), lowest=None).steps <= 30  # the largest alone is quick


def test_a_product_that_is_not_a_number_is_named() -> None:
    with pytest.raises(CurvatureError, match=r"product with the curvature holds NaN .*square root"):
        ends(lambda v: v * torch.nan, torch.empty(10))


def test_what_an_unsolved_answer_advises_would_do() -> None:
    curvature = noisy()
    for steps in (3, 4, 5, 6):
        report = CGSolver(0.1, 1e-9, steps=steps).solve(curvature, torch.randn(12, 1)).reports[0]
        advised = re.search(r"a tolerance of ([\d.e-]+),? ?", report.advice)
        assert (advised is None) == (report.residual >= 0.1)
        if advised is not None:
            assert report.residual <= float(advised[1].rstrip("."))


def test_lanczos_survives_a_space_that_ends_early() -> None:
    found = ends(lambda v: 3 * v, torch.empty(50))
    assert (found.steps, found.lowest, found.largest) == (1, pytest.approx(3), pytest.approx(3))
    low_rank = spread(torch.cat([torch.zeros(47), torch.tensor([1.0, 2.0, 3.0])]))
    found = ends(low_rank.matvec, torch.empty(50))
    assert found.steps <= 10
    assert (found.lowest, found.largest) == (pytest.approx(0, abs=1e-9), pytest.approx(3))
