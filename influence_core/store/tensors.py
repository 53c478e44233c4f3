"""Tensors on disk: safetensors, memory-mapped, never pickle."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from influence_core.errors import DamagedWorkspaceError
from influence_core.placement import kept
from influence_core.store.files import check_sum, write

ROWS = 1024  # looked at together


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors whole; float64 that float32 holds without loss is stored as float32."""
    compact = {name: _compact(tensor) for name, tensor in tensors.items()}
    write(path, lambda temporary: _save(compact, temporary))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Memory-mapped tensors.

    Raises:
        DamagedWorkspaceError: If the file is not whole.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
    except (SafetensorError, OSError) as error:
        msg = f"{path.parent.name}/{path.name} is truncated or was altered; build the workspace again."
        raise DamagedWorkspaceError(msg) from error


def read_checked(path: Path) -> dict[str, Tensor]:
    """Memory-mapped tensors of a file whose digest its folder keeps.

    Raises:
        DamagedWorkspaceError: If it is missing, truncated or altered.
    """
    check_sum(path)
    return read_tensors(path)


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    """Save; what the operating system refused is raised as the OSError that it was."""
    try:
        save_file(tensors, path)
    except SafetensorError as error:
        code = re.search(r"(?:os error|code:) (\d+)", str(error))
        raise OSError(int(code[1]) if code else errno.EIO, str(error)) from error


def _compact(tensor: Tensor) -> Tensor:
    tensor = kept(tensor)
    if tensor.dtype is torch.float64 and tensor.dim() == 2 and _is_single(tensor):  # noqa: PLR2004
        return tensor.float()
    return tensor


def _is_single(tensor: Tensor) -> bool:
    """Whether float32 holds it without loss; found out a few rows at a time, mostly at the first ones."""
    parts = (tensor[start : start + ROWS] for start in range(0, len(tensor), ROWS))
    return all(torch.equal(part.float().double(), part) for part in parts)
