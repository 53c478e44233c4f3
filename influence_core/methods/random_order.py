"""Random numbers: what any method has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from influence_core.errors import MethodError
from influence_core.methods.base import Tensors, Tick
from influence_core.methods.baseline import Asked, BaselineAttributor, BaselineFit
from influence_core.project import Project
from influence_core.readings import Reading


@dataclass(frozen=True)
class RandomOrder:
    """Numbers between -1 and 1, drawn anew for each prediction by the seed and its row id.

    Attributes:
        seed: Another one gives another order; 0 or more.
    """

    seed: int = 0

    name: ClassVar[str] = "random"
    title: ClassVar[str] = "Random order (baseline)"
    cost: ClassVar[str] = "Nothing"
    limits: ClassVar[str] = "Any model; no prediction of a refit, and of nothing else"
    reading: ClassVar[Reading] = Reading(
        unit="at random",
        sentence="A baseline: numbers drawn at random, which say nothing about the examples and predict no refit.",
        positive="drawn high",
        negative="drawn low",
        meaning="Positive = drawn high: a random number above zero, which says nothing about the example.",
        for_any_target=True,
    )
    is_direct: ClassVar[bool] = False
    is_estimate: ClassVar[bool] = False
    is_one_by_one: ClassVar[bool] = False
    damping: ClassVar[float] = 0.0
    curvature: ClassVar[str] = "none"

    def prepare(self, project: Project) -> BaselineFit:
        """Check the project and decide how it is computed.

        Raises:
            MethodError: If the seed is negative.
        """
        if self.seed < 0:
            msg = f"The method random's seed is {self.seed}; it must be 0 or more."
            raise MethodError(msg)
        return BaselineFit.of(self, project)

    def fit(self, project: Project) -> BaselineAttributor:
        """Nothing is looked at but what every project is checked for.

        Raises:
            ProjectError: If model, data and task do not fit together.
        """
        return self.prepare(project).fit()

    def learn(self, fitted: BaselineFit, tick: Tick) -> dict[str, Tensor]:
        """The number of training examples."""
        tick(1, 1)
        return {"n_train": torch.tensor(len(fitted.project.train))}

    def numbers(self, asked: Asked) -> Tensor:
        """A row's numbers depend on the seed and its id alone, whoever else is asked for."""
        n = int(asked.learnt["n_train"])
        drawn = [np.random.default_rng((self.seed, test_id)).uniform(-1, 1, n) for test_id in asked.test_ids]
        return torch.from_numpy(np.stack(drawn))

    def own(self, learnt: Tensors) -> Tensor | None:  # noqa: ARG002  (every baseline is asked the same)
        """None: it would mean nothing."""
        return None
