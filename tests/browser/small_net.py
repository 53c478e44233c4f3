"""A project file as a user writes it: 8x8 digits and a tanh network of 2,140 parameters, trained in a second or two."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import nn

from demo_models.heads import one_thread
from influence_core.project import Project
from influence_core.task import ClassificationTask
from influence_core.views import ImageView

TRAIN, TEST = slice(0, 600), slice(600, 640)

data = load_digits()
inputs = torch.from_numpy(data.data).float() / 16
labels = torch.from_numpy(data.target).long()
task = ClassificationTask(n_classes=10, weight_decay=1e-3)

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 28), nn.Tanh(), nn.Linear(28, 10))
optimiser = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
with one_thread():  # the same bits in the process that builds and in the one that serves, or it is another model
    for _ in range(200):
        optimiser.zero_grad()
        loss = task.losses(model(inputs[TRAIN]), (inputs[TRAIN], labels[TRAIN])).mean()
        (loss + task.penalty(dict(model.named_parameters()))).backward()
        optimiser.step()

rows = [(x, int(y)) for x, y in zip(inputs, labels, strict=True)]
project = Project(
    name="small-net",
    model=model.eval(),
    task=task,
    train=rows[TRAIN],
    test=rows[TEST],
    class_names=tuple("0123456789"),
    view=ImageView(list(data.images[TRAIN] / 16), list(data.images[TEST] / 16)),
    title="Digits and a small network",
)
