"""Attention as torch offers it: its fused kernels have no forward-mode derivative, and must not be needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from influence_core.methods import ConjugateGradients, Exact
from influence_core.task import ClassificationTask
from tests import oracles
from tests.influence_core import samples


class Texts(nn.Module):
    """An embedding, some attention, and a head on the mean."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.attention = attention
        self.out = nn.Linear(4, 3)

    def forward(self, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return {"logits": self.out(self.attention(self.embedding(tokens)).mean(1))}


class SelfAttention(nn.Module):
    """torch's multi-head attention of a text with itself."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.heads(x, x, x)[0]


class Fused(nn.Module):
    """The function that Hugging Face models call."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(4, 12)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(*self.mix(x).chunk(3, dim=-1))


@pytest.mark.parametrize(
    "make",
    [SelfAttention, Fused, lambda: nn.TransformerEncoderLayer(4, 2, 8, dropout=0.1, batch_first=True)],
    ids=["MultiheadAttention", "scaled_dot_product_attention", "TransformerEncoderLayer"],
)
@pytest.mark.parametrize("curvature", ["gauss-newton", "hessian"])
def test_every_kind_of_attention_is_solved_like_the_exact_method(make: Callable[[], nn.Module], curvature: str) -> None:
    torch.manual_seed(0)
    task = ClassificationTask(3, weight_decay=0.002)
    project = samples.trained(Texts(make()), task, samples.token_rows(30), samples.token_rows(6))
    method = ConjugateGradients(damping=20.0, tolerance=1e-9, precision="float64")
    exact = Exact(damping=20.0, curvature=curvature).fit(project).scores(range(6)).values  # type: ignore[arg-type]
    found = replace(method, curvature=curvature).fit(project).scores(range(6)).values  # type: ignore[arg-type]
    assert oracles.relative(found, exact) < 1e-7


def test_torch_is_left_as_it_was() -> None:
    before = torch.backends.mha.get_fastpath_enabled(), torch.backends.cuda.flash_sdp_enabled()
    project = samples.trained(Texts(Fused()), ClassificationTask(3, 0.1), samples.token_rows(9), samples.token_rows(3))
    ConjugateGradients(damping=20.0).fit(project).scores([0])
    assert (torch.backends.mha.get_fastpath_enabled(), torch.backends.cuda.flash_sdp_enabled()) == before
