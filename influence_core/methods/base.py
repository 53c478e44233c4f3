"""What a method is, and what it becomes once it is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass
from typing import Any, ClassVar, Literal, Protocol, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from influence_core.checks import SPLITS, check_batch_independence, check_same_outputs
from influence_core.errors import MethodError
from influence_core.gradients import FunctionalModel
from influence_core.heads import Head
from influence_core.predictions import Predictions, predict
from influence_core.project import Project, Split
from influence_core.rows import OutputRows
from influence_core.scores import InfluenceScores
from influence_core.sharded_rows import shard_key
from influence_core.solvers.damping import Damping
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
        in_double: Whether stored float32 is read back as float64, in which almost everything is computed.
    """

    name: str
    title: str
    compute: Callable[[Tensors, Tick], dict[str, Tensor]]
    in_double: bool = True


@dataclass(frozen=True)
class RowStage:
    """A step of a fit that makes rows, one a training example, a shard at a time: all of them need not fit into memory.

    Later stages and the attributor find them by ``sharded(tensors, NAME)``, memory-mapped where they are stored.

    Attributes:
        name: Names the files that keep its shards and the line of progress.
        title: The step in words.
        total: Number of rows.
        compute: A pure function of the project, the earlier stages' tensors and the rows ``start`` to ``stop``: tensors
            by name, of ``stop - start`` rows each. The rows must not depend on where a shard begins.
        shard: Rows at a time.
    """

    name: str
    title: str
    total: int
    compute: Callable[[Tensors, int, int], dict[str, Tensor]]
    shard: int = 65_536

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """Where each shard starts and stops."""
        return [(start, min(start + self.shard, self.total)) for start in range(0, self.total, self.shard)]

    def rows(self, earlier: Tensors, start: int, stop: int) -> dict[str, Tensor]:
        """One shard.

        Raises:
            MethodError: If a row holds NaN or infinity.
        """
        made = self.compute(earlier, start, stop)
        for name, rows in made.items():
            bad = ~rows.reshape(stop - start, -1).isfinite().all(dim=1)
            if bad.any():
                msg = (
                    f"{self.title}: row {start + int(bad.nonzero()[0])} of {name} holds NaN or infinity; look at that "
                    "training example, or leave it out."
                )
                raise MethodError(msg)
        return made


class Tests(Protocol):
    """Where the test predictions come from: the model, or what a workspace keeps of them."""

    def read(self, test_ids: Sequence[int]) -> OutputRows:
        """What is known of some test predictions."""
        ...

    def gradients(self, test_ids: Sequence[int], target: Target) -> Tensor:
        """Gradient of each measurement as a column, shape ``(p, m)``."""
        ...

    def outside(self, test_ids: Sequence[int], target: Target) -> Tensor | None:
        """Share of each measurement gradient's squared length that the method leaves out; None if nothing."""
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

    @property
    def first(self) -> Attributor | None:
        """Answers every prediction at once, but by an approximation; None where an answer takes no solve."""
        ...

    def self_influence(self) -> Tensor | None:
        """Self-influence of every training example, shape ``(n_train,)``; None where the method gives none."""
        ...

    def layer_scores(self, test_ids: Sequence[int], target: Target = ...) -> Mapping[str, Tensor]:
        """What each layer adds to the scores, by its name, shape ``(m, n_train)`` each.

        Raises:
            MethodError: If the scores are no sum over layers; names a method whose are.
        """
        ...

    @property
    def shard(self) -> int:
        """Test predictions that are computed and kept together."""
        ...

    @property
    def ends(self) -> tuple[float | None, float | None]:
        """Lowest and largest eigenvalue of the undamped curvature, where they are known."""
        ...

    def kept(self, test_ids: Sequence[int], target: Target, tick: Tick) -> dict[str, Tensor]:
        """What a workspace keeps of some test predictions: ``scores`` (float32), and what else it needs to answer."""
        ...


class Fit(Protocol):
    """One project being fitted by one method."""

    @property
    def method(self) -> Method:
        """The hyperparameters."""
        ...

    @property
    def project(self) -> Project:
        """What is fitted."""
        ...

    @property
    def model(self) -> FunctionalModel:
        """The private copy of its model."""
        ...

    @property
    def head(self) -> Head | None:
        """The linear head, if the model is one and the method makes use of it."""
        ...

    @property
    def stages(self) -> Sequence[Stage | RowStage]:
        """The steps of the fit, in order; each is stored by itself, so that a build can resume."""
        ...

    def predictions(self, split: Split) -> Predictions:
        """What the model says of a split; a frozen trunk is run over the training data only once, whoever asks."""
        ...

    def attributor(self, tensors: Tensors) -> Attributor:
        """The fitted method, from what the stages made."""
        ...


class Method(Protocol):
    """A frozen dataclass whose fields are its hyperparameters.

    Attributes:
        name: In commands and files.
        title: In words.
        cost: What it takes.
        limits: What it serves, and how far it is right.
        is_direct: Whether a stored run answers any target and damping by one solve, without the project's code.
        is_estimate: Whether scores estimate the change by a refit; those of a baseline do not.
        is_one_by_one: Whether each prediction takes a solve of its own, so that a build starts with the first few.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    name: ClassVar[str]
    title: ClassVar[str]
    cost: ClassVar[str]
    limits: ClassVar[str]
    is_direct: ClassVar[bool]
    is_estimate: ClassVar[bool]
    is_one_by_one: ClassVar[bool]

    @property
    def damping(self) -> Damping:
        """Added to the curvature once, as written; or chosen by a rule that the report names."""
        ...

    @property
    def curvature(self) -> str:
        """Which curvature is inverted."""
        ...

    def prepare(self, project: Project) -> Fit:
        """Check the project and decide how it is computed."""
        ...

    def fit(self, project: Project) -> Attributor:
        """Fit in memory."""
        ...


def try_rows(model: FunctionalModel, project: Project) -> None:
    """Run the model on the first rows of both splits, together and alone.

    Raises:
        ProjectError: If rows, labels, outputs and task do not fit together, an example depends on its batch, or the
            outputs on chance.
    """
    for split in SPLITS:
        predict(model, project, split, ids=range(min(4, len(project.split(split)))))
    check_same_outputs(model, project)
    check_batch_independence(model, project)


def run_stages(stages: Sequence[Stage | RowStage]) -> dict[str, Tensor]:
    """What the stages of a fit make, in memory."""
    tensors: dict[str, Tensor] = {}
    for stage in stages:
        if isinstance(stage, Stage):
            tensors |= stage.compute(tensors, lambda done, total: None)
            continue
        for start, stop in stage.bounds:
            shard = stage.rows(tensors, start, stop)
            tensors |= {shard_key(name, start): rows for name, rows in shard.items()}
    return tensors


def restricted(vectors: Tensor, places: Sequence[slice]) -> Tensor:
    """The vectors with zeros everywhere but at the places of one layer, shape ``(p, m)``."""
    kept = torch.zeros_like(vectors)
    for place in places:
        kept[place] = vectors[place]
    return kept


def no_layer_scores(method: str) -> MethodError:
    """A method's scores are no sum over layers: which ones are."""
    msg = f"Scores of the method {method} are no sum over layers; use exact, logra, cg, lissa or ekfac for such."
    return MethodError(msg)


def check_counts(method: Method, *names: str) -> None:
    """Raise MethodError if a hyperparameter that counts something is below 1."""
    for name in names:
        value = getattr(method, name)
        if value < 1:
            msg = f"The method {method.name}'s {name} is {value}; it must be 1 or more."
            raise MethodError(msg)


def check_choices(method: Method) -> None:
    """Raise MethodError if a hyperparameter that is one of a few words is another."""
    for name, hint in get_type_hints(type(method)).items():
        value = getattr(method, name)
        if get_origin(hint) is Literal and value not in get_args(hint):
            choices = ", ".join(map(str, get_args(hint)))
            msg = f"The method {method.name} has no {name} '{value}'; choose one of {choices}."
            raise MethodError(msg)
