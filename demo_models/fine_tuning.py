"""Fine-tune the upper layers of a BERT classifier, then settle its last two on the optimum of their objective.

The lower layers stay as they were pretrained, so their outputs are computed once. After a pass over the data in
mini-batches the upper layers are fixed too, and pooler and classifier go on alone, on what the layers below them say of
each text: an objective of their own, with a regulariser, which L-BFGS on the whole training set follows to its optimum.
Every sum is taken by one thread; texts that do not depend on each other are read by several.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  (the field's name for it)
from torch import Tensor, nn

CHUNK = 32  # texts read at once


@dataclass(frozen=True)
class Recipe:
    """What decides the weights beside the data; its ``repr`` is hashed.

    Attributes:
        train_size: Mails that are learned from.
        test_size: Mails that are tested on.
        tokens: Of a mail that are read.
        frozen_layers: Lower layers that stay as they were pretrained.
        epochs: Passes over the data in mini-batches.
        batch_size: Rows a mini-batch.
        learning_rate: Peak of the one-cycle schedule.
        weight_decay: ``R = weight_decay / 2 * ||theta||^2`` of the last two layers' objective.
        evaluations: Of that objective by L-BFGS, at most.
        gradient_norm: At which L-BFGS stops before.
    """

    train_size: int = 2_000
    test_size: int = 500
    tokens: int = 128
    frozen_layers: int = 4
    epochs: int = 1
    batch_size: int = 32
    learning_rate: float = 2e-4
    weight_decay: float = 5e-3
    evaluations: int = 500
    gradient_norm: float = 3e-7


class Tuned(nn.Module):
    """The parts of a classifier that training changes, and what the layers below the last two say of each text.

    Args:
        model: A BERT classifier, whose own layers these are.
        recipe: Which of them.
        rows: Number of training texts.
    """

    summaries: Tensor  # shape (rows, width): the last layer's output for each text's first token

    def __init__(self, model: Any, recipe: Recipe, rows: int) -> None:
        super().__init__()
        self.layers = model.bert.encoder.layer[recipe.frozen_layers :]
        self.pooler = model.bert.pooler
        self.classifier = model.classifier
        self.register_buffer("summaries", torch.zeros(rows, model.config.hidden_size))

    def logits(self, summaries: Tensor) -> Tensor:
        """Of texts whose first token's vectors are given."""
        outputs: Tensor = self.classifier(torch.tanh(self.pooler.dense(summaries)))
        return outputs


def tune(tuned: Tuned, model: Any, recipe: Recipe, rows: tuple[Tensor, Tensor, Tensor]) -> None:
    """Train in place, from the pretrained weights; the same bits on every run of one machine.

    Args:
        tuned: The layers that are trained.
        model: The classifier with pretrained weights whose layers they are.
        recipe: How.
        rows: Token numbers and their mask (1 for a token, 0 for padding), shape ``(n, length)``; classes, shape
            ``(n,)``.
    """
    tokens, mask, labels = rows
    lower = model.bert.encoder.layer[: recipe.frozen_layers]
    hidden = in_chunks(lambda some: through(lower, model.bert.embeddings(input_ids=tokens[some]), mask[some]), labels)
    _mini_batches(tuned, recipe, hidden, mask, labels)
    tuned.summaries = in_chunks(lambda some: through(tuned.layers, hidden[some], mask[some])[:, 0], labels)
    settle(tuned, recipe, tuned.summaries, labels, torch.ones(len(labels)))
    tuned.requires_grad_(requires_grad=False)


def settle(tuned: Tuned, recipe: Recipe, summaries: Tensor, labels: Tensor, weights: Tensor) -> None:
    """Move the last two layers in place to the optimum of ``(1/n) sum_i weights_i loss_i + R``, computed in float64."""
    last = nn.ModuleList([tuned.pooler, tuned.classifier]).double().requires_grad_(requires_grad=True)
    parameters = list(last.parameters())
    inputs, weights = summaries.double(), weights.double()
    optimiser = torch.optim.LBFGS(
        parameters,
        max_iter=recipe.evaluations,
        max_eval=recipe.evaluations,
        history_size=50,
        tolerance_grad=recipe.gradient_norm / sum(p.numel() for p in parameters) ** 0.5,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimiser.zero_grad()
        losses = F.cross_entropy(tuned.logits(inputs), labels, reduction="none")
        penalty = 0.5 * recipe.weight_decay * torch.stack([p.square().sum() for p in parameters]).sum()
        value: Tensor = weights @ losses / len(labels) + penalty
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(objective)  # type: ignore[no-untyped-call]
    optimiser.zero_grad()
    last.float()


def in_chunks(read: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """``read`` of some row numbers at a time, each chunk by one thread, so that its bits depend on nothing else."""

    def one(chunk: Tensor) -> Tensor:
        with torch.no_grad():
            return read(chunk)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return torch.cat(list(pool.map(one, torch.split(torch.arange(len(rows)), CHUNK))))


def through(layers: Any, hidden: Tensor, mask: Tensor) -> Tensor:
    """Some layers of the encoder, shape ``(n, length, width)`` to the same."""
    for layer in layers:
        given = layer(hidden, attention_mask=mask[:, None, None, :].bool())
        hidden = given[0] if isinstance(given, tuple) else given
    return hidden


def _mini_batches(tuned: Tuned, recipe: Recipe, hidden: Tensor, mask: Tensor, labels: Tensor) -> None:
    n = len(labels)
    tuned.requires_grad_(requires_grad=True)
    optimiser = torch.optim.AdamW(tuned.parameters(), recipe.learning_rate, weight_decay=0.0)
    steps = recipe.epochs * -(-n // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.learning_rate, total_steps=steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(recipe.epochs):
        for rows in torch.split(torch.randperm(n, generator=generator), recipe.batch_size):
            optimiser.zero_grad()
            summaries = through(tuned.layers, hidden[rows], mask[rows])[:, 0]
            F.cross_entropy(tuned.logits(summaries), labels[rows]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    optimiser.zero_grad()
