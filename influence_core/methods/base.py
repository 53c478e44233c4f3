"""What a method is, and what it becomes once it is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor

from influence_core.project import Project
from influence_core.rows import OutputRows
from influence_core.scores import InfluenceScores
from influence_core.target import Target

Tensors = Mapping[str, Tensor]
Tick = Callable[[int, int], None]  # done, total


@dataclass(frozen=True)
class Stage:
    """One named step of a fit.

    Attributes:
        name: Names the file that keeps its result and the line of progress.
        title: The step in words.
        compute: A pure function of the project and the earlier stages' tensors.
    """

    name: str
    title: str
    compute: Callable[[Tensors, Tick], dict[str, Tensor]]


class Tests(Protocol):
    """Where the test predictions come from: the model, or what a workspace keeps of them."""

    def read(self, test_ids: Sequence[int]) -> OutputRows:
        """What is known of some test predictions."""
        ...

    def gradients(self, test_ids: Sequence[int], target: Target) -> Tensor:
        """Gradient of each measurement as a column, shape ``(p, m)``."""
        ...


class Attributor(Protocol):
    """A fitted method; it cannot exist unfitted."""

    @property
    def n_train(self) -> int:
        """Number of training examples."""
        ...

    def scores(self, test_ids: Sequence[int], target: Target = ...) -> InfluenceScores:
        """Scores of some test predictions against every training example."""
        ...

    def self_influence(self) -> Tensor:
        """Self-influence of every training example, shape ``(n_train,)``."""
        ...


class Method(Protocol):
    """A frozen dataclass whose fields are its hyperparameters."""

    name: ClassVar[str]
    title: ClassVar[str]
    cost: ClassVar[str]
    limits: ClassVar[str]

    def stages(self, project: Project) -> tuple[Stage, ...]:
        """The steps of a fit, in order; each is stored by itself, so that a build can resume."""
        ...

    def fit(self, project: Project) -> Attributor:
        """Fit in memory."""
        ...
