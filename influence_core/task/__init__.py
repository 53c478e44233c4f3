"""What a model is for: its training loss, its measurements and its regulariser.

Train loss, measurement and regulariser are three separate things. The training objective is
``J(theta) = (1/n) sum_i loss_i(theta) + penalty(theta)``.
"""

from influence_core.task.base import (
    Batch,
    Task,
    WeightDecay,
    decay_of,
    inputs_and_labels,
    relabelled,
    row_weights,
)
from influence_core.task.classification import ClassificationTask, Link
from influence_core.task.curvature import loss_curvature
from influence_core.task.multilabel import MultiLabelTask
from influence_core.task.regression import RegressionTask

__all__ = [
    "Batch",
    "ClassificationTask",
    "Link",
    "MultiLabelTask",
    "RegressionTask",
    "Task",
    "WeightDecay",
    "decay_of",
    "inputs_and_labels",
    "loss_curvature",
    "relabelled",
    "row_weights",
]
