"""Exact Hessian of a 2,410-parameter network on 1,437 rows."""

from __future__ import annotations

import time

import torch
from torch import Tensor
from torch.func import functional_call

from demo_models.heads import stacked
from influence_core.curvature.dense import Hessian
from influence_core.project import Project
from tests.benchmarks import mlp
from tests.benchmarks.figures import Figure, command

REPEATS = 3
CHECKED = 4  # columns that are compared with reverse-over-reverse differentiation


def error(subject: Project, matrix: Tensor) -> float:
    """Largest relative difference of ``H v`` from double backward through the user's own module, random ``v``."""
    parameters = {name: p.detach().clone().requires_grad_() for name, p in subject.model.named_parameters()}
    inputs, labels = stacked(subject.train)
    outputs = functional_call(subject.model, parameters, (inputs,))
    loss = subject.task.losses(outputs, (inputs, labels)).mean() + subject.task.penalty(parameters)
    leaves = list(parameters.values())
    first = torch.cat([g.flatten() for g in torch.autograd.grad(loss, leaves, create_graph=True)])
    worst = 0.0
    for seed in range(CHECKED):
        vector = torch.randn(len(first), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        second = torch.autograd.grad(first @ vector, leaves, retain_graph=True)
        truth = torch.cat([g.flatten() for g in second])
        worst = max(worst, float((matrix @ vector - truth).norm() / truth.norm()))
    return worst


def run() -> list[Figure]:
    """The median of a few runs, and whether the matrix is right."""
    subject = mlp.project()
    hessian = Hessian(mlp.functional(subject), subject.train)
    seconds, matrix = [], torch.empty(0)
    for _ in range(REPEATS):
        started = time.perf_counter()
        matrix = hessian.matrix()
        seconds.append(time.perf_counter() - started)
    return [
        Figure("seconds for the Hessian", sorted(seconds)[REPEATS // 2], "s", most=30, note=f"median of {REPEATS}"),
        Figure("slowest of them", max(seconds), "s"),
        Figure("against double backward", error(subject, matrix), most=1e-10, note="relative norm of H v"),
    ]


def main() -> None:
    """Run this benchmark alone."""
    command("hessian_mlp", run)


if __name__ == "__main__":
    main()
