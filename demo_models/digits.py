"""Handwritten digits: softmax regression on 8x8 images that scikit-learn ships."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from demo_models.heads import Rows, linear_fit, split_rows, train_head
from influence_core.project import Project
from influence_core.task import ClassificationTask
from influence_core.views import ImageView

TITLE = "Handwritten digits"
SUMMARY = "1,797 scanned digits of 8x8 pixels and softmax regression with 650 parameters."
DESCRIPTION = (
    "People wrote the digits 0 to 9 by hand, and each was scanned to a small image of 8 by 8 pixels. The "
    "model, softmax regression, weighs every pixel for each of the ten digits and names the digit with the "
    "highest sum; it learned its 650 weights from 1,437 of the images and is tested on the other 360. It "
    "misreads one digit in thirty. Worth asking: when it calls a 9 a 5, which of the images it learned from "
    "pushed it there, and are those images themselves oddly written or wrongly labelled?"
)
TEST_SIZE = 360


def load() -> Project:
    """The digits project; training takes well under a second."""
    data = load_digits()
    inputs, labels = torch.from_numpy(data.data) / 16, torch.from_numpy(data.target).long()
    train, test = split_rows(len(labels), TEST_SIZE, labels)
    task = ClassificationTask(n_classes=10, weight_decay=1 / len(train))
    return Project(
        name="digits",
        model=train_head(inputs[train], labels[train], task),
        task=task,
        train=Rows(inputs[train], labels[train]),
        test=Rows(inputs[test], labels[test]),
        class_names=tuple(str(digit) for digit in range(10)),
        view=ImageView(data.images[train] / 16, data.images[test] / 16),
        title=TITLE,
        description=DESCRIPTION,
        train_keys=[f"digit {row:04d}" for row in train],
        test_keys=[f"digit {row:04d}" for row in test],
        fit=linear_fit(task),
    )
