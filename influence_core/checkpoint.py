"""The model as it was during training, for methods that follow the training's path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """One moment of the training.

    Attributes:
        learning_rate: Length of a step at that time; of SGD with momentum, divided by ``1 - momentum``.
        state: The model's ``state_dict()`` at that time, or a function without arguments that loads it.
    """

    learning_rate: float
    state: State | Callable[[], State]

    def load(self) -> State:
        """The state dict."""
        return self.state() if callable(self.state) else self.state
