"""Similarity of two examples as the model sees them just before its last linear layer.

Hanawa et al., "Evaluation of Similarity-based Explanations" (ICLR 2021), compare such measures: they find alike
examples, whatever those did to the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from influence_core.errors import MethodError
from influence_core.gradients import FunctionalModel
from influence_core.methods.base import Tensors, Tick
from influence_core.methods.baseline import Asked, BaselineAttributor, BaselineFit, quotient
from influence_core.predictions import predict
from influence_core.project import Project, Split
from influence_core.readings import Reading

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
NAMED = "Conv1D"  # the linear layer of some models of Hugging Face, a package that need not be installed


@dataclass(frozen=True)
class Similarity:
    """Cosine of the inputs of the last linear layer, from -1 to 1."""

    name: ClassVar[str] = "similarity"
    title: ClassVar[str] = "Similarity of last features (baseline)"
    cost: ClassVar[str] = "One pass over the data; the features of every training example are kept"
    limits: ClassVar[str] = "Models with a linear or convolutional layer; no prediction of a refit; blind to labels"
    reading: ClassVar[Reading] = Reading(
        unit="cosine",
        sentence="A baseline: how alike the examples look to the model, which does not predict what a refit would do.",
        positive="similar",
        negative="dissimilar",
        meaning="Positive = similar: the features of both examples before the last layer point the same way.",
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
            MethodError: If the model has no linear or convolutional layer.
        """
        fitted = BaselineFit.of(self, project)
        last_layer(fitted.model, project)
        return fitted

    def fit(self, project: Project) -> BaselineAttributor:
        """Run the model over the training data.

        Raises:
            ProjectError: If model, data and task do not fit together.
            MethodError: If the model has no linear or convolutional layer.
        """
        return self.prepare(project).fit()

    def learn(self, fitted: BaselineFit, tick: Tick) -> dict[str, Tensor]:
        """Directions of the training examples' features, shape ``(n, d)``, each of length 1."""
        found = directions(fitted, "train")
        tick(1, 1)
        return {"directions": found.float()}

    def numbers(self, asked: Asked) -> Tensor:
        """The cosines; what is measured of a prediction does not matter."""
        return directions(asked.fitted, "test", asked.test_ids) @ asked.learnt["directions"].double().mT

    def own(self, learnt: Tensors) -> Tensor | None:  # noqa: ARG002  (every baseline is asked the same)
        """None: every example is as similar to itself as any other is."""
        return None


def directions(fitted: BaselineFit, split: Split, ids: Sequence[int] | None = None) -> Tensor:
    """Features of length 1, shape ``(n, d)``, float64; 0 where an example has none."""
    layer = last_layer(fitted.model, fitted.project)
    features = predict(fitted.model, fitted.project, split, ids=ids, capture=layer).inputs.flatten(1).double()
    return quotient(features, features.norm(dim=1, keepdim=True))


def last_layer(model: FunctionalModel, project: Project) -> nn.Module:
    """The linear or convolutional layer that is called last.

    Raises:
        MethodError: If there is none, or it is not given one row an example.
    """
    called: list[tuple[nn.Module, int]] = []
    layers = [one for one in model.module.modules() if isinstance(one, LAYERS) or type(one).__name__ == NAMED]
    hooks = [one.register_forward_pre_hook(lambda m, args: called.append((m, len(args[0])))) for one in layers]
    rows = range(min(2, len(project.train)))
    try:
        with torch.no_grad():
            _, batch = next(model.batches(project.train, len(rows), rows))
            model.outputs(model.theta, batch)
    finally:
        for hook in hooks:
            hook.remove()
    if not called or called[-1][1] != len(rows):
        msg = (
            "The model calls no linear or convolutional layer with one row an example, so there are no last features "
            "to compare; use the method grad-cosine."
        )
        raise MethodError(msg)
    return called[-1][0]
