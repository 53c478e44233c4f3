"""Bad input: one clear sentence each."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from influence_core.errors import InfluenceError, MethodError, ProjectError
from influence_core.methods import Exact
from influence_core.project import Project
from tests.influence_core import samples

GOOD = samples.rows(8)


class Mixing(nn.Module):
    """Subtracts the batch's mean: every example sees the others."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(x - x.mean(0))


class Uncopyable(nn.Linear):
    """Keeps a tensor of its graph, which cannot be copied."""

    def __init__(self) -> None:
        super().__init__(5, 3)
        self.cached = self.weight * 2


def _nan_model() -> nn.Module:
    model = nn.Linear(5, 3).eval()
    with torch.no_grad():
        model.weight[1, 1] = torch.nan
    return model


def _with_one_layer_in_train_mode() -> nn.Module:
    model = nn.Sequential(nn.Linear(5, 3), nn.Dropout(0.0)).eval()
    model[1].train()
    return model


def _project(**changes: Any) -> Project:
    base = Project("bad", nn.Linear(5, 3).eval(), samples.sample("head").task, GOOD, GOOD)
    return replace(base, **changes)


class Flipping(list[Any]):
    """Random augmentation: half of the rows are turned round when they are read."""

    def __getitem__(self, index: Any) -> Any:
        x, y = super().__getitem__(index)
        return (x.flip(0) if torch.rand(1) < 0.5 else x), y


class Unreadable(list[Any]):
    """Its fourth row is a file that is no picture."""

    def __getitem__(self, index: Any) -> Any:
        if index == 3:
            Image.open(io.BytesIO(b"no picture"))
        return super().__getitem__(index)


class Dropping(nn.Linear):
    """Drops outputs at random also in eval mode."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(super().forward(x), 0.5)


NAN = (torch.tensor([0.0, torch.nan, 0, 0, 0]), 1)
CASES: dict[str, tuple[Callable[[], Project], str]] = {
    "label too large": (
        lambda: _project(train=[*GOOD, (GOOD[0][0], 3)]),
        "Row 8 of the train data has label 3",
    ),
    "label negative": (
        lambda: _project(test=[*GOOD, (GOOD[0][0], -1)]),
        "Row 8 of the test data has label -1",
    ),
    "label not whole": (lambda: _project(train=[(x, 0.5) for x, _ in GOOD]), "one whole class number a row"),
    "NaN input": (lambda: _project(train=[*GOOD, NAN]), "Row 8 of the train data holds NaN"),
    "NaN parameter": (lambda: _project(model=_nan_model()), "'weight' holds NaN"),
    "empty train": (lambda: _project(train=[]), "The train set is empty"),
    "empty test": (lambda: _project(test=[]), "The test set is empty"),
    "outputs": (lambda: _project(model=nn.Linear(5, 4).eval()), "The task has 3 classes"),
    "inputs": (lambda: _project(model=nn.Linear(4, 3).eval()), "cannot be run on a batch"),
    "train mode": (lambda: _project(model=nn.Linear(5, 3).train()), "call model.eval"),
    "a layer in train mode": (lambda: _project(model=_with_one_layer_in_train_mode()), "layer is in train mode"),
    "batch": (lambda: _project(model=Mixing().eval()), "influence each other"),
    "shape": (lambda: _project(test=samples.rows(3, (4,))), "Train inputs have shape"),
    "ragged": (lambda: _project(train=[*GOOD, (torch.zeros(4), 1)]), "give every row one shape"),
    "keys": (lambda: _project(train_keys=["a"]), "1 train keys for 8 examples"),
    "class names": (lambda: _project(class_names=("a",)), "1 class names for 3 classes"),
    "frozen": (lambda: _project(model=nn.Linear(5, 3).eval().requires_grad_(False)), "unfreeze a layer"),
    "pattern": (lambda: _project(attributed=("x.*",)), "No parameter is called 'x"),
    "augmented train": (lambda: _project(train=Flipping(GOOD * 3)), "of 16 train rows .* switch off random augm"),
    "augmented test": (lambda: _project(test=Flipping(GOOD * 3)), "of 16 test rows .* switch off random augmentation"),
    "unreadable": (
        lambda: _project(train=Unreadable(GOOD)),
        r"Row 3 cannot be read \(UnidentifiedImageError: .*mend it",
    ),
    "texts": (lambda: _project(train=[("a text", 0)], test=[("another", 1)]), "inputs are texts and a model takes num"),
    "random outputs": (lambda: _project(model=Dropping(5, 3).eval()), "outputs for the same rows change by"),
    "cached": (lambda: _project(model=Uncopyable().eval()), "cannot be copied"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_projects_are_refused_in_one_sentence(name: str) -> None:
    make, words = CASES[name]
    with pytest.raises(ProjectError, match=words) as caught:
        _explain(make())
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")


def _explain(project: Project) -> None:
    Exact(damping=0.1).fit(project).scores(range(len(project.test)))


def test_too_many_parameters_are_refused_with_a_way_out() -> None:
    wide = nn.Sequential(nn.Linear(5, 2000), nn.Tanh(), nn.Linear(2000, 3)).eval()
    with pytest.raises(MethodError, match="attribute fewer layers"):
        Exact().fit(_project(model=wide))


def test_every_error_is_an_influence_error() -> None:
    assert issubclass(ProjectError, InfluenceError)
    assert issubclass(MethodError, InfluenceError)
