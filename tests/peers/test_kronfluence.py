"""EK-FAC against kronfluence on the same nets: the same empirical Fisher, the same absolute damping, every number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from influence_core.evaluation.agreement import pearson_and_slope
from influence_core.methods import Ekfac
from influence_core.project import Project
from influence_core.task import ClassificationTask
from tests import oracles
from tests.influence_core import samples
from tests.peers.kronfluence_runs import Rival

DAMPING = 0.01


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def net(name: str) -> Project:
    torch.manual_seed(4)
    if name == "mlp":
        model: nn.Module = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))
        shape: tuple[int, ...] = (5,)
    else:
        model = nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(3, 4, 2, stride=2),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(16, 3),
        )
        shape = (1, 4, 4)
    project = samples.trained(model, ClassificationTask(3, 0.01), samples.rows(40, shape), samples.rows(6, shape), 60)
    return replace(project, task=ClassificationTask(3))  # kronfluence knows no regulariser


def compared(ours: Tensor, theirs: Tensor) -> None:
    pearson, slope = pearson_and_slope(theirs.flatten(), ours.flatten())
    assert pearson >= 0.9999
    assert slope == pytest.approx(1, abs=1e-4)
    assert oracles.relative(ours, theirs) < 1e-6


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["mlp", "convolutions"])
def test_scores_and_self_influence_equal_kronfluences(name: str, tmp_path: Path) -> None:
    project = net(name)
    rival = Rival(project, tmp_path, torch.float64, DAMPING, 16)
    rival.fit()
    method = Ekfac(damping=DAMPING, fisher="empirical", precision="float64").fit(project)
    n = len(project.train)
    compared(n * method.scores(range(6)).values, rival.scores(6).double())
    compared(n * method.self_influence(), rival.self_influence().double())


@pytest.mark.filterwarnings("ignore")
def test_its_sampled_fisher_comes_near_our_expectation_and_not_nearer(tmp_path: Path) -> None:
    project = net("mlp")
    rival = Rival(project, tmp_path, torch.float64, DAMPING, 16)
    torch.manual_seed(0)
    rival.fit(empirical=False)
    ours = Ekfac(damping=DAMPING, precision="float64").fit(project)
    again = Ekfac(damping=DAMPING, precision="float64", seed=1).fit(project)
    n = len(project.train)
    pearson, _ = pearson_and_slope(rival.scores(6).double().flatten(), n * ours.scores(range(6)).values.flatten())
    assert 0.8 < pearson < 0.9999
    assert torch.equal(again.scores(range(6)).values, ours.scores(range(6)).values)
