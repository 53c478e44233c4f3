"""Runs whose scores would be too many to keep: computed from rows and inverse, or kept in 16 bits; the numbers stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from influence_core.errors import NotSolvedError
from influence_core.methods import ConjugateGradients, Exact, exact
from influence_core.project import Project
from influence_core.solvers.cholesky import Cholesky
from influence_core.solvers.inverse import PANEL, InverseFactor, inverse_of
from influence_core.store import Run, Workspace, build, shards
from influence_core.store.tensors import read_tensors
from influence_core.target import Target
from tests import oracles
from tests.influence_core import samples

SPLIT = 60  # digits test rows, so that a build is quick


@pytest.fixture(scope="session")
def few_tests(digits: Project) -> Project:
    test = [digits.test[i] for i in range(SPLIT)]
    return replace(digits, test=test, test_keys=digits.test_keys[:SPLIT], view=None, test_first=())


@pytest.fixture(scope="session")
def truth(few_tests: Project) -> torch.Tensor:
    return Exact().fit(few_tests).scores(range(SPLIT)).values


@pytest.fixture(scope="session")
def computed(few_tests: Project, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that keeps rows and inverse, as one of 60,000 rows does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "INVERTED", 1)
        patch.setattr(shards, "SMALL", 0)
        return build(few_tests, tmp_path_factory.mktemp("many") / "w").run()


def test_such_a_run_keeps_no_scores_and_half_an_inverse(computed: Run) -> None:
    kept = [read_tensors(path) for path in computed.folder.glob("scores-*.safetensors")]
    assert kept
    assert not any("scores" in tensors for tensors in kept)
    inverse = read_tensors(computed.folder / "inverse.safetensors")
    assert inverse["inverse/000"].dtype is torch.float32
    assert float(inverse["inverse_residual"]) < 1e-3
    assert computed.report.residual == pytest.approx(float(inverse["inverse_residual"]))


def test_its_scores_are_those_of_the_factor(computed: Run, truth: torch.Tensor) -> None:
    assert oracles.relative(torch.from_numpy(computed.rows(0, SPLIT)), truth) < 1e-4
    assert oracles.relative(computed.scores(17).of(17), truth[17]) < 1e-4
    found = computed.strongest(17, 20)
    assert found.largest.ids.tolist() == truth[17].argsort(descending=True)[:20].tolist()
    assert found.smallest.ids.tolist() == truth[17].argsort()[:20].tolist()
    assert int(found.counts.sum()) == truth.shape[1]


def test_the_other_way_it_finds_what_a_training_example_helps(computed: Run, truth: torch.Tensor) -> None:
    ids, column = computed.influenced(5)
    assert sorted(ids.tolist()) == list(range(SPLIT))
    assert oracles.relative(torch.from_numpy(column), truth[ids.tolist(), 5]) < 1e-4


@pytest.mark.parametrize("damping", [None, 0.01])
def test_it_answers_any_target_and_damping(few_tests: Project, computed: Run, damping: float | None) -> None:
    target = Target("margin", "predicted")
    live = Exact(damping or 0.0).fit(few_tests).scores([3], target)
    assert oracles.relative(computed.scores(3, target, damping).values, live.values) < 1e-4
    strongest = computed.strongest(3, 5, target)
    undamped = Exact().fit(few_tests).scores([3], target).of(3)
    assert strongest.largest.ids.tolist() == undamped.argsort(descending=True)[:5].tolist()


def test_it_is_checked_by_refits_as_any_other(few_tests: Project, computed: Run, tmp_path: Path) -> None:
    plain = build(few_tests, tmp_path / "w").run()
    assert plain.check is not None
    assert computed.check is not None
    assert computed.check.slope == pytest.approx(plain.check.slope, rel=1e-4)


def test_what_was_not_built_is_not_solved(few_tests: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "INVERTED", 1)
    monkeypatch.setattr(shards, "SMALL", 0)
    run = build(few_tests, tmp_path / "w", test_limit=5).run()
    unsolved = next(i for i in range(SPLIT) if i not in set(run.solved.tolist()))
    with pytest.raises(NotSolvedError, match="5 of 60 are"):
        run.strongest(unsolved, 20)
    assert np.isnan(run.rows(unsolved, unsolved + 1)).all()
    assert len(run.influenced(0)[1]) == 5


def test_an_inverse_that_is_not_accurate_is_not_used(few_tests: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "INVERTED", 1)
    assert isinstance(Exact().fit(few_tests).factor, InverseFactor)
    monkeypatch.setattr(exact, "ACCURACY", 1e-12)  # float32 never has it
    fitted = Exact().fit(few_tests)
    assert not isinstance(fitted.factor, InverseFactor)
    assert fitted.scores([3]).residual < 1e-10


def test_half_an_inverse_solves_as_the_whole_one_does() -> None:
    p = 2 * PANEL + 37
    root = torch.randn(p, 2 * p, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / (2 * p) ** 0.5
    matrix = root @ root.mT + 0.1 * torch.eye(p, dtype=torch.float64)
    columns = torch.randn(p, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    made = inverse_of(Cholesky(0.5).factorise(matrix), matrix, columns)
    expected = torch.linalg.solve(matrix + 0.5 * torch.eye(p, dtype=torch.float64), columns)
    assert oracles.relative(made.solve(columns), expected) < 1e-5
    assert 1e-8 < made.residual < 1e-5
    assert sum(panel.numel() for panel in made.panels) < 0.75 * p * p


def test_large_scores_are_kept_in_16_bits_and_the_strongest_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, method = samples.sample("mlp"), ConjugateGradients(damping=0.5, tolerance=1e-4)
    plain = build(project, tmp_path / "plain", method).run()
    monkeypatch.setattr(shards, "SMALL", 0)
    monkeypatch.setattr(shards, "STRONGEST", 3)
    lean = build(project, tmp_path / "lean", method).run()
    for test_id in plain.solved.tolist():
        full, kept = plain.scores(test_id).of(test_id), lean.scores(test_id).of(test_id)
        strongest = torch.cat([full.topk(3).indices, (-full).topk(3).indices])
        assert torch.equal(kept[strongest], full[strongest])
        assert 0 < oracles.relative(kept, full) < 1e-2
        assert np.array_equal(lean.rows(test_id, test_id + 1)[0], kept.numpy())
        assert lean.strongest(test_id, 3).largest.ids.tolist() == full.argsort(descending=True)[:3].tolist()
    for train_id in range(plain.n_train):
        column = [float(lean.scores(test_id).of(test_id)[train_id]) for test_id in lean.solved.tolist()]
        assert lean.influenced(train_id)[1].tolist() == column
    assert Workspace(tmp_path / "lean").run().check == plain.check
