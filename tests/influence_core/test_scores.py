"""Signs, units and words: one function serves screen, command line and export."""

from __future__ import annotations

import pytest
import torch

from influence_core.errors import TargetError
from influence_core.scores import InfluenceScores, refitted_score, scale, unit, words
from influence_core.target import Kind, Target


@pytest.mark.parametrize(
    ("target", "sign", "name", "positive", "negative"),
    [
        (Target(), 1, "nats", "helpful", "harmful"),
        (Target("loss", "predicted"), 1, "nats", "supports cat", "opposes cat"),
        (Target("loss", 0), 1, "nats", "supports ant", "opposes ant"),
        (Target("logit"), -1, "logits", "supports bee", "opposes bee"),
        (Target("margin", "predicted"), -1, "logits", "supports cat", "opposes cat"),
    ],
)
def test_only_the_true_loss_is_helpful(target: Target, sign: int, name: str, positive: str, negative: str) -> None:
    said = words(target, "classification", ("ant", "bee", "cat"), label=1, prediction=2)
    assert (said.positive, said.negative) == (positive, negative)
    assert unit(target, "classification") == name
    assert float(scale(torch.tensor(6.0), 3, target)) == 2.0 * sign
    assert float(refitted_score(torch.tensor(1.0), torch.tensor(1.5), target)) == 0.5 * sign


def test_regression_raises_or_lowers_the_value() -> None:
    said = words(Target("value"), "regression")
    assert (said.positive, said.negative) == ("raises the value", "lowers the value")
    assert unit(Target("value"), "regression", "euro") == "euro"
    assert unit(Target(), "regression", "euro") == "squared euro"


@pytest.mark.parametrize(
    ("target", "kind", "words_in_it"),
    [
        (Target("value"), "classification", "loss, logit, margin"),
        (Target("margin"), "regression", "loss, value"),
        (Target("loss", 3), "classification", "from 0 to 2"),
        (Target("loss", 1), "regression", "no classes"),
    ],
)
def test_a_target_that_cannot_be_measured_is_refused(target: Target, kind: Kind, words_in_it: str) -> None:
    with pytest.raises(TargetError, match=words_in_it):
        target.check(kind, 3)


def test_rankings_hold_one_sign_each_and_break_ties_by_id() -> None:
    scores = InfluenceScores(torch.tensor([[1.0, 0.0, -2.0, 1.0, 3.0]]), (7,), Target(), "nats", "exact", 0.0, 0.0)
    assert [(r.train_id, r.rank) for r in scores.top(7, 9)] == [(4, 1), (0, 2), (3, 3)]
    assert [(r.train_id, r.score) for r in scores.bottom(7, 9)] == [(2, -2.0)]
