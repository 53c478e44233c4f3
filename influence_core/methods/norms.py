"""What second rankings need to know of every training example: the length of its gradient and of its step."""

from __future__ import annotations

import torch
from torch import Tensor

from influence_core.errors import MethodError
from influence_core.methods.attributor import BLOCK, ExactAttributor
from influence_core.methods.base import Attributor, Fit, Tick
from influence_core.methods.baseline import ROWS, BaselineAttributor
from influence_core.methods.directions import gradient_norms
from influence_core.methods.ekfac_attributor import EkfacAttributor
from influence_core.methods.iterative import IterativeFit
from influence_core.methods.iterative_attributor import IterativeAttributor
from influence_core.methods.newton_attributor import NewtonAttributor


def norms(fit: Fit, attributor: Attributor, tick: Tick) -> dict[str, Tensor]:
    """``gradient_norms`` and, where the method solves for every example, ``step_norms``, float64, shape ``(n,)``.

    In a subspace they are lengths of the coordinates there. Empty of a baseline, whose numbers are no effects, and of
    a model that does not give every example's gradient by itself.
    """
    if isinstance(attributor, BaselineAttributor):
        return {}
    if isinstance(attributor, NewtonAttributor):
        attributor = attributor.first_order
    if isinstance(attributor, ExactAttributor):
        return _of_rows(attributor, tick)
    if isinstance(attributor, EkfacAttributor):
        return attributor.norms()
    if isinstance(attributor, IterativeAttributor) and attributor.first is not None:
        return {"gradient_norms": attributor.first.norms()["gradient_norms"]}  # its steps are not those of the solver
    model, train = fit.trunked if isinstance(fit, IterativeFit) else (fit.model, fit.project.train)
    try:
        return {"gradient_norms": gradient_norms(model, train, ROWS, tick)}
    except MethodError:
        return {}


def _of_rows(attributor: ExactAttributor, tick: Tick) -> dict[str, Tensor]:
    """Of gradients that are at hand, block by block."""
    gradients, steps, n = [], [], attributor.n_train
    for start in range(0, n, BLOCK):
        columns = attributor.rows.dense(start, start + BLOCK).to(attributor.curvature).mT
        gradients.append(columns.norm(dim=0))
        steps.append(attributor.factor.solve(columns).norm(dim=0))
        tick(min(start + BLOCK, n), n)
    return {"gradient_norms": torch.cat(gradients), "step_norms": torch.cat(steps)}
