"""The exact method on a softmax head of 60,000 x 784 pictures: its build, its memory and its queries.

Build and queries run in a process of their own each, so that the peak of the one is not the other's.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import torch

from tests.benchmarks.figures import Figure, command
from tests.benchmarks.races import Race
from tests.benchmarks.timing import p95, taken

TOP, WARM_UP, QUERIES = 20, 20, 200
CHECKED = 20  # queries whose top is compared with that of the float64 factor
LIMIT = 0.030  # seconds


def build(folder: Path) -> dict[str, float]:
    """Build the workspace; seconds and peak memory."""
    from influence_core.store import build as built  # noqa: PLC0415  (the query's process must not have imported it)
    from tests.benchmarks import fashion  # noqa: PLC0415

    started = time.perf_counter()
    run = built(fashion.project(), folder).run()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "peak": peak,
        "residual": run.report.residual,
        "check": run.check.slope if run.check else 0,
    }


def query(folder: Path) -> dict[str, float]:
    """Ask, and compare with the factor; what queries add to the memory of a process with torch imported."""
    torch.randn(100, 100) @ torch.randn(100, 100)
    before = psutil.Process().memory_info().rss
    from influence_core.store import Workspace  # noqa: PLC0415

    run = Workspace(folder).run()
    asked = iter(run.solved.tolist())
    seconds = taken(lambda: run.strongest(next(asked), TOP), QUERIES, WARM_UP)
    added = (psutil.Process().memory_info().rss - before) / 2**20
    backwards = taken(lambda: run.influenced(int(seconds[0] * 1e9) % run.n_train), 20)
    return {"p95": p95(seconds), "median": float(sorted(seconds)[QUERIES // 2]), "added": added,
            "backwards": p95(backwards), "agreement": _agreement(folder)}  # fmt: skip


def _agreement(folder: Path) -> float:
    """Lowest Pearson of a query's scores with those of the float64 factor on float64 rows."""
    from influence_core.gradient_rows import KroneckerRows  # noqa: PLC0415
    from influence_core.store import Workspace  # noqa: PLC0415
    from influence_core.store.tensors import read_tensors  # noqa: PLC0415

    run = Workspace(folder).run()
    train, lower = (read_tensors(run.folder / f"{name}.safetensors") for name in ("train", "factor"))
    ids = run.solved[:CHECKED].tolist()
    solved = torch.cholesky_solve(run._exact.tests.gradients(ids, run.target), lower["cholesky"])
    exact = KroneckerRows(train["inputs"].double(), train["factors"]).dot(solved).mT
    found = [run.scores(test_id).of(test_id).double() for test_id in ids]
    return min(float(torch.stack([a, b]).corrcoef()[0, 1]) for a, b in zip(exact, found, strict=True))


def run() -> list[Figure | Race]:
    """Both processes."""
    with tempfile.TemporaryDirectory() as folder:
        made, asked = (_elsewhere(work, folder) for work in ("build", "query"))
    return [
        Figure("build: peak memory", made["peak"], "MB", most=3000 / 1.024**2, note="60,000 + 10,000 rows, p = 7,065"),
        Figure("build: seconds", made["seconds"], "s", note="24 refits and self-influence included"),
        Figure("refits: slope", made["check"], note="real over predicted changes"),
        Figure("inverse: residual", made["residual"], most=1e-3, note="on training gradients, in float64"),
        Figure(
            "queries: added memory", asked["added"], "MB", most=500 / 1.024**2, note="to a process with torch imported"
        ),
        Figure("query, median", asked["median"] * 1000, "ms"),
        Figure("training example to all 10,000 predictions, p95", asked["backwards"] * 1000, "ms"),
        Race(
            f"60,000 x 784 softmax head, one query to top {TOP} and histogram, p95",
            "30 ms",
            required=1,
            seconds_ours=asked["p95"],
            seconds_theirs=LIMIT,
            agreement=asked["agreement"],
            memory_ours=asked["added"],
            sense="most",
        ),
    ]


def _elsewhere(work: str, folder: str) -> dict[str, float]:
    script = (
        "import json, sys; from pathlib import Path; from tests.benchmarks import fashion_head as it;"
        f"print(json.dumps(it.{work}(Path(sys.argv[1]))))"
    )
    done = subprocess.run([sys.executable, "-c", script, folder], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Run this benchmark alone."""
    command("fashion_head", run)


if __name__ == "__main__":
    main()
