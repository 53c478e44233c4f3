"""What holds for every method in METHODS: a new one is tested here as soon as it has its line there."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from influence_core import predictions
from influence_core.curvature import dense
from influence_core.errors import ProjectError, TargetError, UnknownNameError
from influence_core.methods import METHODS, baseline, directions, exact
from influence_core.project import Project
from influence_core.store import build
from influence_core.target import Target
from tests import oracles
from tests.influence_core import every_method, samples
from tests.influence_core.every_method import (
    FIRST_ORDER,
    NOT_ABOUT_THE_ROW,
    NOT_LINEAR,
    RANGE,
    SAMPLED,
    WITHOUT_A_SOLVE_FOR_EACH,
    error_of,
    has,
    precise,
    project_of,
    scores_of,
)

EVERY = pytest.mark.parametrize("name", METHODS)
OF_ROWS = pytest.mark.parametrize("name", [name for name in METHODS if name not in NOT_ABOUT_THE_ROW])


@OF_ROWS
def test_permuting_the_training_data_permutes_the_scores(name: str) -> None:
    project, method = project_of(), precise(name)
    order = torch.randperm(30).tolist()
    shuffled = replace(project, train=[project.train[i] for i in order])
    plain = scores_of(method, project)
    assert oracles.relative(scores_of(method, shuffled), plain[:, order]) < error_of(name)


@OF_ROWS
def test_a_duplicate_row_gets_the_same_score(name: str) -> None:
    project = project_of()
    doubled = replace(project, train=[*project.train, project.train[4]])
    scores = scores_of(precise(name), doubled)
    assert oracles.relative(scores[:, 4], scores[:, 30]) < 1e-10


@pytest.mark.parametrize("precision", ["float64", "float32"])
@EVERY
def test_rows_in_memory_blocks_and_companions_change_nothing(
    name: str, precision: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, method = project_of("convolved"), precise(name)
    if has(name, "precision"):
        method = replace(method, precision=precision)
    if has(name, "tolerance"):
        method = replace(method, tolerance=1e-2)  # half-way answers are the same too
    plain = method.fit(project)
    expected, own = plain.scores([0, 4]).values, plain.self_influence()
    for module, constant, value in (
        (dense, "ROWS", 7), (dense, "COLUMNS", 3), (predictions, "BATCH", 4), (exact, "ROWS", 11),
        (directions, "BLOCK_BYTES", 4 * 8 * 40), (baseline, "PRODUCTS", 9),
    ):  # fmt: skip
        monkeypatch.setattr(module, constant, value)
    parts = (replace(method, rows=7) if has(name, "rows") else method).fit(project)
    error = 1e-5 if precision == "float32" else 1e-6 if name in every_method.IN_FLOAT32 else 1e-10
    assert oracles.relative(torch.cat([parts.scores([i]).values for i in (0, 4)]), expected) < error
    assert (own is None) == (parts.self_influence() is None)
    if own is not None:
        assert oracles.relative(parts.self_influence(), own) < error


@pytest.fixture
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_one_thread")
@EVERY
def test_the_number_of_threads_changes_nothing(name: str) -> None:
    method = replace(precise(name), tolerance=1e-2) if has(name, "tolerance") else precise(name)
    single = scores_of(method, project_of("convolved"), [4])
    torch.set_num_threads(2)
    assert oracles.relative(scores_of(method, project_of("convolved"), [4]), single) < 1e-10


@pytest.mark.parametrize("name", [name for name in METHODS if name not in NOT_LINEAR])
def test_scores_are_linear_in_the_measurement(name: str) -> None:
    """Two classes' losses differ by their logits, whatever the parameters: the normaliser cancels."""
    fitted = precise(name).fit(project_of())
    losses, logits = ([fitted.scores(RANGE, Target(m, c)).values for c in (0, 2)] for m in ("loss", "logit"))
    assert oracles.relative(losses[0] - losses[1], logits[0] - logits[1]) < 10 * error_of(name, 1e-9)


@EVERY
def test_the_same_seed_gives_the_same_numbers_and_another_only_to_methods_that_sample(name: str) -> None:
    project, method = project_of(), precise(name)
    plain = scores_of(method, project)
    assert torch.equal(scores_of(method, project), plain)
    if has(name, "seed"):
        other = oracles.relative(scores_of(replace(method, seed=7), project), plain)
        assert other > 0.1 if name == "random" else other < error_of(name, 1e-8)
        assert name not in SAMPLED or other > 1e-12


@pytest.mark.parametrize("name", [name for name in METHODS if has(name, "damping")])
def test_damping_is_added_once_and_as_written(name: str) -> None:
    """Under a damping far above every eigenvalue a score is the product of the gradients over that damping."""
    project = project_of()
    fitted = precise(name).fit(project)
    first = fitted.scores(RANGE).values
    assert torch.equal(fitted.scores(RANGE).values, first)
    for damping in (1.0, 1e7):
        found = precise(name, damping=damping).fit(project).scores(RANGE)
        assert found.damping == damping
        assert oracles.relative(found.values, first) > 0.1
    products = scores_of(precise("grad-dot"), project)
    assert oracles.relative(damping * found.values, products) < 1e-5


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_without_approximation_all_are_the_dense_solve_in_value_and_sign(name: str) -> None:
    """On a linear model with squared error every curvature is the Hessian: 2 x x^T and the penalty."""
    project = samples.sample("regression")
    x, y = (torch.stack([torch.as_tensor(row[i]) for row in project.train]) for i in (0, 1))
    t, z = (torch.stack([torch.as_tensor(row[i]) for row in project.test]) for i in (0, 1))
    x, t = (torch.cat([rows, torch.ones(len(rows), 1)], dim=1) for rows in (x, t))
    theta = torch.cat([p.detach().flatten() for p in project.model.parameters()])
    curvature = 2 / 30 * x.mT @ x + (0.1 + every_method.DAMPING) * torch.eye(6)
    slopes, asked = 2 * (x @ theta - y)[:, None] * x, 2 * (t @ theta - z)[:, None] * t
    expected = asked @ torch.linalg.solve(curvature, slopes.mT) / 30
    found = precise(name).fit(project).scores(RANGE)
    assert found.converged
    assert found.unit == "squared label units"
    assert oracles.relative(found.values, expected) < error_of(name, 1e-9)
    slope = float((found.values * expected).sum() / found.values.square().sum())
    assert slope == pytest.approx(1, abs=error_of(name, 1e-9))


@EVERY
def test_self_influence_is_the_score_of_an_example_on_itself(name: str) -> None:
    project = project_of()
    own = precise(name).fit(project).self_influence()
    if own is None:
        assert not METHODS[name].is_estimate
        return
    by = "ekfac" if name in WITHOUT_A_SOLVE_FOR_EACH else name
    themselves = replace(project, test=project.train)
    scores = precise(by).fit(themselves).scores(range(30)).values.diagonal()
    assert oracles.relative(own, scores) < 1e-9
    assert bool((own > 0).all())


class Fragile(nn.Module):
    """Raises in the middle of a pass, as a bug or Ctrl-C would; all its copies count together."""

    def __init__(self, error: type[BaseException] | None, after: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(5)
        self.out = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
        self.error, self.left = error, [after]
        self.out[0].weight.requires_grad_(False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Fragile:
        twin = Fragile(self.error, 0)
        twin.left = self.left
        twin.load_state_dict(copy.deepcopy(self.state_dict(), memo))
        for mine, theirs in zip(self.parameters(), twin.parameters(), strict=True):
            theirs.requires_grad_(mine.requires_grad)
        return twin.train(self.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left[0] -= 1
        if self.error is not None and self.left[0] < 0:
            msg = "in the middle"
            raise self.error(msg)
        return self.out(self.norm(x))


@EVERY
def test_the_users_model_is_never_modified(name: str) -> None:
    """Nor after an error or Ctrl-C at the first, at some and at the last of all calls of the model."""
    called = 10_000 - _left_alone(name, None, 10_000)
    assert called > 5
    for error, after in ((ValueError, 0), (KeyboardInterrupt, called // 2), (ValueError, called - 1)):
        assert _left_alone(name, error, after) < 0, after


def _left_alone(name: str, error: type[BaseException] | None, after: int) -> int:
    """Fit and score, see that the model is as before; how many calls were left of ``after``."""
    torch.manual_seed(1)
    model = Fragile(error, after).eval()
    calls: list[int] = []
    model.out.register_forward_hook(lambda *_: calls.append(1))
    project = Project("fragile", model, samples.sample("mlp").task, samples.rows(12), samples.rows(3))
    model.error = None
    project = every_method.with_checkpoints(project)
    model.error = error
    model.left[0] = after
    before = _snapshot(model)
    method = replace(precise(name), passes=20) if has(name, "passes") else precise(name)
    try:
        method.fit(project).scores(range(3))
    except BaseException as caught:
        if error is None:
            raise caught from None
    assert _same(before, _snapshot(model))
    assert not calls
    return model.left[0]


def _snapshot(model: nn.Module) -> dict[str, Any]:
    return {
        "state": copy.deepcopy(model.state_dict()),
        "identity": [id(p) for p in model.parameters()] + [id(b) for b in model.buffers()],
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "grad": [p.grad is None for p in model.parameters()],
        "mode": [m.training for m in model.modules()],
        "hooks": [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()],
        "types": [type(m) for m in model.modules()],
    }


def _same(before: dict[str, Any], after: dict[str, Any]) -> bool:
    states = before.pop("state"), after.pop("state")
    return before == after and all(torch.equal(states[0][name], states[1][name]) for name in states[0])


# --- bad input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "test"])
@EVERY
def test_a_row_that_is_no_number_is_refused_by_its_number(name: str, split: str, tmp_path: Any) -> None:
    project = project_of()
    rows = [*(project.train if split == "train" else project.test)]
    rows[5] = (rows[5][0] * torch.nan, rows[5][1])
    with pytest.raises(ProjectError, match=rf"(?i)row 5 of the {split} data .*(NaN|infinity)"):
        build(replace(project, **{split: rows}), tmp_path / "w", precise(name))
    if split == "train":
        with pytest.raises(ProjectError, match=r"(?i)row 5 of the train data"):
            precise(name).fit(replace(project, train=rows))


@EVERY
def test_a_prediction_or_target_that_is_none_is_named(name: str) -> None:
    fitted = precise(name).fit(project_of())
    for wrong in (6, -1):
        with pytest.raises(UnknownNameError, match=f"no test example {wrong}; ids run from 0 to 5"):
            fitted.scores([0, wrong])
    with pytest.raises(UnknownNameError, match="No test example is named; give ids from 0 to 5"):
        fitted.scores([])
    with pytest.raises(TargetError, match="There is no class 7; classes are numbered from 0 to 2"):
        fitted.scores([0], Target("loss", 7))
    with pytest.raises(TargetError, match="has no measure 'value'; choose one of loss, logit, margin"):
        fitted.scores([0], Target("value"))
