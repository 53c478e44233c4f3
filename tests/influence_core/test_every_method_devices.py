"""Everything is computed where the project's model is.

There need be no second device to see that: what is made without a device lands on the default one. Here that is
``meta``, whose tensors hold no numbers, so that the first of them that meets a real one raises.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from influence_core.errors import ProjectError
from influence_core.methods import METHODS
from influence_core.project import Project
from influence_core.store import OnDemand, build
from influence_core.target import Target
from tests import oracles
from tests.influence_core import samples
from tests.influence_core.every_method import RANGE, precise, project_of

EVERY = pytest.mark.parametrize("name", METHODS)
NETS = ("mlp", "head", "convolved", "normed")  # two general ones, a closed form, and a frozen trunk with buffers


@pytest.fixture
def _default_device() -> Iterator[None]:
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


def with_tensors(project: Project) -> Project:
    """Labels as tensors: torch's own collation of plain numbers goes to the default device."""
    rows = {
        split: [(x, torch.as_tensor(y, device="cpu")) for x, y in project.split(split)] for split in ("train", "test")
    }  # type: ignore[arg-type]
    return replace(project, **rows)


def answers(method: Any, project: Project) -> list[torch.Tensor | None]:
    """All that is asked of a method."""
    fitted = method.fit(project)
    found = fitted.scores(RANGE)
    found.top(2, 5)
    return [found.values, fitted.scores([1], Target("margin", 2)).values, fitted.self_influence()]


@pytest.mark.parametrize("net", NETS)
@EVERY
def test_nothing_is_made_on_the_default_device(name: str, net: str, request: pytest.FixtureRequest) -> None:
    project, method = with_tensors(project_of(net)), precise(name)
    if name == "lissa":
        method = replace(method, tolerance=0.1)
    expected = answers(method, project)
    request.getfixturevalue("_default_device")
    for found, plain in zip(answers(method, project), expected, strict=True):
        assert (found is None) == (plain is None)
        if found is not None and plain is not None:
            assert (found.device.type, found.dtype) == ("cpu", plain.dtype)
            assert oracles.relative(found, plain) < 1e-10


@EVERY
def test_a_build_and_an_answer_on_demand_are_made_on_the_models_device(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    project, method = with_tensors(project_of("head")), precise(name)
    expected = method.fit(project).scores(RANGE).values
    request.getfixturevalue("_default_device")
    run = build(project, tmp_path / "w", method, test_limit=2).run()
    open_id = next(i for i in RANGE if i not in run.solved)
    OnDemand(run, project).solve(open_id, Target())
    torch.set_default_device(None)
    for test_id in (int(run.solved[0]), open_id):
        assert oracles.relative(run.scores(test_id).values[0], expected[test_id]) < 1e-6


@EVERY
def test_a_model_on_two_devices_is_refused_in_a_sentence(name: str) -> None:
    project = project_of()
    project.model[0].to("meta")
    with pytest.raises(
        ProjectError, match=r"parameters are on cpu and meta; .* one device, such as model\.to\('cpu'\)"
    ):
        precise(name).fit(project)


def test_batches_follow_the_model() -> None:
    """The rows of a data set are wherever the user's code has them."""
    project = samples.sample("mlp")
    model = precise("exact").prepare(project).model
    _, batch = next(replace(model, theta=model.theta.to("meta")).batches(project.train, 4))
    assert all(leaf.device.type == "meta" for leaf in batch)
