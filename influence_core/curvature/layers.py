"""The layers of a model whose gradients have factors, found among its modules and listened to while it runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812  (the field's name for it)
from torch import Tensor, nn

from influence_core.curvature.layer_rows import Elementwise, LayerRows, Positions, Tokens
from influence_core.errors import MethodError
from influence_core.gradients import FunctionalModel

Kind = Literal["linear", "transposed", "convolution", "embedding", "norm"]
SIDEWAYS = ("transposed", "embedding")  # whose weights are inputs by outputs
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.LayerNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
ADVICE = "use --method cg, or attribute other layers with Project(attributed=...)"
SERVED = "Linear, Conv1d to Conv3d without groups, Embedding, LayerNorm, BatchNorm and Conv1D of transformers"


@dataclass(frozen=True)
class Layer:
    """One layer whose gradient is a matrix of ``o`` outputs by ``i`` inputs.

    Attributes:
        name: Of its module.
        kind: How it computes.
        shape: ``(o, i)``, the bias included as the last of the inputs.
        weight: Where its weight lies in the flat vector; None if it is not attributed.
        bias: The same of its bias.
    """

    name: str
    kind: Kind
    shape: tuple[int, int]
    weight: slice | None
    bias: slice | None

    def matrices(self, vectors: Tensor) -> Tensor:
        """The layer's part of ``m`` columns ``(p, m)`` as matrices ``(m, o, i)``."""
        parts, outputs = [], self.shape[0]
        if self.weight is not None:
            flat, m = vectors[self.weight].mT, vectors.shape[1]
            is_sideways = self.kind in SIDEWAYS
            parts.append(flat.reshape(m, -1, outputs).mT if is_sideways else flat.reshape(m, outputs, -1))
        if self.bias is not None:
            parts.append(vectors[self.bias].mT[:, :, None])
        return torch.cat(parts, dim=2)

    def put(self, matrices: Tensor, vectors: Tensor) -> None:
        """The inverse of ``matrices``: write ``(m, o, i)`` into the layer's part of ``(p, m)``."""
        if self.weight is not None:
            block = matrices if self.bias is None else matrices[:, :, :-1]
            vectors[self.weight] = (block.mT if self.kind in SIDEWAYS else block).flatten(1).mT
        if self.bias is not None:
            vectors[self.bias] = matrices[:, :, -1].mT

    def rows(self, module: Any, seen: Sequence[Tensor], slopes: Sequence[Tensor]) -> LayerRows:
        """Gradients of some examples.

        Args:
            module: The layer's.
            seen: Its input at each call, ``(b, ...)``.
            slopes: Derivative by its output at each call, ``(r, b, ...)``.
        """
        if self.kind == "norm":
            parts = [self._norm(module, x, g) for x, g in zip(seen, slopes, strict=True)]
            return Elementwise(torch.stack(parts).sum(dim=0))
        if self.kind == "embedding":
            ids = torch.cat([x.reshape(len(x), -1) for x in seen], dim=1)
            flat = torch.cat([_by_position(g) for g in slopes], dim=2)
            held = ids == (-1 if module.padding_idx is None else module.padding_idx)
            return Tokens(ids, flat.masked_fill(held[:, :, None], 0), self.shape[1])
        if self.kind == "convolution":
            inputs = torch.cat([_patches(module, x) for x in seen], dim=1)
            flat = torch.cat([g.flatten(3).mT for g in slopes], dim=2)
        else:
            inputs = torch.cat([_flat(x) for x in seen], dim=1)
            flat = torch.cat([_by_position(g) for g in slopes], dim=2)
        return Positions(self._columns(inputs), flat)

    def _columns(self, inputs: Tensor) -> Tensor:
        ones = inputs.new_ones(*inputs.shape[:-1], 1)
        if self.weight is None:
            return ones
        return inputs if self.bias is None else torch.cat([inputs, ones], dim=-1)

    def _norm(self, module: Any, seen: Tensor, slopes: Tensor) -> Tensor:
        """Gradients by scale and shift, shape ``(r, b, o, i)``."""
        if isinstance(module, nn.LayerNorm):
            plain = F.layer_norm(seen, module.normalized_shape, eps=module.eps)
            features = len(module.normalized_shape)
            over = tuple(range(2, slopes.dim() - features))
        else:
            statistics = module.running_mean.to(seen), module.running_var.to(seen)
            plain = F.batch_norm(seen, *statistics, eps=module.eps)
            over = tuple(range(3, slopes.dim()))
        found = [slopes * plain] if self.weight is not None else []
        found += [slopes] if self.bias is not None else []
        return torch.stack([(g.sum(dim=over) if over else g).flatten(2) for g in found], dim=-1)


def find_layers(model: FunctionalModel) -> tuple[list[Layer], list[str]]:
    """The layers of the attributed parameters, in the order of these, and the parameters that belong to none.

    Raises:
        MethodError: If a weight is tied: used by two layers.
    """
    _refuse_tied(model)
    places = _places(model)
    layers: list[Layer] = []
    left: list[str] = []
    for prefix in dict.fromkeys(name.rpartition(".")[0] for name in model.vector.names):
        own = {n.rpartition(".")[2]: n for n in model.vector.names if n.rpartition(".")[0] == prefix}
        layer = _layer(model.module.get_submodule(prefix), prefix, {short: places[n] for short, n in own.items()})
        if layer is None:
            left += own.values()
        else:
            layers.append(layer)
    return layers, left


def refuse(model: FunctionalModel, left: Sequence[str], method: str) -> MethodError:
    """A method cannot serve these parameters: which layer, and which method can."""
    name = left[0].rpartition(".")[0]
    kind = type(model.module.get_submodule(name)).__name__
    more = f" ({len(left)} parameters in all, the first is '{left[0]}')" if len(left) > 1 else f" ('{left[0]}')"
    msg = (
        f"The method {method} does not serve the {kind} layer '{name or 'the model itself'}'{more}: it serves {SERVED}"
        f"; {ADVICE}."
    )
    return MethodError(msg)


def _refuse_tied(model: FunctionalModel) -> None:
    names: dict[int, str] = {}
    attributed = set(model.vector.names)
    for name, parameter in model.module.named_parameters(remove_duplicate=False):
        first = names.setdefault(id(parameter), name)
        if first != name and first in attributed:
            msg = (
                f"The weight '{first}' is tied to '{name}', and the factors of a layer know one use of a weight only; "
                f"{ADVICE}."
            )
            raise MethodError(msg)


def _places(model: FunctionalModel) -> dict[str, slice]:
    places, start = {}, 0
    for name, shape in zip(model.vector.names, model.vector.shapes, strict=True):
        places[name] = slice(start, start + shape.numel())
        start += shape.numel()
    return places


def _layer(module: Any, name: str, own: dict[str, slice]) -> Layer | None:
    kind = _kind(module)
    if kind is None or own.keys() - {"weight", "bias"}:
        return None
    weight, bias = own.get("weight"), own.get("bias")
    outputs, inputs = _shape(kind, module.weight.shape)
    return Layer(name, kind, (outputs, inputs * (weight is not None) + (bias is not None)), weight, bias)


def _shape(kind: Kind, weight: torch.Size) -> tuple[int, int]:
    if kind == "norm":
        return weight.numel(), 1
    outputs, inputs = weight[0], math.prod(weight[1:])
    return (inputs, outputs) if kind in SIDEWAYS else (outputs, inputs)


def _kind(module: Any) -> Kind | None:
    if isinstance(module, CONVOLUTIONS):
        return "convolution" if module.groups == 1 and not module.transposed else None
    if isinstance(module, NORMS):
        return "norm"
    if isinstance(module, nn.Embedding):
        return "embedding" if module.max_norm is None and not module.scale_grad_by_freq else None
    if isinstance(module, nn.Linear):
        return "linear"
    return "transposed" if type(module).__name__ == "Conv1D" and hasattr(module, "nf") else None


def _flat(x: Tensor) -> Tensor:
    return x[:, None] if x.dim() == 2 else x.flatten(1, -2)  # noqa: PLR2004  (a vector an example)


def _by_position(slopes: Tensor) -> Tensor:
    return slopes[:, :, None] if slopes.dim() == 3 else slopes.flatten(2, -2)  # noqa: PLR2004  (a vector an example)


def _patches(module: Any, x: Tensor) -> Tensor:
    """What a convolution sees at each position, shape ``(b, t, channels * kernel)``, in any number of dimensions."""
    padding = module._reversed_padding_repeated_twice
    x = F.pad(x, padding, mode="constant" if module.padding_mode == "zeros" else module.padding_mode)
    for dim, (size, step, gap) in enumerate(zip(module.kernel_size, module.stride, module.dilation, strict=True), 2):
        x = x.unfold(dim, gap * (size - 1) + 1, step)[..., ::gap]
    spatial = len(module.kernel_size)  # now (b, channels, places of each dimension, kernel of each dimension)
    places = range(2, 2 + spatial)
    x = x.permute(0, *places, 1, *range(2 + spatial, 2 + 2 * spatial))
    return x.flatten(1, spatial).flatten(2)
