"""Trained weights as a file in the user's cache, so that a demo is trained once on a machine.

A name holds the hash of everything that decides the weights: another recipe, torch or data set is another file.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import torch
from platformdirs import user_cache_path
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

_log = logging.getLogger(__name__)


def recipe_hash(words: Iterable[str], data: Iterable[Tensor]) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of torch's version, the words and the tensors' bytes."""
    total = hashlib.sha256("\n".join((torch.__version__, *words)).encode())
    for tensor in data:
        total.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        total.update(tensor.contiguous().numpy().tobytes())
    return total.hexdigest()[:16]


def trained_once(name: str, untrained: nn.Module, train: Callable[[], nn.Module]) -> nn.Module:
    """The model in eval mode with the weights kept under that name, or trained and then kept.

    Args:
        name: Of the file, with the recipe's hash in it.
        untrained: A model of the same shape, which receives the weights.
        train: Makes the trained model, or trains the untrained one in place.
    """
    expected = untrained.state_dict()
    untrained.load_state_dict(made_once(name, expected, lambda: train().state_dict()))
    return untrained.eval()


def made_once(name: str, like: Mapping[str, Tensor], make: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
    """The tensors kept under that name, or made and then kept.

    A file that cannot be read or does not fit is replaced; a cache folder that cannot be used costs only the
    time of making them again.

    Args:
        name: Of the file, with the recipe's hash in it.
        like: Tensors of the names, shapes and types that are expected.
        make: Makes them.
    """
    path = user_cache_path("influence-dashboard", appauthor=False) / "models" / f"{name}.safetensors"
    found = _read(path, like)
    if found is None:
        found = make()
        _keep(path, found)
    return found


def _read(path: Path, expected: Mapping[str, Tensor]) -> Mapping[str, Tensor] | None:
    """The file's tensors, if they are finite and such as are expected."""
    try:
        found = load(path.read_bytes())
    except (OSError, SafetensorError):
        return None
    fits = found.keys() == expected.keys() and all(
        found[key].shape == value.shape and found[key].dtype == value.dtype and bool(found[key].isfinite().all())
        for key, value in expected.items()
    )
    return found if fits else None


def _keep(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write to a name of this process, then rename: a reader never sees half a file."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(save(dict(tensors)))
        temporary.replace(path)
    except OSError as error:
        _log.info("Trained weights are not kept, as %s cannot be written (%s).", path.parent, error.strerror)
        with suppress(OSError):
            temporary.unlink()
