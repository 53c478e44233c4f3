"""The Hessian of the same network by block size: seconds and peak memory, each in a process of its own.

A block is ROWS training rows times COLUMNS directions at once (influence_core/curvature/dense.py).
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

from influence_core.curvature import dense
from tests.benchmarks import mlp
from tests.benchmarks.figures import Figure, command, say

BLOCKS = [(rows, columns) for rows in (128, 256, 512, 1437) for columns in (8, 16, 32, 64, 128)]


def one(rows: int, columns: int) -> tuple[float, float]:
    """Seconds, and how many megabytes the Hessian added to the peak, in this process."""
    dense.ROWS, dense.COLUMNS = rows, columns
    subject = mlp.project()
    hessian = dense.Hessian(mlp.functional(subject), subject.train)
    before, started = _peak(), time.perf_counter()
    hessian.matrix()
    return time.perf_counter() - started, _peak() - before


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run() -> list[Figure]:
    """Every block size; the ones in use are marked."""
    figures = []
    for rows, columns in BLOCKS:
        code = f"from tests.benchmarks.hessian_blocks import one; print(*one({rows}, {columns}))"
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seconds, megabytes = map(float, answer.stdout.split())
        used = ", in use" if (rows, columns) == (dense.ROWS, dense.COLUMNS) else ""
        figures.append(Figure(f"{rows} x {columns}", seconds, "s", note=f"{megabytes:,.0f} MB more{used}"))
        say(f"{rows} x {columns}: {seconds:.1f} s, {megabytes:,.0f} MB")
    return figures


def main() -> None:
    """Run this benchmark alone."""
    command("hessian_blocks", run)


if __name__ == "__main__":
    main()
