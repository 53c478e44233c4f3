"""How much of a ranking hangs on the damping: counted by hand from the scores themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from influence_core.errors import MethodError
from influence_core.methods import Arnoldi, ConjugateGradients, Exact
from influence_core.store import build
from influence_core.store.sweep import sweep
from influence_core.target import Target
from tests.influence_core import samples

ARNOLDI = Arnoldi(0.05, krylov=39, kept=12, precision="float64")


@pytest.mark.parametrize("method", [Exact(0.05, "gauss-newton"), ARNOLDI], ids=["exact", "arnoldi"])
@pytest.mark.parametrize("target", [Target(), Target("margin")])
def test_points_are_what_the_scores_say(tmp_path: Path, method: Exact | Arnoldi, target: Target) -> None:
    project = samples.sample("mlp")
    run = build(project, tmp_path / "w", method).run()
    found = sweep(run, 3, target)
    own = method.fit(project).scores([3], target).of(3).numpy()
    assert [point.damping for point in found.points] == pytest.approx([0.005, 0.5])
    for point in found.points:
        there = (
            type(method)(**{**vars(method), "damping": point.damping}).fit(project).scores([3], target).of(3).numpy()
        )
        strongest = [set(np.argsort(-np.abs(values))[:20].tolist()) for values in (own, there)]
        assert (point.common, point.of) == (len(strongest[0] & strongest[1]), 20)
        assert point.spearman == pytest.approx(stats.spearmanr(own, there).statistic, abs=1e-3)
        assert f"{point.common} stay at {point.damping:.2g}" in found.sentence
    assert found.sentence.startswith("Of the 20 largest scores (damping 0.05), ")


def test_a_run_without_damping_is_compared_with_a_share_of_the_mean_eigenvalue(tmp_path: Path) -> None:
    project = samples.sample("regression")
    run = build(project, tmp_path / "w", Exact()).run()
    mean = float(Exact().fit(project).curvature.diagonal().mean())
    assert run.mean_eigenvalue == pytest.approx(mean, rel=1e-6)
    assert [point.damping for point in sweep(run, 0).points] == pytest.approx([0.01 * mean, 0.1 * mean, mean])


def test_arnoldi_tells_the_mean_of_the_whole_curvature(tmp_path: Path) -> None:
    project = samples.sample("mlp")
    run = build(project, tmp_path / "w", ARNOLDI).run()
    mean = float(Exact(0.05, "gauss-newton").fit(project).curvature.diagonal().mean())
    assert run.mean_eigenvalue == pytest.approx(
        mean, rel=0.15
    )  # of twelve directions alone it would be three times that


def test_a_damping_that_is_refused_is_said(tmp_path: Path) -> None:
    """The Hessian's lowest eigenvalue is -7.8: damping 20 does, a tenth of it does not."""
    run = build(samples.sample("attention"), tmp_path / "w", Exact(20.0)).run()
    less, more = sweep(run, 0).points
    assert "leaves it indefinite" in less.refused
    assert more.refused == ""
    assert "damping 2 is refused" in sweep(run, 0).sentence


def test_a_run_that_solves_one_by_one_is_refused(tmp_path: Path) -> None:
    run = build(samples.sample("mlp"), tmp_path / "w", ConjugateGradients(0.5), test_limit=1).run()
    with pytest.raises(MethodError, match="A run of cg answers under its own damping alone"):
        sweep(run, int(run.solved[0]))
