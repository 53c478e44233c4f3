"""Arnoldi: its eigenpairs against known ones, the exact answer where it must be, and what it says it leaves out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from influence_core import memory
from influence_core.errors import CurvatureError, MethodError
from influence_core.evaluation.agreement import pearson_and_slope
from influence_core.methods import Arnoldi, Exact
from influence_core.methods import arnoldi as arnoldi_module
from influence_core.project import Project
from influence_core.solvers.arnoldi import EigenPairs, eigenpairs
from influence_core.store import OnDemand, Workspace, build
from influence_core.target import Target
from influence_core.task import ClassificationTask
from tests import oracles
from tests.influence_core import samples

DAMPING = 0.5
ALL = Arnoldi(DAMPING, krylov=10_000, kept=10_000, precision="float64")  # every direction of any sample
TARGETS = (Target("margin", "true"), Target("logit", 2), Target("loss", "predicted"))


# --- the solver ---------------------------------------------------------------------------------------------------


def drawing(p: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Callable[[], Tensor]:
    """Random vectors, one a call."""
    drawn = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(p, dtype=dtype, generator=drawn)


def with_values(values: Tensor) -> Tensor:
    """A symmetric matrix with these eigenvalues in a random basis."""
    basis, _ = torch.linalg.qr(torch.randn(len(values), len(values)))
    return basis * values @ basis.mT


def found_in(matrix: Tensor, kept: int, steps: int) -> EigenPairs:
    """Of a dense matrix, and orthonormal."""
    pairs = eigenpairs(lambda v: matrix @ v, drawing(len(matrix), matrix.dtype), kept, steps)
    gram, rounding = pairs.vectors.mT @ pairs.vectors, 100 * torch.finfo(matrix.dtype).eps
    assert float((gram - torch.eye(pairs.vectors.shape[1], dtype=matrix.dtype)).abs().max()) < rounding
    return pairs


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_the_top_ten_of_four_decades_are_found_in_fifty_steps(dtype: torch.dtype, error: float) -> None:
    values = 10 ** torch.linspace(-2, 2, 100)
    matrix = with_values(values)
    pairs = found_in(matrix.to(dtype), 10, 50)
    largest = values.flip(0)[:10]
    assert float((pairs.values / largest - 1).abs().max()) < error
    assert oracles.relative(matrix @ pairs.vectors.double(), pairs.vectors.double() * largest) < 10 * error
    assert pairs.steps == 50


def test_errors_bound_how_far_the_values_are_off() -> None:
    values = 10 ** torch.linspace(-2, 2, 100)
    matrix = with_values(values)
    pairs = found_in(matrix, 20, 24)  # too few steps for all of them
    missed = (matrix @ pairs.vectors - pairs.vectors * pairs.values).norm(dim=0)
    assert torch.allclose(missed, pairs.errors, atol=1e-10)
    nearest = (pairs.values[:, None] - values).abs().min(dim=1).values
    assert bool((nearest <= pairs.errors + 1e-10).all())
    assert float(pairs.errors.max()) > 0.1


@pytest.mark.parametrize("steps", [11, 30, 100])
def test_a_krylov_space_that_ends_early_is_gone_on_with(steps: int) -> None:
    """Eleven different eigenvalues end it after eleven steps; ninety directions share one of them."""
    values = torch.cat([torch.full((90,), 0.01), torch.arange(1.0, 11.0)])
    pairs = found_in(with_values(values), 30, steps)
    assert len(pairs.values) == min(30, steps)
    assert torch.allclose(pairs.values, values.flip(0).sort(descending=True).values[: len(pairs.values)], atol=1e-10)


def test_an_operator_that_is_zero_has_pairs_of_zero() -> None:
    pairs = found_in(torch.zeros(5, 5), 3, 5)
    assert pairs.values.tolist() == [0, 0, 0]


def test_all_directions_are_the_whole_operator_and_its_mean() -> None:
    values = torch.linspace(-3, 5, 40)
    matrix = with_values(values)
    pairs = found_in(matrix, 40, 40)
    assert oracles.relative(pairs.vectors * pairs.values @ pairs.vectors.mT, matrix) < 1e-12
    assert pairs.mean == pytest.approx(float(values.mean()), abs=1e-12)
    assert pairs.lowest == pytest.approx(-3)


def test_the_mean_eigenvalue_is_close_without_knowing_the_rest() -> None:
    """The largest are known, and of the rest one random vector is enough where none of them dominates."""
    values = torch.cat([torch.linspace(0.01, 0.1, 990), torch.linspace(10, 100, 10)])
    assert found_in(with_values(values), 10, 60).mean == pytest.approx(float(values.mean()), rel=0.01)


# --- the method ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", samples.NAMES)
def test_with_all_directions_it_is_the_exact_answer(name: str) -> None:
    project = samples.sample(name)
    fitted, exact = ALL.fit(project), Exact(DAMPING, "gauss-newton").fit(project)
    found, expected = fitted.scores(range(6)), exact.scores(range(6))
    assert oracles.relative(found.values, expected.values) < 1e-8
    assert oracles.relative(fitted.self_influence(), exact.self_influence()) < 1e-8
    assert (found.unit, found.damping, found.target) == (expected.unit, DAMPING, expected.target)
    assert found.outside == pytest.approx(0, abs=1e-12)


def test_with_all_directions_it_is_the_oracles_answer() -> None:
    project = samples.sample("convolved")
    expected = oracles.damped_gauss_newton_scores(project, DAMPING, range(6))
    assert oracles.relative(ALL.fit(project).scores(range(6)).values, expected) < 1e-8


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["mlp", "attention"])
def test_any_target_on_the_hessian(name: str, target: Target) -> None:
    project = samples.sample(name)
    method = replace(ALL, damping=50.0, curvature="hessian")
    exact = Exact(50.0).fit(project).scores([1, 4], target).values
    assert oracles.relative(method.fit(project).scores([1, 4], target).values, exact) < 1e-8


def test_what_is_kept_is_exact_and_what_is_outside_is_measured() -> None:
    """Against a dense computation: the curvature's own eigenvectors, and gradients projected on them."""
    project = samples.sample("mlp")
    exact = Exact(DAMPING, "gauss-newton").fit(project)
    values, vectors = torch.linalg.eigh(exact.curvature)
    top, largest = vectors[:, -7:], values[-7:]
    gradients = exact.tests.gradients(range(6), Target())
    rows = exact.rows.dense(0, 30)
    expected = (gradients.mT @ top / (largest + DAMPING)) @ (top.mT @ rows.mT) / 30
    fitted = replace(ALL, kept=7).fit(project)
    found = fitted.scores(range(6))
    assert oracles.relative(found.values, expected) < 1e-8
    lost = 1 - (top.mT @ gradients).square().sum(dim=0) / gradients.square().sum(dim=0)
    assert torch.allclose(fitted.tests.outside(range(6), Target()), lost, atol=1e-10)
    assert found.outside == pytest.approx(float(lost.max()), abs=1e-10)
    stored = fitted.tests.read(range(6)).outside(project.task, Target())
    assert stored is not None
    assert torch.allclose(stored, lost, atol=1e-10)


def test_the_more_directions_the_closer_and_the_less_is_outside() -> None:
    project = samples.sample("attention")
    exact = Exact(DAMPING, "gauss-newton").fit(project).scores(range(6)).values
    found = [replace(ALL, kept=kept).fit(project).scores(range(6)) for kept in (4, 12, 36)]
    errors = [oracles.relative(one.values, exact) for one in found]
    outside = [one.outside for one in found]
    assert errors == sorted(errors, reverse=True)
    assert outside == sorted(outside, reverse=True)


def test_a_third_of_the_directions_hold_most_of_a_convex_problem(digits: Project) -> None:
    """The demo's softmax regression, 650 parameters; its exact scores under the damping that Arnoldi chose."""
    fitted = Arnoldi(krylov=400, kept=200).fit(digits)
    found = fitted.scores(range(40))
    exact = Exact(fitted.factor.damping).fit(digits).scores(range(40)).values
    pearson, slope = pearson_and_slope(found.values.double().flatten(), exact.flatten())
    assert pearson > 0.97
    assert slope == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", ["mlp", "convolved", "attention"])
def test_order_blocks_and_companions_change_nothing(name: str) -> None:
    project, order = samples.sample(name), torch.randperm(30).tolist()
    method = replace(ALL, kept=5)
    plain = method.fit(project).scores(range(6)).values
    shuffled = replace(project, train=[project.train[i] for i in order])
    assert oracles.relative(method.fit(shuffled).scores(range(6)).values, plain[:, order]) < 1e-10
    in_parts = replace(method, rows=7).fit(project)
    assert oracles.relative(torch.cat([in_parts.scores([i]).values for i in range(6)]), plain) < 1e-10


@pytest.mark.parametrize("name", ["mlp", "convolved"])
def test_float32_changes_late_digits_only(name: str) -> None:
    project = samples.sample(name)
    plain = ALL.fit(project).scores(range(6)).values
    single = replace(ALL, precision="float32").fit(project).scores(range(6)).values
    assert oracles.relative(single.double(), plain) < 1e-4


def test_the_same_seed_is_the_same_answer() -> None:
    project, method = samples.sample("mlp"), Arnoldi(DAMPING, krylov=12, kept=6, precision="float64")
    first, again, other = (one.fit(project).scores([0]).values for one in (method, method, replace(method, seed=1)))
    assert torch.equal(first, again)
    assert oracles.relative(other, first) > 1e-6  # too few steps for the start vector not to matter


def test_another_damping_and_target_are_answered_from_the_folder(tmp_path: Path) -> None:
    project = samples.sample("convolved")
    run = build(project, tmp_path / "w", replace(ALL, kept=9)).run()
    for damping in (DAMPING, 0.7):
        live = replace(ALL, damping=damping, kept=9).fit(project)
        for target in (Target(), *TARGETS):
            stored, expected = run.scores(2, target, damping), live.scores([2], target)
            assert oracles.relative(stored.values, expected.values) < 1e-5
            assert stored.outside == pytest.approx(expected.outside, abs=1e-5)
    assert run.report.facts == ("9 of 34 directions kept",)
    stored_self = run.self_influence()
    assert stored_self is not None
    assert oracles.relative(torch.from_numpy(stored_self), replace(ALL, kept=9).fit(project).self_influence()) < 1e-5


def test_a_prediction_that_was_not_built_is_added_on_demand(tmp_path: Path) -> None:
    project = samples.sample("mlp")
    run = build(project, tmp_path / "w", replace(ALL, kept=9), test_limit=2).run()
    missing = next(i for i in range(6) if i not in run.solved)
    OnDemand(run, project).solve(missing, run.target)
    found = Workspace(tmp_path / "w").run().scores(missing, Target("margin"))
    live = replace(ALL, kept=9).fit(project).scores([missing], Target("margin"))
    assert oracles.relative(found.values, live.values) < 1e-5


def test_directions_beyond_what_the_data_span_are_counted() -> None:
    """Three classes and 4 rows: the Gauss-Newton data term has rank 8 at most, the gradients rank 4."""
    project = samples.sample("mlp")
    few = replace(project, train=project.train[:4])
    (said,) = replace(ALL, kept=20).fit(few).facts
    assert said == "20 of 39 directions kept, 8 of which training gradients have a part in"


def test_an_indefinite_hessian_is_refused_with_the_damping_that_would_do() -> None:
    project = samples.sample("attention")
    lowest = float(torch.linalg.eigvalsh(Exact(50.0).fit(project).curvature)[0])
    assert lowest < -1
    hessian = replace(ALL, curvature="hessian")
    with pytest.raises(CurvatureError, match=rf"lowest eigenvalue is {lowest:.3g}, .*or the Gauss-Newton curvature\."):
        hessian.fit(project)
    kept = replace(hessian, kept=10).fit(project)  # the negative ones are left out, as the share outside says
    assert kept.factor.lowest_eigenvalue > 0
    assert 0 < (kept.scores([0]).outside or 0) < 1
    assert kept.facts[1:] == (f"directions of negative curvature, down to {lowest:.2g}, left out",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kept": 0}, "kept is 0"),
        ({"krylov": 0, "kept": 1}, "krylov is 0"),
        ({"krylov": 5, "kept": 6}, "5 products find no 6 directions"),
        ({"curvature": "fisher"}, "has no curvature 'fisher'"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(MethodError, match=words):
        replace(ALL, **changes).fit(samples.sample("mlp"))


def test_a_basis_that_does_not_fit_is_refused_with_the_number_that_would(monkeypatch: pytest.MonkeyPatch) -> None:
    project = samples.sample("mlp")
    needed = 2 * 200 * 39 * 4
    monkeypatch.setattr(memory, "free_bytes", lambda _: needed)
    monkeypatch.setattr(arnoldi_module, "check_memory", lambda *_: None)
    with pytest.raises(MethodError, match=r"200 directions of 39 parameters .*use --set krylov=160"):
        Arnoldi().fit(project)
    Arnoldi(krylov=160).fit(project)


def test_recurrent_layers_are_refused_with_the_method_that_serves_them() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.GRU(5, 4, batch_first=True)
            self.out = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            hidden: Tensor = self.mix(x)[0]
            result: Tensor = self.out(hidden[:, -1])
            return result

    rows = samples.rows(8, (2, 5))
    with pytest.raises(MethodError, match=r"lacks a derivative .*use the method cg"):
        Arnoldi().fit(Project("recurrent", Recurrent().eval(), ClassificationTask(3), rows, rows[:2]))
