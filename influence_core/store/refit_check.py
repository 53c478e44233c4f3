"""The built-in check of a run on a linear head: real refits without a few random training examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from influence_core.evaluation.agreement import sample_rows
from influence_core.evaluation.leave_one_out import Measured, refitted_scores
from influence_core.gradients import FunctionalModel
from influence_core.heads import Head
from influence_core.methods.base import Tensors, Tick
from influence_core.project import Project
from influence_core.target import Target

REMOVED = 24  # refits
MEASURED = 200  # test predictions that are measured after each


@dataclass(frozen=True)
class RefitCheck:
    """Predicted and refitted changes, side by side.

    Attributes:
        project: Its data and its task.
        model: The model that ``head`` is part of, in float64.
        head: The linear head.
        ids: Test predictions that are measured.
        predicted: Their scores by the method, shape ``(measured, n_train)``.
        target: What is measured.
        solve: Applies the undamped inverse curvature to a column, if that is at hand; a factor is made otherwise.
    """

    project: Project
    model: FunctionalModel
    head: Head
    ids: Sequence[int]
    predicted: Tensor
    target: Target
    solve: Callable[[Tensor], Tensor] | None = None

    def compute(self, train: Tensors, tick: Tick) -> dict[str, torch.Tensor]:
        """``predicted`` and ``refitted``, shape ``(removed, measured)``, and the ids of ``removed``.

        Args:
            train: The head's training ``inputs``, ``labels`` and ``weights``, if a stage of the fit has read them.
            tick: Progress.

        Raises:
            CurvatureError: If there is no single optimum to refit to.
        """
        removed = sample_rows(len(self.project.train), REMOVED)
        if "inputs" in train:
            problem = self.head.problem(train["inputs"], train["labels"], train.get("weights"))
        else:
            seen = self.head.read(self.model, self.project, "train")
            problem = self.head.problem(seen.inputs, seen.labels, seen.weights)
        coefficients = problem.coefficients(self.head.layer)
        tests = Measured(self.head.rows(self.model, self.project, self.ids), self.project.task, self.target)
        refitted = refitted_scores(problem, coefficients, tests, removed, solve=self.solve, tick=tick)
        kept = {"predicted": self.predicted[:, removed].mT, "refitted": refitted}
        return {**kept, "removed": torch.tensor(removed, device="cpu")}
