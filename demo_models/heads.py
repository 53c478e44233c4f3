"""What the demos share: rows of numbers as a data set, and a linear model fitted on them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.utils.data import Subset, default_collate

from influence_core.project import Dataset, Fit
from influence_core.removal.head_fit import fit_head
from influence_core.task import ClassificationTask, RegressionTask

_TRAINING = threading.Lock()  # the number of threads belongs to the whole process


@dataclass(frozen=True, eq=False)
class Rows:
    """A data set of ``(input, label)`` items; inputs come in the model's precision, labels as plain numbers.

    Attributes:
        inputs: Shape ``(n, ...)``, in any floating-point type.
        labels: Class indices (int64) or values (float64), shape ``(n,)``.
        dtype: The model's precision.
    """

    inputs: Tensor
    labels: Tensor
    dtype: torch.dtype = torch.float64

    def __len__(self) -> int:
        """The number of examples."""
        return len(self.labels)

    def __getitem__(self, index: int, /) -> tuple[Tensor, int | float]:
        """One example."""
        return self.inputs[index].to(self.dtype), self.labels[index].item()


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch's, so that every training gives the same bits; one training at a time.

    How a sum is shared out among threads changes its last bits, and with them the fingerprint by which a
    stored workspace knows its demo again. Problems of this size lose little by it.
    """
    with _TRAINING:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def train_head(
    inputs: Tensor, labels: Tensor, task: ClassificationTask | RegressionTask, weights: Tensor | None = None
) -> nn.Linear:
    """``fit_head``, with the same bits on every load."""
    with one_thread():
        return fit_head(inputs, labels, task, weights)


def linear_fit(task: ClassificationTask | RegressionTask) -> Fit:
    """The ``fit(dataset, weights, seed)`` of a linear model: a full refit from zero to the optimum.

    The optimum is unique, so the seed changes nothing.
    """

    def fit(dataset: Dataset, weights: Tensor, seed: int) -> nn.Module:  # noqa: ARG001  (part of the interface)
        inputs, labels = stacked(dataset)
        return train_head(inputs, labels, task, weights)

    return fit


def stacked(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Inputs and labels of every row; the demos' own rows are not copied."""
    if isinstance(dataset, Rows):
        return dataset.inputs, dataset.labels
    if isinstance(dataset, Subset):
        inputs, labels = stacked(dataset.dataset)  # type: ignore[arg-type]  # torch's Dataset declares no length
        chosen = torch.as_tensor(dataset.indices, dtype=torch.long)
        return inputs[chosen], labels[chosen]
    inputs, labels = default_collate([dataset[i] for i in range(len(dataset))])
    return inputs, labels


def split_rows(n: int, test_size: int, strata: Tensor | None = None, seed: int = 0) -> tuple[list[int], list[int]]:
    """Row numbers of train and test in ascending order, the same on every machine.

    Args:
        n: Number of rows.
        test_size: Number of test rows.
        strata: Class of each row, if every class is to keep its share in both parts.
        seed: Of the shuffling.
    """
    classes = None if strata is None else strata.numpy()
    train, test = train_test_split(np.arange(n), test_size=test_size, random_state=seed, stratify=classes)
    return sorted(train.tolist()), sorted(test.tolist())


def standardised(inputs: Tensor, train: Sequence[int]) -> Tensor:
    """Each column minus its training mean, divided by its training standard deviation."""
    known = inputs[list(train)]
    return (inputs - known.mean(dim=0)) / known.std(dim=0, correction=0)


def mistakes_first(model: nn.Module, test: Rows, order: Sequence[int]) -> list[int]:
    """Ids of the wrong test predictions of a classifier, the most confident ones of each kind first.

    Args:
        model: The trained classifier.
        test: Its test rows.
        order: True classes: mistakes on the first of them come first.
    """
    with torch.no_grad():
        confidence, predicted = model(test.inputs.double()).softmax(dim=1).max(dim=1)
    wrong = [i for i in range(len(test)) if predicted[i] != test.labels[i]]
    return sorted(wrong, key=lambda i: (order.index(int(test.labels[i])), -float(confidence[i])))
