"""The number we show: its sign, its 1/n, its unit and its words. Nothing else in the project holds these.

``score(t, i)`` is the predicted change of the measurement on test example ``t`` if training example ``i`` were
removed and the model refitted with the remaining objective keeping its ``1/n``::

    score(t, i) = (1/n) grad m_t(theta)^T (H + damping I)^-1 grad loss_i(theta)

which is minus one n-th of ``I_up,loss`` in Koh & Liang, "Understanding Black-box Predictions via Influence
Functions" (ICML 2017). A measurement that grows with support (logit, margin, value) is negated, so that a
positive score always helps, supports or raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from influence_core.errors import MethodError
from influence_core.report import SolveReport
from influence_core.target import Target
from influence_core.task import RegressionTask, Task

DIRECT = 0.01  # relative residual above which a direct solve is no answer either


def signed(products: Tensor, target: Target) -> Tensor:
    """Turn gradients of a measurement, or products with them, so that positive helps, supports or raises."""
    return -products if target.larger_is_better else products


def scale(products: Tensor, n_train: int, target: Target) -> Tensor:
    """Turn ``grad m^T (H + damping I)^-1 grad loss`` into scores."""
    return signed(products, target) / n_train


def self_influence(products: Tensor, n_train: int) -> Tensor:
    """Turn ``grad loss_i^T (H + damping I)^-1 grad loss_i`` into the self-influence of each example."""
    return products / n_train


def refitted_score(before: Tensor, after: Tensor, target: Target) -> Tensor:
    """The measured change in the score's sign: what a score predicts, from measurements before and after a refit."""
    return (before - after) if target.larger_is_better else (after - before)


def unit(target: Target, kind: str, label_unit: str = "") -> str:
    """The unit of a score, in words."""
    if kind in ("regression", "multioutput"):
        name = label_unit or "label units"
        return name if target.measure == "value" else f"squared {name}"
    if kind in ("classification", "multilabel"):
        return "nats" if target.measure == "loss" else "logits"
    return "units of the measurement"


def unit_of(target: Target, task: Task) -> str:
    """The unit of a score of this task, in words."""
    return unit(target, task.kind, task.unit if isinstance(task, RegressionTask) else "")


@dataclass(frozen=True)
class Ranked:
    """One training example in a ranking; ``rank`` counts from 1."""

    train_id: int
    score: float
    rank: int


@dataclass(frozen=True)
class InfluenceScores:
    """Scores of some test examples against every training example.

    Attributes:
        values: Shape ``(n_test, n_train)``; the unit is ``unit``.
        test_ids: The row's test ids.
        target: What was measured.
        unit: In words.
        method: Name of the method.
        damping: The damping that was added to the curvature.
        residual: Largest relative residual of the solves on the full data.
        solves: How each row was solved, by an iterative method; empty for a direct one.
        outside: Share of the test gradient's squared length that the method left out, 0 to 1, the largest over the
            rows; None where it leaves nothing out.
        is_first: Whether this is an approximate answer at once, to be replaced by one that is solved.
        damping_rule: How the damping was chosen, or what is done in its place, in words; empty if it was given.
    """

    values: Tensor
    test_ids: tuple[int, ...]
    target: Target
    unit: str
    method: str
    damping: float
    residual: float
    solves: tuple[SolveReport, ...] = ()
    outside: float | None = None
    is_first: bool = False
    damping_rule: str = ""

    @property
    def converged(self) -> bool:
        """Whether every row is solved as exactly as was asked for; what is not must not be ranked."""
        if not bool(self.values.isfinite().all()):
            return False
        if self.solves:
            return all(solve.converged for solve in self.solves)
        return self.is_first or self.residual <= DIRECT

    @property
    def n_train(self) -> int:
        """Number of training examples."""
        return self.values.shape[1]

    def of(self, test_id: int) -> Tensor:
        """The scores of one test example, shape ``(n_train,)``."""
        return self.values[self.test_ids.index(test_id)]

    def top(self, test_id: int, k: int) -> list[Ranked]:
        """At most k examples with a positive score, largest first; ties by id."""
        return ranked(self.of(test_id), k, sign=1)

    def bottom(self, test_id: int, k: int) -> list[Ranked]:
        """At most k examples with a negative score, most negative first; ties by id."""
        return ranked(self.of(test_id), k, sign=-1)

    def check_converged(self, test_id: int) -> None:
        """Raise MethodError if the solve did not reach an answer, whose order would mean nothing."""
        if not self.converged:
            advice = self.solves[self.test_ids.index(test_id)].advice if self.solves else ""
            msg = f"The solve did not reach an answer (residual {self.residual:.2g}), so nothing is ranked. {advice}"
            raise MethodError(msg.strip())

    def frame(self, test_id: int, k: int | None = None) -> pd.DataFrame:
        """The scores of one test example as a data frame, from the most positive to the most negative.

        Args:
            test_id: The test example.
            k: Only the k most positive and the k most negative rows; all if absent.

        Returns:
            Columns ``train_id``; ``score``, in ``unit``; ``rank``, which counts from 1 within the positive and within
            the negative scores, the strongest first, and is 0 where the score is 0.

        Raises:
            MethodError: If the solve did not reach an answer, whose order would mean nothing.
        """
        self.check_converged(test_id)
        n = self.n_train if k is None else k
        top, bottom = self.top(test_id, n), self.bottom(test_id, n)
        ranked = {one.train_id for one in (*top, *bottom)} if k is None else set(range(self.n_train))
        rest = [Ranked(i, 0.0, 0) for i in range(self.n_train) if i not in ranked]
        rows = [*top, *rest, *reversed(bottom)]
        columns = {name: [getattr(row, name) for row in rows] for name in ("train_id", "score", "rank")}
        return pd.DataFrame(columns).astype({"train_id": int, "score": float, "rank": int})


def ranked(row: Tensor, k: int, sign: int) -> list[Ranked]:
    """At most k examples of one sign, the strongest first; ties by id."""
    order = torch.argsort(-sign * row, stable=True)[:k].tolist()
    kept = [i for i in order if sign * float(row[i]) > 0]
    return [Ranked(i, float(row[i]), rank) for rank, i in enumerate(kept, start=1)]


@dataclass(frozen=True)
class Words:
    """How to say a score.

    Attributes:
        positive: What a positive score does, such as ``helpful`` or ``supports 7``.
        negative: What a negative score does.
        meaning: One sentence that says what positive means.
        measured: The measurement, such as ``loss of 7``.
        is_neutral: Whether the words judge nothing, as those of a ranking that says no more than ``similar``.
    """

    positive: str
    negative: str
    meaning: str
    measured: str
    is_neutral: bool = False


def words(target: Target, kind: str, names: Sequence[str] = (), *, label: float = 0, prediction: float = 0) -> Words:
    """The words for screen, command line and export.

    Args:
        target: What is measured.
        kind: Of the task.
        names: Of its classes, labels or values; empty where there is one value.
        label: The true class's index, in classification.
        prediction: The predicted class's.
    """
    if target.is_true_loss or (target.measure == "loss" and kind != "classification"):
        return _of_loss(target, kind, names)
    if kind in ("regression", "multioutput", "custom"):
        value = "value" if target.of == "true" else names[int(target.of)]
        return Words(
            f"raises {value}" if names else "raises the value",
            f"lowers {value}" if names else "lowers the value",
            f"Positive = raises {value if names else 'the value'}: without this training example the predicted "
            f"{value} would fall.",
            f"predicted {value}",
        )
    name = names[int(_class_of(target, label, prediction))]
    direction = "fall" if target.larger_is_better else "rise"
    return Words(
        f"supports {name}",
        f"opposes {name}",
        f"Positive = supports {name}: without this training example the {target.measure} of {name} would {direction}.",
        f"{target.measure} of {name}",
    )


def _of_loss(target: Target, kind: str, names: Sequence[str]) -> Words:
    name = {"classification": "the true label", "multilabel": "all labels", "multioutput": "all values"}.get(kind, "")
    of = f" of {name if target.of == 'true' else names[int(target.of)]}" if name else ""
    return Words(
        "helpful",
        "harmful",
        "Positive = helpful: without this training example the loss of this prediction would rise.",
        f"loss{of}",
    )


def _class_of(target: Target, label: float, prediction: float) -> float:
    return {"true": label, "predicted": prediction}[target.of] if isinstance(target.of, str) else target.of
