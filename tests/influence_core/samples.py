"""Small nets of every shape the engine promises to serve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from influence_core.project import Project, batches
from influence_core.task import ClassificationTask, RegressionTask, Task


class Tied(nn.Module):
    """One weight used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 5)
        self.second = nn.Linear(5, 5, bias=False)
        self.second.weight = self.first.weight
        self.out = nn.Linear(5, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.second(torch.tanh(self.first(x)))))


class Normed(nn.Module):
    """Buffers: batch norm in eval mode, dropout, and a frozen first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 6)
        self.first.weight.requires_grad_(False)
        self.first.bias.requires_grad_(False)
        self.norm = nn.BatchNorm1d(6)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2)
        self.out = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(nn.functional.dropout(self.norm(self.first(x)).tanh(), training=self.training))


class Convolved(nn.Module):
    """A convolution and a bias-free layer."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 2, 2)
        self.out = nn.Linear(2 * 2 * 2, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.convolution(x).tanh().flatten(1))


class DictModel(nn.Module):
    """Keyword inputs and a dict output, as Hugging Face models have."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.norm = nn.LayerNorm(4)
        self.out = nn.Linear(4, 3)

    def forward(self, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        mean = (self.embedding(tokens) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return {"logits": self.out(self.norm(mean))}


class Attentive(nn.Module):
    """An embedding, self-attention and a layer norm."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.mix = nn.Linear(4, 12)
        self.norm = nn.LayerNorm(4)
        self.out = nn.Linear(4, 3)

    def forward(self, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        embedded = self.embedding(tokens)
        query, key, value = self.mix(embedded).chunk(3, dim=-1)
        hidden = query @ key.mT / 2 + (1 - mask[:, None, :]) * -1e4
        attended = self.norm(embedded + hidden.softmax(dim=-1) @ value)
        return {"logits": self.out((attended * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))}


def rows(count: int, shape: tuple[int, ...] = (5,), classes: int = 3) -> list[Any]:
    """Random inputs with class labels."""
    return [(torch.randn(shape), int(torch.randint(classes, ()))) for _ in range(count)]


def token_rows(count: int) -> list[Any]:
    """Random token ids with masks, as dicts."""
    tokens = torch.randint(7, (count, 6))
    mask = (torch.arange(6) < torch.randint(2, 7, (count, 1))).double()
    return [{"tokens": t, "mask": m, "labels": int(i % 3)} for i, (t, m) in enumerate(zip(tokens, mask, strict=True))]


def trained(model: nn.Module, task: Task, train: list[Any], test: list[Any], steps: int = 300) -> Project:
    """Fit by full-batch Adam and wrap; close enough to an optimum for a positive definite Gauss-Newton."""
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.02)
    (_, batch), *_ = batches(train, len(train))
    model.eval()
    for _ in range(steps):
        optimiser.zero_grad()
        loss = task.losses(task.outputs(model, batch), batch).mean() + task.penalty(dict(model.named_parameters()))
        loss.backward()
        optimiser.step()
    return Project("sample", model, task, train, test)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))


def sample(name: str) -> Project:
    """One project of each kind; parameters and rows are random but fixed."""
    torch.manual_seed(3)
    task = ClassificationTask(3, weight_decay=0.05)
    makers: dict[str, Callable[[], Project]] = {
        "mlp": lambda: trained(mlp(), task, rows(30), rows(6)),
        "tied": lambda: trained(Tied(), task, rows(30), rows(6)),
        "normed": lambda: trained(Normed(), task, rows(30), rows(6)),
        "convolved": lambda: trained(Convolved(), task, rows(30, (1, 3, 3)), rows(6, (1, 3, 3))),
        "dict": lambda: trained(DictModel(), task, token_rows(30), token_rows(6)),
        "attention": lambda: trained(Attentive(), task, token_rows(30), token_rows(6)),
        "head": lambda: trained(nn.Linear(5, 3), task, rows(30), rows(6)),
        "regression": lambda: trained(
            nn.Linear(5, 1),
            RegressionTask(0.1),
            [(x, float(x.sum())) for x, _ in rows(30)],
            [(x, float(x.sum() + 1)) for x, _ in rows(6)],
        ),
    }
    return makers[name]()


NAMES = ("mlp", "tied", "normed", "convolved", "dict", "attention", "head", "regression")
