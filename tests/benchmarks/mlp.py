"""The network whose Hessian is measured: digits, 64-32-10, tanh, 2,410 parameters, 1,437 rows."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

import demo_models
from demo_models.heads import stacked
from influence_core.gradients import FunctionalModel
from influence_core.project import Project
from influence_core.task import ClassificationTask

SIZE = 2_410
STEPS = 300


def project() -> Project:
    """The digits demo with a small network in place of the linear head."""
    digits = demo_models.load("digits")
    task = ClassificationTask(n_classes=10, weight_decay=1e-3)
    model = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10)).double()
    drawn = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, dtype=torch.float64, generator=drawn) / 8)
    inputs, labels = stacked(digits.train)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(STEPS):
        optimiser.zero_grad()
        outputs = model(inputs)
        loss = task.losses(outputs, (inputs, labels)).mean() + task.penalty(dict(model.named_parameters()))
        torch.autograd.backward(loss)
        optimiser.step()
    return replace(digits, name="digits-mlp", task=task, model=model.eval(), fit=None)


def functional(subject: Project) -> FunctionalModel:
    """The engine's view of it."""
    model = FunctionalModel.of(subject)
    assert model.vector.size == SIZE
    return model
