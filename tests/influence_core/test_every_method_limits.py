"""How few digits a method may compute with, how much memory it foresees, and what it cannot do, in sentences."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from influence_core import memory
from influence_core.combination import Combination
from influence_core.curvature import retained
from influence_core.errors import CurvatureError, MethodError
from influence_core.methods import METHODS, exact, logra
from influence_core.project import Project
from influence_core.store import build
from influence_core.task import ClassificationTask
from tests import oracles
from tests.influence_core import samples
from tests.influence_core.every_method import RANGE, has, precise, project_of, with_checkpoints

CHOOSES = [name for name in METHODS if has(name, "precision")]
# Relative error of scores: the rounding of a gradient; of a solve its residual times a condition number of some units
ERRORS: dict[str, tuple[float, float]] = {"float32": (1e-6, 1e-3), "bfloat16": (0.02, 0.05)}
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.05}


def in_precision(name: str, precision: Any) -> Any:
    """A method with fewer digits."""
    tolerance = {"tolerance": TOLERANCES[precision]} if has(name, "tolerance") else {}
    return replace(precise(name), precision=precision, **tolerance)


@pytest.mark.parametrize("net", ["mlp", "convolved", "normed"])
@pytest.mark.parametrize("precision", ERRORS)
@pytest.mark.parametrize("name", CHOOSES)
def test_fewer_digits_change_late_ones_only(name: str, precision: str, net: str) -> None:
    project = project_of(net)
    full, fewer = precise(name).fit(project), in_precision(name, precision).fit(project)
    expected, found = full.scores(RANGE), fewer.scores(RANGE)
    error = ERRORS[precision][has(name, "tolerance")]
    assert found.converged
    assert oracles.relative(found.values, expected.values) < error
    slope = float((found.values.double() * expected.values).sum() / found.values.double().square().sum())
    assert slope == pytest.approx(1, abs=error)
    own = full.self_influence()
    assert (own is None) == (fewer.self_influence() is None)
    if own is not None:
        assert oracles.relative(fewer.self_influence(), own) < ERRORS[precision][0]


@pytest.mark.parametrize("name", ["cg", "lissa"])
def test_a_tolerance_that_bfloat16_cannot_meet_is_refused(name: str) -> None:
    for tolerance in (0.01, 0.019):
        with pytest.raises(MethodError, match=r"in bfloat16 a residual means something from 0\.02 up to 1; stay there"):
            replace(precise(name), precision="bfloat16", tolerance=tolerance).fit(project_of())
    assert precise(name, precision="bfloat16", tolerance=0.02).fit(project_of()).scores([0]).residual < 1


def test_methods_that_factorise_have_no_choice_of_precision() -> None:
    assert [name for name in ("exact", "newton") if name in METHODS and has(name, "precision")] == []


def wide() -> Project:
    """A net whose rows take some memory."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(5, 400), nn.Tanh(), nn.Linear(400, 3))
    return Project("wide", layers.eval(), ClassificationTask(3, 0.1), samples.rows(600), samples.rows(3))


@pytest.mark.parametrize("name", ["cg", "lissa", "ekfac", "arnoldi", "logra"])
def test_memory_that_will_not_suffice_is_foreseen_with_the_setting_that_fits(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, project = replace(precise(name), **({"rank": 2} if name == "logra" else {})), wide()
    free = {"ekfac": 8_000_000, "logra": 8_000_000}.get(name, 12_000_000)
    for module in (memory, logra, retained):
        monkeypatch.setattr(module, "free_bytes", lambda _: free)
    if name == "arnoldi":
        method = replace(method, krylov=10, kept=10)
    with pytest.raises(MethodError, match=r"512 examples at once need about .* at most \d+ rows at once") as caught:
        method.prepare(project)
    fitting = int(str(caught.value).rpartition("--rows ")[2].rstrip(".)"))
    assert 1 <= fitting < 512
    replace(method, rows=fitting).prepare(project)  # what it advises is not refused
    for module in (memory, logra, retained):
        monkeypatch.setattr(module, "free_bytes", lambda _: 10_000_000_000)
    method.prepare(project)


def test_the_exact_method_foresees_its_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    project = wide()
    size = precise("exact").prepare(project).model.vector.size
    needed = 8 * (600 * size + 3 * size**2)
    monkeypatch.setattr(exact, "free_bytes", lambda _: int(needed))
    with pytest.raises(MethodError, match=r"needs about 0\.3 GB for 3,603 parameters .* use --method cg, or attribute"):
        precise("exact").prepare(project)
    monkeypatch.setattr(exact, "free_bytes", lambda _: int(1.3 * needed))
    precise("exact").prepare(project)
    precise("exact").prepare(replace(project, attributed=("2.*",)))


class Recurrent(nn.Module):
    """A layer of torch that has no derivative for one example by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRU(2, 3, batch_first=True)
        self.out = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.cell(x)[0][:, -1])


@pytest.mark.parametrize("name", METHODS)
def test_a_layer_that_a_method_cannot_serve_is_refused_with_a_method_that_can(name: str) -> None:
    torch.manual_seed(2)
    rows, tests = samples.rows(8, (4, 2)), samples.rows(3, (4, 2))
    project = with_checkpoints(Project("gru", Recurrent().eval(), ClassificationTask(3, weight_decay=0.1), rows, tests))
    serving = _serving(name, project)
    assert serving in METHODS
    assert precise(serving).fit(project).scores(range(3)).converged


def _serving(name: str, project: Project) -> str:
    """The method itself if it fits, else the one that its refusal names; the refusal if it names none."""
    try:
        precise(name).fit(project)
    except MethodError as error:
        words = r"layer .* use (?:--method|the method|a method that needs no norms, such as) ([a-z-]+)"
        said = re.search(words, str(error))
        return said[1] if said else str(error)
    return name


@pytest.mark.parametrize("name", ["cg", "lissa"])
def test_a_solver_that_stalls_gives_no_ranking(name: str, tmp_path: Path) -> None:
    few = {"cg": {"steps": 1}, "lissa": {"passes": 1, "batch": 8}}[name]
    method = METHODS[name](damping=1e-4, tolerance=1e-5, preconditioner="none", **few)  # type: ignore[call-arg]
    run = build(samples.sample("mlp"), tmp_path / "w", method).run()
    assert len(run.solved) == 0
    with pytest.raises(MethodError, match=r"The solve did not reach an answer .*, so nothing is ranked\. The"):
        run.frame(2)
    assert not run.combined(Combination.mean_of([1, 2])).converged
    assert np.isnan(run.rows(0, 6)).all()


def test_more_directions_than_the_data_span_are_refused_or_counted() -> None:
    """Four rows of three classes span eight directions of the output layer's Gauss-Newton matrix, and no more."""
    project = replace(samples.sample("mlp"), task=ClassificationTask(3), train=samples.rows(4))
    with pytest.raises(CurvatureError, match=r"4 training examples do not span them all; use --set damping=auto, or a"):
        precise("logra", damping=0.0).fit(project)
    kept = precise("arnoldi", damping=0.1).fit(project)
    assert re.search(r"39 of 39 directions kept, \d of which training gradients have a part in", kept.facts[0])
