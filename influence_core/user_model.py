"""How the engine touches a user's model: a copy of it, run so that every derivative exists."""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import Tensor, nn

from influence_core.attention import unfuse
from influence_core.errors import ProjectError


def private_copy(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """An independent copy of the model in ``dtype``, whose padding vectors stay fixed in every derivative.

    Raises:
        ProjectError: If the model cannot be copied.
    """
    try:
        module = copy.deepcopy(model).to(dtype)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = f"The model cannot be copied, and the engine never works on yours ({reason}); remove cached tensors."
        raise ProjectError(msg) from error

    unfuse(module)
    for layer in module.modules():
        if isinstance(layer, nn.Embedding) and layer.padding_idx is not None:
            layer.register_forward_hook(partial(_hold_padding, layer.padding_idx))
    return module


def _hold_padding(padding: int, _: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """The padding vector is never trained: torch knows that in reverse mode, and forgets it in forward mode."""
    return torch.where((args[0] == padding)[..., None], output.detach(), output)
