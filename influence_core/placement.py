"""Where tensors live: computed on the device of the project's model, kept on the CPU.

What is made anew takes the device of a tensor it is used with; elsewhere the CPU is named only for what is read as a
number, an index, or kept in a file. Random numbers are drawn there and moved, so that a seed means the same everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def number(value: float) -> Tensor:
    """One number for a file, in float64."""
    return torch.tensor(value, dtype=torch.float64, device="cpu")


def seeded(seed: int) -> torch.Generator:
    """A stream of random numbers."""
    return torch.Generator(device="cpu").manual_seed(seed)


def normal(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Standard normal numbers in the precision and on the device of ``like``."""
    return torch.randn(shape, dtype=like.dtype, device=generator.device, generator=generator).to(like.device)


def kept(tensor: Tensor) -> Tensor:
    """A tensor as files keep it: on the CPU, without its history."""
    return tensor.detach().to("cpu").contiguous()


def at_hand(tensors: Mapping[str, Tensor], like: Tensor) -> dict[str, Tensor]:
    """Tensors of a file, where ``like`` is."""
    return {name: tensor.to(like.device) for name, tensor in tensors.items()}
