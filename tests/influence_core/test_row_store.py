"""Rows in shards: the numbers of full precision, any order of threads, whole or absent on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor

from influence_core.errors import DamagedWorkspaceError, MethodError
from influence_core.gradient_rows import DenseRows
from influence_core.methods.base import RowStage, Tensors, run_stages
from influence_core.sharded_rows import RESCORED, ShardedRows, sharded
from influence_core.store import files, row_store
from influence_core.store.row_store import RowStore, read_stage, stored_rows
from tests import oracles

N, K = 5_000, 32
ROWS = torch.randn(N, K, generator=torch.Generator().manual_seed(0))
COLUMNS = torch.randn(K, 3, generator=torch.Generator().manual_seed(1))


def stage(rows: Tensor = ROWS, shard: int = 1_000) -> RowStage:
    def compute(_: Tensors, start: int, stop: int) -> dict[str, Tensor]:
        return {"rows": rows[start:stop].clone(), "norms": rows[start:stop].norm(dim=1)}

    return RowStage("projections", "Projected gradients", len(rows), compute, shard)


def stored(folder: Path, made: RowStage) -> dict[str, Tensor]:
    """As a build does it, digests and all."""
    stored_rows(folder, made, {}, lambda done, total: None)
    files.write_sums(folder)
    return read_stage(folder, made)


@pytest.fixture
def rounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    monkeypatch.setattr(row_store, "SMALL", 0)
    return stored(tmp_path, stage())


@pytest.mark.parametrize("shard", [1, 999, N, 3 * N])
def test_the_answer_does_not_depend_on_the_shards(shard: int) -> None:
    rows = sharded(run_stages([stage(ROWS[:1500], shard)]), "rows")
    assert len(rows) == 1500
    assert oracles.relative(rows.dot(COLUMNS), ROWS[:1500].double() @ COLUMNS.double()) < 1e-6
    assert torch.equal(rows.dense(990, 1010), ROWS[990:1010])
    assert torch.equal(rows.take(torch.tensor([3, 1400, 0])).dense(0, 3), ROWS[[3, 1400, 0]])


def test_few_rows_are_kept_in_full(tmp_path: Path) -> None:
    read = stored(tmp_path, stage())
    assert torch.equal(sharded(read, "rows").dense(0, N), ROWS)
    assert not [key for key in read if "float32" in key]
    assert len(list(tmp_path.glob("projections-*.safetensors"))) == 5


def test_many_rows_are_rounded_and_the_strongest_are_scored_again(rounded: dict[str, Tensor]) -> None:
    rows = sharded(rounded, "rows")
    exact = ROWS.double() @ COLUMNS.double()
    error = (rows.dot(COLUMNS).double() - exact).abs()
    strongest = torch.cat([exact.topk(20, dim=0).indices, exact.topk(20, dim=0, largest=False).indices])
    assert error.gather(0, strongest).max() < 1e-5
    assert 1e-4 < error.max() < 0.05  # the others have three digits
    assert int((error[:, 0] < 1e-5).sum()) >= 2 * RESCORED
    assert torch.equal(rows.dense(5, 3_000), ROWS[5:3_000])
    assert {rounded[key].dtype for key in rounded if key.startswith("rows/")} == {torch.bfloat16}
    assert {rounded[key].dtype for key in rounded if key.startswith("norms/")} == {torch.float32}


def test_rows_can_be_computed_again_instead_of_kept_in_full() -> None:
    rows = ShardedRows((ROWS.bfloat16(),), exact=lambda ids: ROWS[ids])
    exact = ROWS.double() @ COLUMNS.double()
    top = exact.topk(20, dim=0).indices
    assert torch.equal(rows.dot(COLUMNS).topk(20, dim=0).indices, top)
    plain = ShardedRows((ROWS.bfloat16(),)).dot(COLUMNS)
    assert not torch.equal(plain.topk(20, dim=0).indices, top)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_no_bit(threads: int) -> None:
    rows = ShardedRows(tuple(ROWS.bfloat16().split(700)))
    expected = DenseRows(ROWS.bfloat16()).dot(COLUMNS)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = rows.dot(COLUMNS)
    finally:
        torch.set_num_threads(before)
    assert oracles.relative(found, expected) < 1e-6
    assert torch.equal(found, rows.dot(COLUMNS))


def test_a_row_of_nan_is_refused_by_its_number(tmp_path: Path) -> None:
    spoiled = ROWS.clone()
    spoiled[1_234, 7] = torch.nan
    with pytest.raises(MethodError, match=r"Projected gradients: row 1234 of rows holds NaN or infinity; .*leave it"):
        stored(tmp_path, stage(spoiled))
    with pytest.raises(MethodError, match="row 1234 of rows"):
        run_stages([stage(spoiled)])
    assert len(list(tmp_path.glob("*.safetensors"))) == 1  # the shard before it is kept


def test_a_build_goes_on_at_the_missing_shard_and_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_store, "SMALL", 0)
    stored(tmp_path / "plain", stage())
    stored(tmp_path / "again", stage())
    for name in ("projections-000001000-000002000", "projections.float32-000003000-000004000"):
        (tmp_path / "again" / f"{name}.safetensors").unlink()
    computed = []
    made = stage()

    def compute(earlier: Tensors, start: int, stop: int) -> dict[str, Tensor]:
        computed.append(start)
        return made.compute(earlier, start, stop)

    stored(tmp_path / "again", RowStage(made.name, made.title, made.total, compute, made.shard))
    assert computed == [1_000, 3_000]
    digests = [
        {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (tmp_path / name).iterdir()}
        for name in ("plain", "again")
    ]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 11


@pytest.mark.parametrize("name", ["projections-000004000-000005000", "projections.float32-000002000-000003000"])
@pytest.mark.parametrize("is_gone", [True, False])
def test_a_missing_or_altered_shard_is_named(
    tmp_path: Path, name: str, is_gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_store, "SMALL", 0)
    stored(tmp_path, stage())
    path = tmp_path / f"{name}.safetensors"
    content = path.read_bytes()
    path.unlink() if is_gone else path.write_bytes(content[:-40] + bytes(40))
    with pytest.raises(DamagedWorkspaceError, match=f"{name}.safetensors (is missing|is truncated or was altered)"):
        RowStore(tmp_path, "projections").rows()
