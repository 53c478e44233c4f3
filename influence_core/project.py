"""What is debugged: a trained model, its task and its data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.data import default_collate

from influence_core.checkpoint import Checkpoint
from influence_core.errors import ProjectError
from influence_core.task import Batch, Task
from influence_core.views import View

Split = Literal["train", "test"]
STACKED_BYTES = 2**31  # a data set beyond this is collated batch by batch


class Dataset(Protocol):
    """Anything with a length and items by index; an item is ``(input, label)`` or a dict with ``labels``."""

    def __len__(self) -> int:
        """The number of examples."""
        ...

    def __getitem__(self, index: int, /) -> Any:
        """One example."""
        ...


Fit = Callable[[Any, Tensor, int], nn.Module]


@dataclass(frozen=True)
class SGD:
    """How the model was trained, where that was stochastic gradient descent with a constant learning rate.

    Attributes:
        learning_rate: Of each step, above 0; of a schedule its mean.
        momentum: Heavy-ball momentum, from 0 to below 1.
        steps: Number of updates, 1 or more: epochs times mini-batches an epoch.

    Raises:
        ProjectError: If a number is none of a training.
    """

    learning_rate: float
    momentum: float
    steps: int

    def __post_init__(self) -> None:
        if not (0 < self.learning_rate < float("inf") and 0 <= self.momentum < 1 and self.steps >= 1):
            msg = (
                f"SGD with learning rate {self.learning_rate:g}, momentum {self.momentum:g} and {self.steps} steps "
                "trains nothing; give a learning rate above 0, a momentum from 0 to below 1, and the number of updates."
            )
            raise ProjectError(msg)


@dataclass(frozen=True)
class Project:
    """One model and its data.

    Attributes:
        name: A short name, used in links and for the default workspace.
        model: The trained model in eval mode; it is never modified.
        task: Loss, measurement and regulariser.
        train: The examples the model was fitted on; order is identity.
        test: The examples whose predictions are explained.
        class_names: One name a class; empty in regression.
        view: How an example is shown; guessed from the items if absent.
        title: Shown as headline; the name if empty.
        description: One paragraph of plain text.
        train_keys: The user's own id of each training example (file name, record number).
        test_keys: The same for the test examples.
        train_metadata: Optional columns for filters, one row an example.
        test_metadata: The same for the test examples.
        fit: ``fit(dataset, weights, seed) -> model`` minimises ``(1/n) sum_i weights_i loss_i + R`` where n is
            ``len(dataset)`` whatever the weights.
        attributed: Glob patterns of the parameters that are attributed; empty means all that require a gradient.
        test_first: Test ids that are solved and listed first; by default the wrong ones by loss.
        notes: Sentences on how far to trust it, such as what was done to the model; shown beside every score.
        checkpoints: Moments of the training, in order, for the method ``tracin``.
        recipe: How the model was trained, if that was plain SGD: what ``damping="auto"`` then goes by. Runs that use it
            are others under another recipe.
    """

    name: str
    model: nn.Module
    task: Task
    train: Dataset
    test: Dataset
    class_names: tuple[str, ...] = ()
    view: View | None = None
    title: str = ""
    description: str = ""
    train_keys: Sequence[str] = ()
    test_keys: Sequence[str] = ()
    train_metadata: pd.DataFrame | None = None
    test_metadata: pd.DataFrame | None = None
    fit: Fit | None = None
    attributed: tuple[str, ...] = ()
    test_first: Sequence[int] = ()
    notes: Sequence[str] = ()
    checkpoints: Sequence[Checkpoint] = ()
    recipe: SGD | None = None

    def split(self, name: Split) -> Dataset:
        """The train or the test data set."""
        return self.train if name == "train" else self.test

    def keys(self, split: Split) -> list[str]:
        """The user's ids, or "train 17" where there is none: no keys at all, or an empty or missing one."""
        given = self.train_keys if split == "train" else self.test_keys
        numbered = [f"{split} {i}" for i in range(len(self.split(split)))]
        return [_key(k) or row for k, row in zip(given, numbered, strict=True)] if len(given) else numbered

    def metadata(self, split: Split) -> pd.DataFrame | None:
        """The metadata of a split, if there is any."""
        return self.train_metadata if split == "train" else self.test_metadata


def _key(given: object) -> str:
    """A user's id as text; empty if there is nothing in it that can be seen."""
    if given is None or given is pd.NA or given is pd.NaT or given != given:  # noqa: PLR0124  (NaN of any type)
        return ""
    text = str(given).encode("utf-8", "replace").decode("utf-8")  # lone surrogates cannot be stored as UTF-8
    return text if any(c.isprintable() and not c.isspace() for c in text) else ""


@dataclass(frozen=True)
class Stacked:
    """A data set collated once: a solver that passes over it hundreds of times only slices it.

    Attributes:
        batch: All rows as one batch.
        length: Number of rows.
    """

    batch: Batch
    length: int

    def __len__(self) -> int:
        """The number of examples."""
        return self.length

    def __getitem__(self, index: int, /) -> Any:
        """One example."""
        return tree_map(lambda leaf: leaf[index], self.batch)

    def take(self, rows: Sequence[int]) -> Batch:
        """Some rows as a batch; rows that follow each other are not copied."""
        first, last = rows[0], rows[-1]
        if list(rows) == list(range(first, last + 1)):
            return tree_map(lambda leaf: leaf[first : last + 1], self.batch)
        index = torch.as_tensor(rows)
        return tree_map(lambda leaf: leaf[index], self.batch)


def stacked(dataset: Dataset, dtype: torch.dtype) -> Dataset:
    """The data set in memory and in ``dtype`` if its rows are tensors and fit into ``STACKED_BYTES``, else as it is."""
    _, one = next(batches(dataset, 1, [0]))
    leaves = tree_leaves(one)
    if not all(isinstance(leaf, Tensor) for leaf in leaves):
        return dataset
    if len(dataset) * sum(leaf.numel() * leaf.element_size() for leaf in leaves) > STACKED_BYTES:
        return dataset
    _, batch = next(batches(dataset, len(dataset)))
    return Stacked(cast(batch, dtype), len(dataset))


def cast(batch: Batch, dtype: torch.dtype) -> Batch:
    """The batch with its floating-point tensors in ``dtype``."""
    return tree_map(lambda t: t.to(dtype) if isinstance(t, Tensor) and t.is_floating_point() else t, batch)


def batches(dataset: Dataset, size: int, ids: Sequence[int] | None = None) -> Iterator[tuple[list[int], Batch]]:
    """Row ids and their collated batch, in order.

    Raises:
        ProjectError: If a row cannot be read, or the rows cannot be put into one batch.
    """
    order = list(range(len(dataset)) if ids is None else ids)
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        if isinstance(dataset, Stacked):
            yield rows, dataset.take(rows)
            continue
        read = [read_row(dataset, i) for i in rows]
        try:
            batch = default_collate(read)
        except (RuntimeError, TypeError) as error:
            reason = str(error).splitlines()[0]
            msg = f"Rows {rows[0]} to {rows[-1]} cannot be put into one batch; give every row one shape ({reason})."
            raise ProjectError(msg) from error
        yield rows, batch


def read_row(dataset: Dataset, index: int) -> Any:
    """One example; whatever the user's code raises, such as for a corrupt image, is said with the row.

    Raises:
        ProjectError: If it cannot be read.
    """
    try:
        return dataset[index]
    except ProjectError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else "no message"
        msg = f"Row {index} cannot be read ({type(error).__name__}: {reason.rstrip('.')}); mend it or leave it out."
        raise ProjectError(msg) from error
