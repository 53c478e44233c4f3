"""EK-FAC on a network of 101,770 parameters and 4,000 real digits against kronfluence, in one run, at equal scores.

Both take the empirical Fisher, the same absolute damping and float32, and no regulariser, which kronfluence does not
know. Ours is measured from the fitted model in memory to numbers in memory; kronfluence, as it comes, with its files.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from influence_core.evaluation.agreement import pearson_and_slope
from influence_core.methods import Ekfac
from influence_core.methods.base import run_stages
from influence_core.project import Project
from influence_core.task import ClassificationTask
from tests.benchmarks import mnist_mlp
from tests.benchmarks.figures import Figure, command
from tests.benchmarks.races import Race
from tests.peers.kronfluence_runs import Rival

DAMPING = 1e-3
BATCH = 500  # rows at once, of both
REPEATS = 3
QUERIES = 20  # of ours; the median counts
REQUIRED = {"factors": 10, "self-influence of all": 50, "one query": 20}
EQUAL = 0.9999  # Pearson


def project() -> Project:
    """The network without its regulariser."""
    return replace(mnist_mlp.project(), task=ClassificationTask(n_classes=10))


def seconds(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Median seconds of some calls, and what the last returned."""
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        found = call()
        taken.append(time.perf_counter() - started)
    return median(taken), found


def ours(subject: Project, fisher: Any) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Seconds and numbers."""
    method = Ekfac(damping=DAMPING, fisher=fisher, rows=BATCH)
    prepared = method.prepare(subject)
    prepared.trunked  # noqa: B018  (the rows are in memory, as those of the rival are)
    n = len(subject.train)
    fit, tensors = seconds(lambda: run_stages((prepared.factors_stage,)), REPEATS)
    own, values = seconds(lambda: n * prepared.attributor(tensors).self_influence(), REPEATS)
    attributor = prepared.attributor(tensors)
    attributor.scores([0])  # keeps the training gradients in factors
    query, scores = seconds(lambda: n * attributor.scores([0]).values, QUERIES)
    return {"factors": fit, "self-influence of all": own, "one query": query}, {"one": scores[0], "own": values}


def theirs(subject: Project, folder: Path, *, empirical: bool) -> tuple[dict[str, float], dict[str, Tensor]]:
    """The same of kronfluence."""
    rival = Rival(subject, folder, torch.float32, DAMPING, BATCH)
    fit, _ = seconds(lambda: rival.fit(empirical=empirical), REPEATS)
    own, values = seconds(rival.self_influence, 1)
    query, scores = seconds(lambda: rival.scores(1), REPEATS)
    return {"factors": fit, "self-influence of all": own, "one query": query}, {"one": scores[0], "own": values}


def run() -> list[Figure | Race]:
    """Ratios at equal scores, and how far their sampled Fisher is from our expectation."""
    subject = project()
    with tempfile.TemporaryDirectory() as folder:
        fast, mine = ours(subject, "empirical")
        slow, peer = theirs(subject, Path(folder), empirical=True)
        expected, exact = ours(subject, "expected")
        _, sampled = theirs(subject, Path(folder), empirical=False)
    figures: list[Figure | Race] = []
    agreed = {}
    for name, kind in (("one query", "one"), ("self-influence of all", "own")):
        agreed[name], slope = pearson_and_slope(peer[kind].double(), mine[kind].double())
        figures += [
            Figure(f"{name}: Pearson", agreed[name], least=EQUAL),
            Figure(f"{name}: slope", slope, least=0.99, most=1.01),
        ]
    agreed["factors"] = min(agreed.values())  # they are equal if what is made of them is
    figures += [
        Race(
            f"MLP 784-128-10, 4,000 digits, EK-FAC: {name}", "kronfluence", least, fast[name], slow[name], agreed[name]
        )
        for name, least in REQUIRED.items()
    ]
    pearson, slope = pearson_and_slope(sampled["one"].double(), exact["one"].double())
    figures += [Figure(f"expected Fisher: {name}", taken, "s") for name, taken in expected.items()]
    return [*figures, Figure("their sampled Fisher: Pearson", pearson), Figure("their sampled Fisher: slope", slope)]


def main() -> None:
    """Run this benchmark alone."""
    command("kronfluence_mlp", run)


if __name__ == "__main__":
    main()
