"""What the modules of a model return in one forward, and whether that is the same elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten

from influence_core.gradients import FunctionalModel
from influence_core.task import Batch


@dataclass
class Call:
    """What one module returned in one forward of the model.

    Attributes:
        leaves: Copies of its tensors, and whatever else it returned.
        spec: How they are nested.
        versions: Of the tensors themselves, when they were returned.
        count: How often the module was called.
        originals: The tensors themselves.
    """

    leaves: list[Any]
    spec: TreeSpec
    versions: list[int]
    count: int = 1
    originals: list[Any] = field(default_factory=list)

    @property
    def mutated(self) -> bool:
        """Whether a tensor was changed in place after the module had returned it."""
        return any(t._version != v for t, v in zip(self.originals, self.versions, strict=True) if isinstance(t, Tensor))


def record(model: FunctionalModel, names: Sequence[str], theta: Tensor, batch: Batch) -> dict[str, Call]:
    """What each module returned, in the order of the calls; how often each was called is counted."""
    calls: dict[str, Call] = {}
    with torch.enable_grad(), listening(model.module, names, calls):
        model.outputs(theta, batch)
    return calls


@contextmanager
def listening(module: nn.Module, names: Sequence[str], calls: dict[str, Call]) -> Iterator[None]:
    """Put what each module returns meanwhile into ``calls``."""

    def listen(name: str, _: nn.Module, __: Any, output: Any) -> None:
        if name in calls:
            calls[name].count += 1
            return
        leaves, spec = tree_flatten(output)
        kept = [leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        versions = [leaf._version if isinstance(leaf, Tensor) else 0 for leaf in leaves]
        calls[name] = Call(kept, spec, versions, originals=leaves)

    hooks = [module.get_submodule(name).register_forward_hook(partial(listen, name)) for name in names]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def is_constant(call: Call) -> bool:
    """Called once, and nothing but tensors that no attributed parameter reaches."""
    return call.count == 1 and all(isinstance(leaf, Tensor) and not leaf.requires_grad for leaf in call.leaves)


def same(one: Call, two: Call) -> bool:
    """Bit by bit."""
    return one.spec == two.spec and all(torch.equal(a, b) for a, b in zip(one.leaves, two.leaves, strict=True))


def is_by_row(call: Call, single: Call, rounding: float) -> bool:
    """Whether the first row alone gives the first row of the whole."""
    if call.spec != single.spec:
        return False
    return all(
        whole.dim() > 0
        and one.shape == (1, *whole.shape[1:])
        and whole.shape[0] > 1
        and close(one, whole[:1], rounding)
        for whole, one in zip(call.leaves, single.leaves, strict=True)
    )


def close(one: Tensor, two: Tensor, rounding: float) -> bool:
    """Relative difference in norm; NaN is close to nothing."""
    one, two = one.double(), two.double()
    return bool((one - two).norm() <= rounding * (1e-300 + two.norm()))
