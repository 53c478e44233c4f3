"""All 360 x 1,437 digits scores, model in memory to scores in memory, against captum's NaiveInfluenceFunction.

Captum inverts the Hessian of the summed loss plus ``hessian_reg``. With ``hessian_reg = n * weight_decay`` and no
eigenvalue dropped that is ``n`` times our Hessian, so its scores should equal ours: sign, ``1/n`` and all. It gets
what suits it best: all rows in one batch that is collated beforehand, and its batched per-example gradients.
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from captum.influence import NaiveInfluenceFunction  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.utils.data import DataLoader

import demo_models
from demo_models.digits import TEST_SIZE
from demo_models.heads import stacked
from influence_core.methods import Exact
from influence_core.project import Project
from influence_core.task import ClassificationTask
from tests.benchmarks.figures import Figure, command
from tests.benchmarks.races import Race

REPEATS = 9


def ours(project: Project) -> Tensor:
    """Fit and score."""
    return Exact().fit(project).scores(range(TEST_SIZE)).values


def captums(project: Project, dtype: torch.dtype) -> Callable[[], Tensor]:
    """The same from captum in one precision; data and model are converted outside the measured time."""
    assert isinstance(project.task, ClassificationTask)
    model = copy.deepcopy(project.model).to(dtype)
    train, test = ((inputs.to(dtype), labels) for inputs, labels in map(stacked, (project.train, project.test)))
    loader: DataLoader[Any] = DataLoader([train], batch_size=None)  # type: ignore[arg-type]  # one batch
    regulariser = len(project.train) * project.task.weight_decay

    def scores() -> Tensor:
        method = NaiveInfluenceFunction(
            model,
            loader,
            checkpoint="",
            checkpoints_load_func=lambda *_: 1.0,  # the model is in memory
            loss_fn=nn.CrossEntropyLoss(reduction="sum"),
            sample_wise_grads_per_batch=True,
            projection_dim=None,
            hessian_reg=regulariser,
            hessian_inverse_tol=0.0,
        )
        values: Tensor = method.influence(test)
        return values

    return scores


def timed(rivals: dict[str, Callable[[], Tensor]]) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Median seconds of each, taken in turns after one warm-up, and what each returned."""
    values = {name: run() for name, run in rivals.items()}
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(REPEATS):
        for name, run in rivals.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: median(taken) for name, taken in seconds.items()}, values


def run() -> list[Figure | Race]:
    """Speed and agreement; the race is in float64, in which both give the same scores."""
    project = demo_models.load("digits")
    peers = {"captum float64": captums(project, torch.float64), "captum float32": captums(project, torch.float32)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum's own
        seconds, values = timed({"ours": lambda: ours(project), **peers})
    figures: list[Figure | Race] = [
        Figure(f"{name}: seconds", taken, "s", note=f"median of {REPEATS}") for name, taken in seconds.items()
    ]
    for name in peers:
        both = torch.stack([values["ours"].double().flatten(), values[name].double().flatten()])
        figures += [
            Figure(f"{name} / ours", seconds[name] / seconds["ours"], "times"),
            Figure(f"{name}: Pearson with ours", float(both.corrcoef()[0, 1])),
            Figure(f"{name}: difference", float((both[0] - both[1]).norm() / both[0].norm()), note="relative norm"),
        ]
    double = torch.stack([values[name].flatten() for name in ("ours", "captum float64")])
    race = Race(
        "digits softmax, all 360 x 1,437 pairs, exact, float64",
        "captum Naive",
        required=8,
        seconds_ours=seconds["ours"],
        seconds_theirs=seconds["captum float64"],
        agreement=float(double.corrcoef()[0, 1]),
    )
    return [*figures, race]


def main() -> None:
    """Run this benchmark alone."""
    command("captum_digits", run)


if __name__ == "__main__":
    main()
