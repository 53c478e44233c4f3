"""The built-in check of a run on a linear head: real refits without a few random training examples."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from influence_core.evaluation.agreement import sample_rows
from influence_core.evaluation.leave_one_out import Measured, refitted_scores
from influence_core.heads import Head
from influence_core.methods.attributor import ExactAttributor
from influence_core.methods.base import Tensors, Tick
from influence_core.methods.newton_attributor import NewtonAttributor
from influence_core.target import Target

REMOVED = 24  # refits
MEASURED = 200  # test predictions that are measured after each


@dataclass(frozen=True)
class RefitCheck:
    """Predicted and refitted changes, side by side.

    Attributes:
        head: The linear head.
        attributor: Predicts.
        train: The training inputs and labels of the fit.
        ids: Solved test predictions, the most important first.
        target: What is measured.
    """

    head: Head
    attributor: ExactAttributor | NewtonAttributor
    train: Tensors
    ids: list[int]
    target: Target

    def compute(self, _: Tensors, tick: Tick) -> dict[str, torch.Tensor]:
        """``predicted`` and ``refitted``, shape ``(removed, measured)``, and the ids of ``removed``.

        Raises:
            CurvatureError: If there is no single optimum to refit to.
        """
        removed, measured = sample_rows(self.attributor.n_train, REMOVED), self.ids[:MEASURED]
        problem = self.head.problem(self.train["inputs"], self.train["labels"], self.train.get("weights"))
        coefficients = problem.coefficients(self.head.layer)
        tests = Measured(self.attributor.tests.read(measured), self.attributor.task, self.target)
        refitted = refitted_scores(problem, coefficients, tests, removed, tick)
        predicted = self.attributor.scores(measured, self.target).values[:, removed].mT
        return {"predicted": predicted, "refitted": refitted, "removed": torch.tensor(removed)}
