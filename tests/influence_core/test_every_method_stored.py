"""What a workspace owes every method in METHODS: the same numbers without the code, and the same bytes after a kill."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from influence_core.methods import METHODS
from influence_core.store import Workspace, build, files
from tests import oracles
from tests.influence_core.every_method import RANGE, precise, project_of
from tests.influence_core.test_store import Stopped, digests

EVERY = pytest.mark.parametrize("name", METHODS)
READ = """
import sys
from safetensors.torch import save_file
from influence_core.store import Workspace
import torch
found = {}
for run in Workspace(sys.argv[1]).runs:
    found[run.method] = torch.from_numpy(run.rows(0, 6))
    if (own := run.self_influence()) is not None:
        found[f"{run.method} own"] = torch.from_numpy(own)
assert not any(name.partition(".")[0] in ("tests", "demo_models") for name in sys.modules)
save_file(found, sys.argv[2])
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of every method."""
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("every") / "w"
    for name in METHODS:
        build(project_of(), folder, precise(name))
    return folder


@pytest.fixture(scope="module")
def read_elsewhere(workspace: Path) -> dict[str, torch.Tensor]:
    """What a process without the project reads."""
    path = workspace.parent / "read.safetensors"
    subprocess.run([sys.executable, "-c", textwrap.dedent(READ), str(workspace), str(path)], check=True)
    return load_file(path)


@EVERY
def test_a_process_without_the_code_reads_the_same_scores(name: str, read_elsewhere: dict[str, torch.Tensor]) -> None:
    fitted = precise(name).fit(project_of())
    assert oracles.relative(read_elsewhere[name], fitted.scores(RANGE).values) < 1e-6
    own = fitted.self_influence()
    assert (own is None) == (f"{name} own" not in read_elsewhere)
    if own is not None:
        assert oracles.relative(read_elsewhere[f"{name} own"], own) < 1e-6


@EVERY
def test_a_build_that_is_killed_again_and_again_ends_with_the_same_bytes(
    name: str, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at the fourth write of every attempt, so that each gets two or three files further."""
    real, writes = files.os.fsync, [0]

    def fsync(handle: int) -> None:
        writes[0] += 1
        if writes[0] == 4:
            raise Stopped
        real(handle)

    monkeypatch.setattr(files.os, "fsync", fsync)
    attempts = 0
    while not list(tmp_path.glob("w/runs/*/report.json")):
        writes[0], attempts = 0, attempts + 1
        try:
            build(project_of(), tmp_path / "w", precise(name))
        except Stopped:
            assert attempts < 40
    assert attempts > 2
    run_id = Workspace(tmp_path / "w").run().id
    made = digests(tmp_path / "w" / "runs" / run_id)
    assert made == digests(workspace / "runs" / run_id)
    assert any(path.startswith("scores-") for path in made)
