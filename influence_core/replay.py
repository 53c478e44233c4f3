"""Outputs of frozen modules that were run once, given back instead of running the modules again.

A batch that carries them is a ``Trunked``. While the model runs on one, each module that was made replayable answers
with what was stored; on any other batch it runs as always.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_leaves, tree_unflatten

from influence_core.task import Batch

Keep = Literal["nothing", "first", "all"]


class Trunked(NamedTuple):
    """A batch and what its frozen modules made of it; a pytree, as any batch is.

    Attributes:
        batch: The user's own batch.
        stored: For every tensor of every replayed module, by ``Part.key``: shape ``(n, ...)``.
    """

    batch: Batch
    stored: dict[str, Tensor]


@dataclass(frozen=True)
class Part:
    """One tensor of a module's output.

    Attributes:
        key: Names it in ``Trunked.stored``.
        keep: ``nothing`` if no one reads its values, ``first`` if only index 0 of its second dimension is read, else
            ``all``.
        shape: Of one row.
        dtype: Of its numbers.
    """

    key: str
    keep: Keep
    shape: torch.Size
    dtype: torch.dtype

    @property
    def bytes_a_row(self) -> int:
        """What is stored of a row."""
        kept = {"nothing": 0, "first": self.shape[1:].numel(), "all": self.shape.numel()}
        return kept[self.keep] * self.dtype.itemsize

    def trimmed(self, whole: Tensor) -> Tensor:
        """What is stored of a tensor."""
        return (whole[:, :1] if self.keep == "first" else whole).detach().clone()

    def restored(self, trunked: Trunked) -> Tensor:
        """A tensor of the full shape; what no one reads of it costs no memory, and is NaN where that is possible."""
        if self.keep != "nothing":
            found = trunked.stored[self.key]
            return found.expand(found.shape[0], *self.shape)
        leaf = tree_leaves(trunked.batch)[0]
        nothing: Tensor = leaf.new_full((), torch.nan, dtype=self.dtype)
        return nothing.expand(leaf.shape[0], *self.shape)


@dataclass(frozen=True)
class Replayed:
    """One module's output, to be put together again.

    Attributes:
        name: The module's.
        parts: Its tensors.
        spec: How they are nested.
    """

    name: str
    parts: tuple[Part, ...]
    spec: TreeSpec

    def output(self, trunked: Trunked) -> Any:
        """What the module would have returned."""
        return tree_unflatten([part.restored(trunked) for part in self.parts], self.spec)


_running: ContextVar[tuple[Trunked, dict[str, Replayed]] | None] = ContextVar("running", default=None)


@dataclass(frozen=True)
class ReplayableForward:
    """A module's forward that can be answered from store."""

    name: str
    forward: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The stored output while one is replayed, else the real one."""
        now = _running.get()
        if now is None or self.name not in now[1]:
            return self.forward(*args, **kwargs)
        return now[1][self.name].output(now[0])


def make_replayable(module: nn.Module, name: str) -> None:
    """Let a module of a private copy be answered from store."""
    layer = module.get_submodule(name)
    if not isinstance(layer.forward, ReplayableForward):
        layer.forward = ReplayableForward(name, layer.forward)


@contextmanager
def replaying(batch: Batch, plan: tuple[Replayed, ...]) -> Iterator[Batch]:
    """Run a model on the user's own batch, its stored modules answered from store if the batch brings them."""
    if not isinstance(batch, Trunked):
        yield batch
        return
    token = _running.set((batch, {replayed.name: replayed for replayed in plan}))
    try:
        yield batch.batch
    finally:
        _running.reset(token)


def own(batch: Batch) -> Batch:
    """The user's own batch."""
    return batch.batch if isinstance(batch, Trunked) else batch
