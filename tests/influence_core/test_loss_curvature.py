"""The closed form of a softmax loss's curvature against differentiating the loss twice."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from influence_core.task import ClassificationTask, Task, loss_curvature
from influence_core.task.base import Batch
from influence_core.task.curvature import differentiated
from tests import oracles

DRAWN = torch.Generator().manual_seed(0)
OUTPUTS = 3 * torch.randn(20, 4, dtype=torch.float64, generator=DRAWN)
LABELS = torch.randint(0, 4, (20,), generator=DRAWN)
WEIGHTS = torch.rand(20, dtype=torch.float64, generator=DRAWN)


class Doubled(ClassificationTask):
    """A subclass whose loss is another."""

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        return 2 * super().losses(outputs, batch).square()


TASKS: dict[str, Task] = {
    "plain": ClassificationTask(4),
    "class weights": ClassificationTask(4, class_weights=(1, 2, 0.5, 3)),
    "smoothing": ClassificationTask(4, label_smoothing=0.1),
    "both": ClassificationTask(4, class_weights=(1, 2, 0.5, 3), label_smoothing=0.1),
    "one-vs-rest": ClassificationTask(4, link="one-vs-rest"),
    "own loss": ClassificationTask(4, loss=lambda z, y: z.logsumexp(dim=1).square()),
    "subclass": Doubled(4),
}


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_it_is_the_second_derivative(name: str, weights: Tensor | None) -> None:
    batch = ((), LABELS) if weights is None else ((), LABELS, weights)
    found = loss_curvature(TASKS[name], OUTPUTS, batch)
    assert oracles.relative(found, differentiated(TASKS[name], OUTPUTS, batch)) < 1e-13


def test_extreme_logits_have_a_finite_curvature() -> None:
    far = torch.tensor([[1000.0, -1000.0, 0.0]], dtype=torch.float64)
    found = loss_curvature(ClassificationTask(3), far, ((), torch.tensor([1])))
    assert torch.equal(found, torch.zeros(1, 3, 3, dtype=torch.float64))
