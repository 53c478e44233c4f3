"""The relative of mnist-cnn: iterative scores against a damped Gauss-Newton answer that was computed another way."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

from influence_core.evaluation.agreement import pearson_and_slope
from influence_core.methods import ConjugateGradients, Lissa
from influence_core.scores import InfluenceScores
from tests import oracles
from tests.influence_core.cousin import cousin

DAMPING, TEST_IDS = 1e-2, (0, 3, 7, 12, 19)
TIGHT = 2e-3  # residual at which the sign, the slope and the order are compared


@cache
def expected() -> Tensor:
    return oracles.damped_gauss_newton_scores(cousin(), DAMPING, TEST_IDS)


def found(method: ConjugateGradients | Lissa) -> InfluenceScores:
    return method.fit(cousin()).scores(TEST_IDS)


METHODS = {
    "lissa": Lissa(damping=DAMPING, tolerance=TIGHT, passes=400),
    "cg": ConjugateGradients(damping=DAMPING, tolerance=TIGHT),
    "lissa finished by cg": Lissa(damping=DAMPING, tolerance=TIGHT, finish="cg", passes=8),
}


@pytest.mark.parametrize("name", [pytest.param("lissa", marks=pytest.mark.slow), "cg", "lissa finished by cg"])
def test_scores_agree_with_the_dense_answer(name: str) -> None:
    scores = found(METHODS[name])
    assert scores.converged
    assert oracles.relative(scores.values, expected()) < 3 * scores.residual
    for row, truth in zip(scores.values.double(), expected(), strict=True):
        pearson, slope = pearson_and_slope(row, truth)
        assert pearson >= 0.999
        assert slope == pytest.approx(1, abs=0.02)
        order = truth.argsort()
        ends = torch.cat([order[:10], order[-10:]])
        assert torch.equal(row[ends].sign(), truth[ends].sign())


def test_lissa_alone_would_not_have_done_what_conjugate_gradients_finish() -> None:
    scores = found(METHODS["lissa finished by cg"])
    for solve in scores.solves:
        assert [leg.solver for leg in solve.legs] == ["lissa", "cg"]
        assert solve.legs[0].residual > 10 * solve.residual


@pytest.mark.slow
def test_conjugate_gradients_in_float64_reach_the_dense_answer() -> None:
    scores = found(ConjugateGradients(damping=DAMPING, tolerance=1e-9, precision="float64"))
    assert scores.converged
    assert oracles.relative(scores.values, expected()) < 1e-6
