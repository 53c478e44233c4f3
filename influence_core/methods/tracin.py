"""TracIn over checkpoints: what gradient steps on an example did to a prediction while the model was trained.

Pruthi, Liu, Kale and Sundararajan, "Estimating Training Data Influence by Tracing Gradient Descent" (NeurIPS 2020),
their TracInCP.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from influence_core import scores
from influence_core.checkpoint import Checkpoint
from influence_core.errors import MethodError, ProjectError
from influence_core.gradients import FunctionalModel
from influence_core.methods.base import Tensors, Tick, check_counts
from influence_core.methods.baseline import Asked, BaselineAttributor, BaselineFit
from influence_core.methods.directions import along, gradient_norms, measurement_columns
from influence_core.methods.precision import Precision
from influence_core.project import Dataset, Project, stacked
from influence_core.readings import Reading
from influence_core.solvers.iterative import normalised


@dataclass(frozen=True)
class TracIn:
    """``sum_c learning_rate_c grad m(theta_c) . grad loss_i(theta_c)`` over the project's checkpoints c.

    Attributes:
        rows: Examples in memory at once.
        precision: Of all numbers.
    """

    rows: int = 512
    precision: Precision = "float32"

    name: ClassVar[str] = "tracin"
    title: ClassVar[str] = "TracIn over checkpoints (baseline)"
    cost: ClassVar[str] = (
        "Every training gradient at every checkpoint, then a forward-mode pass a checkpoint and prediction"
    )
    limits: ClassVar[str] = "Needs Project(checkpoints=...); no recurrent layers; no prediction of a refit"
    reading: ClassVar[Reading] = Reading(
        unit="{} by one step a checkpoint",
        sentence="A baseline: what steps on the example did during training, which does not predict a refit.",
    )
    is_direct: ClassVar[bool] = False
    is_estimate: ClassVar[bool] = False
    is_one_by_one: ClassVar[bool] = True
    damping: ClassVar[float] = 0.0
    curvature: ClassVar[str] = "none"

    def prepare(self, project: Project) -> BaselineFit:
        """Check the project and decide how it is computed.

        Raises:
            MethodError: If the project keeps no checkpoints.
            ProjectError: If one of them is not of this model.
        """
        check_counts(self, "rows")
        if not project.checkpoints:
            msg = (
                "The method tracin needs moments of the training: give Project(checkpoints=[Checkpoint(learning_rate, "
                "state_dict), ...]), or use grad-dot, which looks at the trained model alone."
            )
            raise MethodError(msg)
        for number, one in enumerate(project.checkpoints):
            if not (math.isfinite(one.learning_rate) and one.learning_rate > 0):
                msg = f"Checkpoint {number} has the learning rate {one.learning_rate:g}; it must be above 0 and finite."
                raise ProjectError(msg)
        return BaselineFit.of(self, project, self.rows, self.precision)

    def fit(self, project: Project) -> BaselineAttributor:
        """Take the norms of the training gradients at every checkpoint.

        Raises:
            ProjectError: If model, data, task and checkpoints do not fit together.
            MethodError: If there are no checkpoints, or a layer does not give every example's gradient by itself.
        """
        return self.prepare(project).fit()

    def learn(self, fitted: BaselineFit, tick: Tick) -> dict[str, Tensor]:
        """Every example's own number, and which checkpoints it is of."""
        total, train = torch.zeros(len(fitted.project.train), dtype=torch.float64), _in_memory(fitted)
        n, of = len(train), len(fitted.project.checkpoints)
        for place, (rate, model) in enumerate(moments(fitted, fitted.model.dtype)):
            done = place * n
            total += rate * gradient_norms(model, train, fitted.rows, lambda i, _, d=done: tick(d + i, of * n)).square()  # type: ignore[misc]
        return {"own": total, "checkpoints": digest(fitted)}

    def numbers(self, asked: Asked) -> Tensor:
        """In the measurement's unit: the change that one step on the example at each checkpoint would make."""
        fitted, train = asked.fitted, _in_memory(asked.fitted)
        _check_same(fitted, asked.learnt)
        total = torch.zeros(len(asked.test_ids), len(train), dtype=torch.float64)
        exact, of = moments(fitted, torch.float64), len(fitted.project.checkpoints)
        for place, (rate, model) in enumerate(moments(fitted, fitted.model.dtype)):
            _, precise = next(exact)
            columns, sizes = normalised(measurement_columns(precise, fitted.project, asked.test_ids, asked.target))
            found = along(model, train, columns.to(model.dtype), fitted.blocks)
            total += rate * (found.double() * sizes).mT
            asked.tick(place + 1, of)
        return scores.scale(total, 1, asked.target)

    def own(self, learnt: Tensors) -> Tensor:
        """``sum_c learning_rate_c |grad loss_i(theta_c)|^2``."""
        return learnt["own"]


def moments(fitted: BaselineFit, dtype: torch.dtype) -> Iterator[tuple[float, FunctionalModel]]:
    """Learning rate and model of each checkpoint, one in memory at a time.

    Raises:
        ProjectError: If a checkpoint is not of this model.
    """
    for number, one in enumerate(fitted.project.checkpoints):
        yield one.learning_rate, _at(fitted.project, one, number, dtype)


def _at(project: Project, checkpoint: Checkpoint, number: int, dtype: torch.dtype) -> FunctionalModel:
    model = FunctionalModel.of(project, dtype)
    try:
        model.module.load_state_dict(checkpoint.load())
    except (RuntimeError, OSError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        msg = f"Checkpoint {number} cannot be loaded into the model ({reason}); give state dicts of this very model."
        raise ProjectError(msg) from error
    theta = model.vector.flatten({name: p.detach() for name, p in model.module.named_parameters()})
    if not theta.isfinite().all():
        msg = f"Checkpoint {number} holds NaN or infinity; leave it out."
        raise ProjectError(msg)
    return replace(model, theta=theta.clone())


def digest(fitted: BaselineFit) -> Tensor:
    """SHA-256 of the learning rates and the attributed parameters at every checkpoint, 32 bytes."""
    total = hashlib.sha256()
    for rate, model in moments(fitted, torch.float64):
        total.update(repr(rate).encode())
        total.update(model.theta.contiguous().numpy().tobytes())
    return torch.tensor(list(total.digest()), dtype=torch.uint8)


def _check_same(fitted: BaselineFit, learnt: Tensors) -> None:
    if not torch.equal(digest(fitted), learnt["checkpoints"]):
        msg = (
            "The project's checkpoints are not those that this run was built with; build into another folder, or "
            "bring the old ones back."
        )
        raise ProjectError(msg)


def _in_memory(fitted: BaselineFit) -> Dataset:
    """The training data; a frozen trunk is run again at every checkpoint, where it may have been another."""
    return stacked(fitted.project.train, fitted.model.dtype)
