"""What if these training examples had not been there? Any set of them removed at once, by Newton's method.

The scores of the set, added up, are first order and know nothing of each other; ``removal/group.py`` has the formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from influence_core import scores
from influence_core.checks import check_test_ids
from influence_core.errors import UnknownNameError
from influence_core.methods.exact import Exact, ExactFit
from influence_core.methods.newton import NewtonFit
from influence_core.project import Project
from influence_core.removal.group import GroupStep, Steps
from influence_core.rows import held
from influence_core.solvers.damping import AUTO
from influence_core.target import Target
from influence_core.task import inputs_and_labels, relabelled

BATCH = 256


@dataclass(frozen=True)
class GroupRemoval:
    """A set of training examples, removed.

    Attributes:
        train_ids: Which, in ascending order.
        parameters: The attributed parameters without them, shape ``(p,)``, in the order of the model's own.
        gradient_norm: Of the remaining objective's gradient where the steps ended: 0 at the refit.
        steps: How many Newton steps were made.
        fit: The model that they were removed from.
    """

    train_ids: tuple[int, ...]
    parameters: Tensor
    gradient_norm: float
    steps: int
    fit: ExactFit = field(repr=False)

    def effects(self, test_ids: Sequence[int], target: Target = Target()) -> Tensor:  # noqa: B008  (frozen)
        """Predicted changes of the measurement in the score's sign and unit, shape ``(len(test_ids),)``.

        Raises:
            TargetError: If the task cannot measure the target.
            UnknownNameError: If there is no such test example.
        """
        model, project = self.fit.model, self.fit.project
        target.check(project.task.kind, project.task.n_targets)
        check_test_ids(project, test_ids)
        parts = []
        for _, given in model.batches(project.test, BATCH, list(test_ids)):
            outputs = [model.outputs(theta, given) for theta in (model.theta, self.parameters)]
            batch, asked = given, target
            if target.of == "predicted":
                labels, asked = held(inputs_and_labels(given)[1], outputs[0], target)
                batch = relabelled(given, labels)
            before, after = (project.task.measurements(one, batch, asked) for one in outputs)
            parts.append(scores.refitted_score(before, after, target))
        return torch.cat(parts)

    def added_up(self, test_ids: Sequence[int], target: Target = Target()) -> Tensor:  # noqa: B008  (frozen)
        """The first-order scores of the removed examples, added up, shape ``(len(test_ids),)``; for comparison."""
        return self.fit.fitted.scores(test_ids, target).values[:, list(self.train_ids)].sum(dim=1)


def remove_group(
    project: Project | ExactFit | NewtonFit, train_ids: Sequence[int], steps: Steps = None
) -> GroupRemoval:
    """Remove a set of training examples at once; the remaining objective keeps its ``1/n``.

    Args:
        project: Of a small model; or, to ask several times, ``Exact(damping=...).prepare(project)``.
        train_ids: Which; one that is named twice counts once.
        steps: 1 or 2 Newton steps, or as many as it takes until the gradient vanishes.

    Raises:
        UnknownNameError: If there is no such training example.
        MethodError: If the model has too many parameters.
        CurvatureError: If the remaining curvature is not positive definite, or the gradient does not vanish.
    """
    fit = Exact().prepare(project) if isinstance(project, Project) else project
    exact = fit.exact if isinstance(fit, NewtonFit) else fit
    n = len(exact.project.train)
    rows = sorted({int(i) for i in train_ids})
    unknown = [i for i in rows if not 0 <= i < n]
    if unknown:
        msg = f"There is no training example {unknown[0]}; ids run from 0 to {n - 1}."
        raise UnknownNameError(msg)
    objective, start = exact.objective
    given = exact.method.damping
    damping = exact.fitted.factor.damping if given == AUTO else given  # the one that was chosen
    change, arrival = GroupStep(objective, start, n, damping).without(rows, steps)
    parameters = exact.model.theta + exact.flat(change)
    return GroupRemoval(tuple(rows), parameters, arrival.gradient_norm, arrival.steps, exact)
