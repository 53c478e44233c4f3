"""The strongest scores and their histogram, against all scores sorted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from influence_core import gradient_rows
from influence_core.gradient_rows import DenseRows, GradientRows, KroneckerRows
from influence_core.sharded_rows import ShardedRows
from influence_core.strongest import BINS, strongest
from tests import oracles

N, D, K = 4_000, 9, 3
DRAWN = torch.Generator().manual_seed(0)
INPUTS, FACTORS = (torch.randn(N, width, generator=DRAWN, dtype=torch.float32) for width in (D, K))
FULL = (FACTORS[:, :, None] * INPUTS[:, None, :]).flatten(1)
COLUMNS = torch.randn(D * K, 20, generator=DRAWN, dtype=torch.float32)  # more than one pass takes

FORMS: dict[str, GradientRows] = {
    "dense": DenseRows(FULL),
    "factored": KroneckerRows(INPUTS, FACTORS),
    "sharded": ShardedRows(tuple(FULL.split(700))),
    "rounded": ShardedRows(tuple(FULL.bfloat16().split(700)), exact=lambda ids: FULL[ids]),
}


@pytest.fixture(autouse=True)
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient_rows, "PART", 300)
    monkeypatch.setattr(gradient_rows, "FACTORED_PART", 300)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("k", [1, 20, 500])
def test_both_ends_are_those_of_all_scores(form: str, k: int) -> None:
    exact = FULL.double() @ COLUMNS.double()
    for column, found in zip(exact.unbind(1), strongest(FORMS[form], COLUMNS, k), strict=True):
        for side, order in ((found.largest, column.argsort(descending=True)), (found.smallest, column.argsort())):
            close = 1e-3 if form == "rounded" and k == 500 else 1e-5  # the last of many are a close call
            assert oracles.relative(side.scores, column[order[:k]]) < close
            assert oracles.relative(column[side.ids], column[order[:k]]) < close


@pytest.mark.parametrize("form", FORMS)
def test_the_histogram_counts_every_row_where_it_belongs(form: str) -> None:
    exact = FULL.double() @ COLUMNS[:, :1].double()
    (found,) = strongest(FORMS[form], COLUMNS[:, :1], 20)
    assert int(found.counts.sum()) == N
    assert len(found.counts) == BINS
    for edge, below in zip(found.edges[1:-1], found.counts.cumsum(0)[:-1], strict=True):
        near = 0.02 + 0.02 * abs(float(edge))  # a score of a rounded row, sorted in by its first three digits
        least, most = (int((exact < bound).sum()) for bound in (edge - near, edge + near))
        assert least <= int(below) <= most


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_equal_scores_come_by_id_whoever_computes_them(threads: int) -> None:
    rows: Tensor = torch.zeros(N, 2)
    rows[::7, 0] = 1.0
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        (found,) = strongest(DenseRows(rows), torch.tensor([[1.0], [0.0]], dtype=rows.dtype), 25)
    finally:
        torch.set_num_threads(before)
    assert found.largest.ids.tolist() == list(range(0, 175, 7))
    assert found.smallest.ids.tolist() == [i for i in range(40) if i % 7][:25]


def test_one_row_and_equal_scores_everywhere_have_a_histogram_too() -> None:
    for n in (1, 30):
        (found,) = strongest(DenseRows(torch.ones(n, 2)), torch.ones(2, 1), 20)
        assert int(found.counts.sum()) == n
        assert len(found.largest.ids) == min(n, 20)
