"""A model's per-example gradients in factors, layer by layer: one forward pass, and one reverse pass a gradient.

The reverse passes stop at the layers' outputs, so that no gradient of the size of a weight is ever formed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from influence_core.curvature.layer_rows import LayerRows
from influence_core.curvature.layers import ADVICE, Layer, find_layers, refuse
from influence_core.errors import MethodError
from influence_core.gradients import FunctionalModel
from influence_core.placement import seeded
from influence_core.project import Dataset
from influence_core.replay import own
from influence_core.target import Target
from influence_core.task import Batch, ClassificationTask, loss_curvature

FEW_OUTPUTS = 64  # up to so many the Fisher's expectation is taken exactly
AGREEMENT = {torch.float64: 1e-8, torch.float32: 1e-3, torch.bfloat16: 0.1}  # relative, with autograd on a few rows
SAMPLE = 3  # rows on which that is tried

Rows = dict[str, LayerRows]  # by layer name


@dataclass(frozen=True)
class FactoredModel:
    """A model and its layers.

    Attributes:
        model: The model as a function of its parameters.
        layers: Those with attributed parameters.
        left: Attributed parameters that belong to no layer whose gradients have factors.
    """

    model: FunctionalModel
    layers: tuple[Layer, ...]
    left: tuple[str, ...]

    @classmethod
    def of(cls, model: FunctionalModel, train: Dataset) -> FactoredModel:
        """Find the layers, and compare their gradients with autograd on a few rows.

        Raises:
            MethodError: If a weight is tied, or is used in another way than by calling its layer.
        """
        layers, left = find_layers(model)
        factored = cls(model, tuple(layers), tuple(left))
        rows = range(min(SAMPLE, len(train)))
        _, batch = next(model.batches(train, len(rows), rows))
        factored._compare(batch)
        return factored

    @property
    def dtype(self) -> torch.dtype:
        """Of the rows: sums of many bfloat16 numbers need more digits than it has."""
        return torch.float32 if self.model.dtype is torch.bfloat16 else self.model.dtype

    def check_whole(self, method: str) -> None:
        """Raise MethodError if a parameter belongs to no layer: which layer, and which method serves it."""
        if self.left:
            raise refuse(self.model, self.left, method)

    def gradients(self, fisher: str) -> int:
        """Pseudo-gradients of an example, at most: one of each output, or a single one that is drawn or empirical."""
        outputs = max(1, self.model.task.n_targets)
        return outputs if fisher == "expected" and outputs <= FEW_OUTPUTS else 1

    def loss_rows(self, batch: Batch) -> Rows:
        """Gradients of the training losses."""
        return self._rows(batch, lambda z: _slopes(z, lambda z: self.model.task.losses(z, own(batch))))

    def measurement_rows(self, batch: Batch, target: Target) -> Rows:
        """Gradients of the measurements."""
        task = self.model.task
        return self._rows(batch, lambda z: _slopes(z, lambda z: task.measurements(z, own(batch), target)))

    def output_rows(self, batch: Batch) -> Rows:
        """Gradients of every output: as many of each example as the model has outputs."""
        return self._rows(batch, _each)

    def fisher_rows(self, batch: Batch, ids: Sequence[int], seed: int) -> Rows:
        """Pseudo-gradients whose outer products add up to each example's Fisher, in expectation if it is sampled.

        With few outputs they are the columns of a root of the loss's curvature by the outputs: that is the
        Gauss-Newton matrix, of a softmax exactly the Fisher's expectation over its labels. With many, one label an
        example is drawn by seed and row id.

        Raises:
            MethodError: If there are many outputs and no labels to draw.
        """
        return self._rows(batch, lambda z: self._pseudo_slopes(z, batch, ids, seed))

    def vectors(self, rows: Rows) -> Tensor:
        """The first gradient of each example as a column, shape ``(p, b)``; zero at parameters of no layer."""
        dense = {layer.name: rows[layer.name].dense()[0] for layer in self.layers}
        count = len(next(iter(dense.values())))
        columns = self.model.theta.new_zeros(self.model.vector.size, count, dtype=self.dtype)
        for layer in self.layers:
            layer.put(dense[layer.name], columns)
        return columns

    def _compare(self, batch: Batch) -> None:
        """Catches a weight that is also used elsewhere, such as by another function of the model."""
        model = self.model
        mine = self.vectors(self.loss_rows(batch)).sum(dim=1)
        exact: Tensor = torch.func.grad(lambda theta: model.losses(theta, batch).sum())(model.theta)
        for layer in self.layers:
            for place in (one for one in (layer.weight, layer.bias) if one is not None):
                error = (mine[place] - exact[place]).norm()
                if not float(error) <= AGREEMENT[model.dtype] * float(exact[place].norm() + 1e-3 * exact.norm()):
                    raise _used_elsewhere(layer, float(error / exact[place].norm().clamp_min(1e-30)))

    def _rows(self, batch: Batch, slopes: Callable[[Tensor], Tensor]) -> Rows:
        rows = tree_leaves(batch)[0].shape[0]
        with torch.enable_grad(), _listening(self.model.module, self.layers, rows) as calls:
            outputs = self.model.outputs(self.model.theta, batch)
            if not outputs.requires_grad:
                msg = "No layer that holds an attributed parameter is called by the model; call it as a module."
                raise MethodError(msg)
            cotangents = slopes(outputs.detach())
            found = {layer.name: calls.get(layer.name, []) for layer in self.layers}
            leaves = [out for made in found.values() for _, out in made]
            given = [_pull(outputs, leaves, one.reshape(outputs.shape)) for one in cotangents]
        pulled = iter([torch.stack(parts).to(self.dtype) for parts in zip(*given, strict=True)])
        by_layer = {}
        for layer in self.layers:
            made = found[layer.name]
            if not made:
                raise _never_called(layer)
            module = self.model.module.get_submodule(layer.name)
            inputs = [self._read(seen) for seen, _ in made]
            by_layer[layer.name] = layer.rows(module, inputs, [next(pulled) for _ in made])
        return by_layer

    def _read(self, seen: Tensor) -> Tensor:
        return seen.to(self.dtype) if seen.is_floating_point() else seen

    def _pseudo_slopes(self, outputs: Tensor, batch: Batch, ids: Sequence[int], seed: int) -> Tensor:
        if outputs[0].numel() <= FEW_OUTPUTS:
            return _root(loss_curvature(self.model.task, outputs, own(batch)))
        task = self.model.task
        if not isinstance(task, ClassificationTask) or task.loss is not None:
            msg = (
                f"The model has {outputs[0].numel()} outputs a row, and beyond {FEW_OUTPUTS} the Fisher needs labels "
                "to draw, which only a ClassificationTask with its own loss has; use --set fisher=empirical."
            )
            raise MethodError(msg)
        chances = task.log_scores(outputs).double().softmax(dim=1)
        drawn = torch.cat([_draw(row, seed, i) for row, i in zip(chances, ids, strict=True)])
        slopes: Tensor = chances.scatter_add(1, drawn[:, None], -torch.ones_like(chances[:, :1]))
        return slopes.to(outputs.dtype)[None]


def _slopes(outputs: Tensor, measure: Callable[[Tensor], Tensor]) -> Tensor:
    """Derivative of each example's number by its outputs, shape ``(1, b, outputs)``."""
    slopes: Tensor = torch.func.grad(lambda z: measure(z).sum())(outputs)
    return slopes[None]


def _each(outputs: Tensor) -> Tensor:
    """A column for each output, shape ``(outputs, b, outputs)``."""
    count = outputs[0].numel()
    identity = torch.eye(count, dtype=outputs.dtype, device=outputs.device)
    return identity[:, None].expand(count, len(outputs), count)


def _root(curvature: Tensor) -> Tensor:
    """Columns ``(r, b, c)`` whose outer products give each matrix ``(b, c, c)``; negative curvature is left out."""
    values, vectors = torch.linalg.eigh(curvature.double())
    values = values.clamp_min(0)
    columns = (vectors * values.sqrt()[:, None, :]).permute(2, 0, 1)
    kept = values.amax(dim=0) > 1e-12 * values.max()
    found: Tensor = columns[kept] if bool(kept.any()) else columns[-1:]
    return found.to(curvature.dtype)


def _draw(chances: Tensor, seed: int, row: int) -> Tensor:
    return torch.multinomial(chances.cpu(), 1, generator=seeded(1_000_003 * seed + row)).to(chances.device)


def _pull(outputs: Tensor, leaves: Sequence[Tensor], cotangent: Tensor) -> list[Tensor]:
    """Derivatives by the layers' outputs; zero for one that the outputs do not depend on."""
    found = torch.autograd.grad(outputs, leaves, cotangent, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, found, strict=True)]


Calls = dict[str, list[tuple[Tensor, Tensor]]]  # layer -> input and output of each call


@contextmanager
def _listening(module: nn.Module, layers: Sequence[Layer], rows: int) -> Iterator[Calls]:
    """Collect what goes into each layer and what comes out of it, the latter as something to differentiate by.

    A layer that is called once for all examples, such as an embedding of positions, is told apart for each of the rows.

    Raises:
        MethodError: If a layer's output has another number of rows.
    """
    calls: Calls = {}

    def listen(name: str, _: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        if len(output) not in (1, rows):
            raise _other_rows(name, len(output), rows)
        seen, out = (t.expand(rows, *t.shape[1:]) if len(output) == 1 else t for t in (args[0].detach(), output))
        out = out if out.requires_grad else out.detach().requires_grad_()
        calls.setdefault(name, []).append((seen, out))
        return out.clone()  # so that an activation in place leaves the original alone

    hooks = [module.get_submodule(one.name).register_forward_hook(partial(listen, one.name)) for one in layers]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _other_rows(name: str, found: int, rows: int) -> MethodError:
    msg = (
        f"The layer '{name}' gives {found} rows for a batch of {rows}, so its gradients are not known row by row; "
        f"call it on one row an example, or on a single one for all, or {ADVICE}."
    )
    return MethodError(msg)


def _never_called(layer: Layer) -> MethodError:
    msg = (
        f"The layer '{layer.name}' is never called as a module, so its inputs are not known; call it in forward, or "
        f"{ADVICE}."
    )
    return MethodError(msg)


def _used_elsewhere(layer: Layer, error: float) -> MethodError:
    msg = (
        f"The gradient by the layer '{layer.name}' is {100 * error:.0f} % off that of autograd, so its weight is used "
        f"in another way than by calling the layer; {ADVICE}."
    )
    return MethodError(msg)
