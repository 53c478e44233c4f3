"""Named parameters as one flat vector, and which of them are attributed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from influence_core.errors import ProjectError


@dataclass(frozen=True)
class ParameterVector:
    """The attributed parameters, in the model's own order, as one vector of length ``size``.

    Attributes:
        names: Names as in ``model.named_parameters()``; a tied weight appears once.
        shapes: Their shapes.
        total: Number of all parameters of the model, attributed or not.
    """

    names: tuple[str, ...]
    shapes: tuple[torch.Size, ...]
    total: int

    @classmethod
    def of(cls, model: nn.Module, attributed: Sequence[str] = ()) -> ParameterVector:
        """Choose the parameters that require a gradient and match a pattern.

        Raises:
            ProjectError: If nothing is left, or a pattern matches nothing.
        """
        named = dict(model.named_parameters())
        for pattern in attributed:
            if not any(fnmatchcase(name, pattern) for name in named):
                msg = f"No parameter is called '{pattern}'; the model has {', '.join(named) or 'none'}."
                raise ProjectError(msg)
        chosen = {
            name: p
            for name, p in named.items()
            if p.requires_grad and (not attributed or any(fnmatchcase(name, pattern) for pattern in attributed))
        }
        if not chosen:
            msg = "No parameter of the model requires a gradient, so nothing can be attributed; unfreeze a layer."
            raise ProjectError(msg)
        total = sum(p.numel() for p in named.values())
        return cls(tuple(chosen), tuple(p.shape for p in chosen.values()), total)

    @property
    def size(self) -> int:
        """Number of attributed parameters."""
        return sum(shape.numel() for shape in self.shapes)

    @property
    def layers(self) -> dict[str, tuple[slice, ...]]:
        """Where the parameters of each layer are in the vector, by the layer's name."""
        found: dict[str, tuple[slice, ...]] = {}
        start = 0
        for name, shape in zip(self.names, self.shapes, strict=True):
            layer = name.rpartition(".")[0]
            found[layer] = (*found.get(layer, ()), slice(start, start + shape.numel()))
            start += shape.numel()
        return found

    def flatten(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """One vector of length ``size``."""
        return torch.cat([parameters[name].reshape(-1) for name in self.names])

    def unflatten(self, vector: Tensor) -> dict[str, Tensor]:
        """The inverse of ``flatten``."""
        parts = torch.split(vector, [shape.numel() for shape in self.shapes])
        return {name: part.view(shape) for name, part, shape in zip(self.names, parts, self.shapes, strict=True)}
