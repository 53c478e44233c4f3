"""What a model says of a split, whichever method asks: a frozen trunk is run over the training data only once."""

from __future__ import annotations

from collections.abc import Callable

from influence_core.gradients import FunctionalModel
from influence_core.predictions import Predictions, predict
from influence_core.project import Dataset, Project, Split

Trunked = Callable[[], tuple[FunctionalModel, Dataset]]


def seen(split: Split, model: FunctionalModel, project: Project, trunked: Trunked) -> Predictions:
    """Predictions on a split.

    Args:
        split: Which.
        model: Reads the test examples.
        project: Its data.
        trunked: Gives the model and the training data with the outputs of its frozen trunk; asked for these only.
    """
    if split == "test":
        return predict(model, project, split)
    knowing, train = trunked()
    return predict(knowing, project, split, data=train)
