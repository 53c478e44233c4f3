"""`python -m tests.benchmarks [NAME ...] [--list] [--out FILE.json]`."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from tests.benchmarks.figures import Run, measure, say

NAMES = {
    "refit_digits": "digits: scores against a closed form and against 200 refits",
    "newton_digits": "digits: Newton steps against refits without each row, and groups removed against refits",
    "refit_sklearn": "estimators of scikit-learn: gradient before and after the polish, scores against its own refits",
    "hessian_mlp": "exact Hessian of a 2,410-parameter network on 1,437 rows",
    "hessian_blocks": "the same Hessian by block size, with its peak memory",
    "iterative_mlp": "LiSSA and conjugate gradients on that network's Hessian against the exact answer",
    "mnist_cnn": "LiSSA and conjugate gradients on a network of 28,874 parameters",
    "spam_transformer": "a language model of 22.7 million parameters with its last two layers attributed",
    "logra_mlp": "LoGra by rank, and EK-FAC, on a network of 101,770 parameters against a converged solve",
    "product_blocks": "Gauss-Newton products of that network by block size",
    "captum_digits": "all digits scores against captum's NaiveInfluenceFunction",
    "kronfluence_mlp": "EK-FAC on 101,770 parameters against kronfluence: factors, self-influence, one query",
    "captum_arnoldi": "one query on a network of 101,770 parameters against captum's ArnoldiInfluenceFunction",
    "fashion_head": "a softmax head on 60,000 pictures: build, memory, queries; fetches the pictures with apt-get",
    "row_store": "a store of 1,000,000 x 256 bfloat16 against the machine's read bandwidth; takes 1.5 GB of disk",
    "demo_start": "seconds until `influence demo` shows its first page",
    "clicks": "click to painted on the Explain page, and memory over 300 clicks",
    "solving_clicks": "click to painted and click to progress on mnist-cnn; builds it first, which takes minutes",
}


def load(name: str) -> Run:
    """Import a benchmark when it is wanted: some need packages that the others do not."""
    run: Run = importlib.import_module(f"tests.benchmarks.{name}").run
    return run


def main() -> None:
    """Run some or all benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all if absent; known: {', '.join(NAMES)}")
    parser.add_argument("--list", action="store_true", help="list the benchmarks")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    if options.list:
        say("\n".join(f"{name:15} {what}" for name, what in NAMES.items()))
        return
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}; known: {', '.join(NAMES)}")
    sys.exit(measure({name: load(name) for name in options.names or NAMES}, options.out))


if __name__ == "__main__":
    main()
