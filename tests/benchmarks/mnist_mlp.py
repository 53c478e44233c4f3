"""The network of the comparisons with other libraries: 784-128-10, ReLU, 101,770 parameters, 4,000 MNIST digits."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

import demo_models
from demo_models.heads import stacked
from influence_core.project import Project
from influence_core.task import ClassificationTask

SIZE = 101_770
DECAY = 1e-3
STEPS = 600
BATCH = 500


def project() -> Project:
    """The digits of the demo mnist-cnn with this network, trained anew: some seconds, the same on every run."""
    digits = demo_models.load("mnist-cnn")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    assert sum(parameter.numel() for parameter in model.parameters()) == SIZE
    task = ClassificationTask(n_classes=10, weight_decay=DECAY)
    inputs, labels = stacked(digits.train)
    inputs = inputs.float()
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for step in range(STEPS):
        if step * BATCH % len(labels) == 0:
            order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(step))
        start = step * BATCH % len(labels)
        rows = order[start : start + BATCH]
        optimiser.zero_grad()
        batch = (inputs[rows], labels[rows])
        loss = task.losses(model(batch[0]), batch).mean() + task.penalty(dict(model.named_parameters()))
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    return replace(digits, name="mnist-mlp", task=task, model=model.eval(), fit=None)
