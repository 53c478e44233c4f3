"""Gradients, Jacobians and Hessian-vector products of a model as a function of one parameter vector.

Everything runs on a private copy of the user's model through torch.func, so that the user's model keeps its
parameters, buffers, flags, hooks and mode whatever happens here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, jvp, vjp, vmap
from torch.utils._pytree import tree_map

from influence_core.attention import plain_attention
from influence_core.parameters import ParameterVector
from influence_core.placement import normal, seeded
from influence_core.project import Dataset, Project, batches, cast
from influence_core.replay import Replayed, own, replaying
from influence_core.target import Target
from influence_core.task import Batch, Task, loss_curvature
from influence_core.user_model import private_copy

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class FunctionalModel:
    """The project's model as a pure function of the flat vector of its attributed parameters.

    Build it with ``FunctionalModel.of(project)``.

    Attributes:
        task: The project's task.
        vector: Names and shapes of the attributed parameters.
        theta: Their trained values, shape ``(p,)``.
        dtype: Precision of everything computed here.
        trunk: Frozen modules that are answered from store on batches that carry their outputs (``trunk.py``).
    """

    module: nn.Module
    task: Task
    vector: ParameterVector
    theta: Tensor
    dtype: torch.dtype
    trunk: tuple[Replayed, ...] = ()

    @classmethod
    def of(cls, project: Project, dtype: torch.dtype = torch.float64) -> FunctionalModel:
        """Copy the project's model and read its parameters."""
        vector = ParameterVector.of(project.model, project.attributed)
        module = private_copy(project.model, dtype)
        theta = vector.flatten({name: p.detach() for name, p in module.named_parameters()})
        return cls(module.requires_grad_(requires_grad=False), project.task, vector, theta.clone(), dtype)

    @property
    def device(self) -> torch.device:
        """Where everything is computed: that of the project's model."""
        return self.theta.device

    def batches(
        self, dataset: Dataset, size: int, ids: Sequence[int] | None = None
    ) -> Iterator[tuple[list[int], Batch]]:
        """Row ids and batches in this model's precision, on its device."""
        for rows, batch in batches(dataset, size, ids):
            yield rows, cast(batch, self.dtype, self.device)

    def outputs(self, theta: Tensor, batch: Batch) -> Tensor:
        """Raw outputs, shape ``(batch, outputs)``."""

        def model(*args: Any, **kwargs: Any) -> Any:
            return functional_call(self.module, self.vector.unflatten(theta), args, kwargs)

        with plain_attention(), replaying(batch, self.trunk) as plain:
            return self.task.outputs(model, plain)

    def losses(self, theta: Tensor, batch: Batch) -> Tensor:
        """Training losses, shape ``(batch,)``."""
        return self.task.losses(self.outputs(theta, batch), own(batch))

    def penalty(self, theta: Tensor) -> Tensor:
        """The regulariser, a scalar; parameters that are not attributed are constants in it."""
        fixed = dict(self.module.named_parameters())
        return self.task.penalty({**fixed, **self.vector.unflatten(theta)})

    def loss_gradients(self, batch: Batch) -> Tensor:
        """Gradient of each example's loss, shape ``(batch, p)``."""
        return self._per_example(grad(self._summed_loss), batch)

    def measurement_gradients(self, batch: Batch, target: Target) -> Tensor:
        """Gradient of each example's measurement, shape ``(batch, p)``."""

        def measure(theta: Tensor, one: Batch) -> Tensor:
            return self.task.measurements(self.outputs(theta, one), own(one), target)[0]

        return self._per_example(grad(measure), batch)

    def measurement_gradient(self, one: Batch, target: Target) -> Tensor:
        """Gradient of the measurement of a batch of one, shape ``(p,)``; recurrent layers have it too."""
        measured: Tensor = grad(lambda theta: self.task.measurements(self.outputs(theta, one), one, target)[0])(
            self.theta
        )
        return measured

    def output_jacobians(self, batch: Batch) -> Tensor:
        """Jacobian of each example's outputs, shape ``(batch, outputs, p)``."""

        def flat(theta: Tensor, one: Batch) -> Tensor:
            return self.outputs(theta, one)[0].reshape(-1)

        return self._per_example(jacrev(flat), batch)

    def output_curvature(self, batch: Batch) -> Tensor:
        """Second derivative of each loss by the outputs, shape ``(batch, outputs, outputs)``."""
        return loss_curvature(self.task, self.outputs(self.theta, batch), own(batch))

    def output_slopes(self, batch: Batch) -> Tensor:
        """Derivative of each loss by the outputs, shape ``(batch, outputs)``."""
        outputs = self.outputs(self.theta, batch)
        slopes: Tensor = grad(lambda z: self.task.losses(z, own(batch)).sum())(outputs)
        return slopes.reshape(len(outputs), -1)

    def directional_losses(self, batch: Batch, directions: Tensor) -> Tensor:
        """Derivative of each example's loss along each direction, one forward-mode pass a direction.

        Args:
            batch: The examples.
            directions: Shape ``(p, k)``.

        Returns:
            Shape ``(batch, k)``.
        """

        def along(direction: Tensor) -> Tensor:
            return jvp(lambda theta: self.losses(theta, batch), (self.theta,), (direction,))[1]  # type: ignore[no-any-return]

        return vmap(along, in_dims=1, out_dims=1)(directions)

    def loss_hessian_products(self, batch: Batch, directions: Tensor) -> Tensor:
        """Hessian of the batch's summed loss times each column, shape ``(p, k)`` to ``(p, k)``."""
        return self._hessian_products(lambda theta: self._summed_loss(theta, batch), directions)

    def loss_gauss_newton_products(self, batch: Batch, directions: Tensor) -> Tensor:
        """``sum_i J_i^T (d^2 loss_i / d outputs^2) J_i`` times each column, shape ``(p, k)`` to ``(p, k)``.

        One forward-mode pass, the loss's own curvature, one reverse pass a direction (Schraudolph 2002).
        """
        outputs, pull = vjp(lambda theta: self.outputs(theta, batch), self.theta)[:2]
        slopes = grad(lambda z: self.task.losses(z, own(batch)).sum())

        def product(direction: Tensor) -> Tensor:
            moved = jvp(lambda theta: self.outputs(theta, batch), (self.theta,), (direction,))[1]
            return pull(jvp(slopes, (outputs,), (moved,))[1])[0]  # type: ignore[no-any-return]

        return vmap(product, in_dims=1, out_dims=1)(directions)

    def linearised(self, batch: Batch) -> tuple[Tensor, Map, Map]:
        """The outputs, and their derivative as two maps that can be applied again and again without running the model.

        Returns:
            Outputs; ``v -> J v``, shape ``(p,)`` to that of the outputs; ``u -> J^T u``, the other way round.
        """
        outputs, back = vjp(lambda theta: self.outputs(theta, batch), self.theta)[:2]
        forth = vjp(lambda slopes: back(slopes)[0], torch.zeros_like(outputs))[1]  # the transpose of a linear map
        return outputs, (lambda v: forth(v)[0]), (lambda u: back(u)[0])

    def penalty_hessian_products(self, directions: Tensor) -> Tensor:
        """Hessian of the regulariser times each column, shape ``(p, k)`` to ``(p, k)``."""
        if self.penalty_diagonal is not None:
            return self.penalty_diagonal * directions
        return self._penalty_products(directions)

    @cached_property
    def penalty_diagonal(self) -> Tensor | None:
        """The regulariser's Hessian, shape ``(p, 1)``, if it is diagonal: L2 is, and then a product costs nothing."""
        probe = normal((self.vector.size, 1), seeded(0), self.theta)
        diagonal = self._penalty_products(torch.ones_like(probe))
        expected, error = self._penalty_products(probe), 100 * torch.finfo(self.dtype).eps
        is_diagonal = ((diagonal * probe - expected).abs() <= error * expected.abs()).all()  # whatever their scales
        return diagonal if is_diagonal else None

    def _penalty_products(self, directions: Tensor) -> Tensor:
        return self._hessian_products(lambda theta: self.penalty(theta) + 0 * theta.square().sum(), directions)

    def objective_gradient(self, dataset: Dataset, batch_size: int = 512) -> Tensor:
        """Gradient of the training objective J at the trained parameters, shape ``(p,)``; zero at an optimum."""
        total = torch.zeros_like(self.theta)
        for _, batch in self.batches(dataset, batch_size):
            total += grad(self._summed_loss)(self.theta, batch)
        return total / len(dataset) + self.penalty_gradient()

    def penalty_gradient(self) -> Tensor:
        """Gradient of the regulariser at the trained parameters, shape ``(p,)``."""
        # "+ 0 * theta" keeps the derivative defined for a penalty that does not touch these parameters
        found: Tensor = grad(lambda theta: self.penalty(theta) + 0 * theta.sum())(self.theta)
        return found

    def _summed_loss(self, theta: Tensor, batch: Batch) -> Tensor:
        return self.losses(theta, batch).sum()

    def _per_example(self, function: Any, batch: Batch) -> Tensor:
        """Map over the examples, each seen by the model as a batch of one."""

        def one(example: Batch) -> Tensor:
            return function(self.theta, tree_map(lambda t: t.unsqueeze(0), example))  # type: ignore[no-any-return]

        return vmap(one)(batch)

    def _hessian_products(self, scalar: Any, directions: Tensor) -> Tensor:
        def product(direction: Tensor) -> Tensor:
            return jvp(grad(scalar), (self.theta,), (direction,))[1]  # type: ignore[no-any-return]

        return vmap(product, in_dims=1, out_dims=1)(directions)
