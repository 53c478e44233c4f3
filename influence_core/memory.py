"""Will a block of examples fit into memory? Asked before long work starts, so that nothing is lost to a full memory."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from influence_core.errors import MethodError
from influence_core.gradients import FunctionalModel
from influence_core.project import CPU, Dataset

DIRECTIONS = 12  # that one product is taken along at once, at most
COPIES = 3  # of what a reverse pass makes: measured on a perceptron and a convolution, within a tenth
SHARE = 0.8  # of the free memory that a product may take


def check_memory(model: FunctionalModel, dataset: Dataset, rows: int, products: int) -> None:
    """Raise MethodError, with the number of rows that would fit, if a product with the curvature cannot.

    Args:
        model: The model as a function of its parameters.
        dataset: Its training data.
        rows: Examples at once.
        products: Examples times directions at once.
    """
    free = free_bytes(model.device)
    if free is None:
        return
    needed = needed_bytes(model, dataset, rows, products)
    if needed <= SHARE * free:
        return
    each = bytes_of_a_row(model, dataset) * (1 + 2 * DIRECTIONS)
    raise _refusal(min(rows, len(dataset)), needed, free, (_fixed_bytes(model), each))


def check_passes(model: FunctionalModel, dataset: Dataset, rows: int, passes: int) -> None:
    """Raise MethodError, with the number of rows that would fit, if that many reverse passes kept at once do not.

    Args:
        model: The model as a function of its parameters.
        dataset: Its training data.
        rows: Examples at once.
        passes: Gradients of each example that are kept in factors at once.
    """
    free = free_bytes(model.device)
    if free is None:
        return
    rows = min(rows, len(dataset))
    fixed, each = _fixed_bytes(model), bytes_of_a_row(model, dataset) * (1 + COPIES * passes)
    if fixed + rows * each > SHARE * free:
        raise _refusal(rows, fixed + rows * each, free, (fixed, each))


def _refusal(rows: int, needed: float, free: int, parts: tuple[int, int]) -> MethodError:
    """What is missing and what would fit; ``parts`` are the bytes that any rows need, and those that each needs."""
    fixed, each = parts
    fitting = int((SHARE * free - fixed) / each)
    if fitting < 1:
        msg = (
            f"One example needs about {gigabytes(fixed + each)} at once and {gigabytes(free)} are free; attribute "
            "fewer layers with Project(attributed=...), or free memory."
        )
        return MethodError(msg)
    msg = (
        f"{rows:,} examples at once need about {gigabytes(needed)} and {gigabytes(free)} are free; "
        f"use at most {fitting:,} rows at once (--rows {fitting})."
    )
    return MethodError(msg)


def check_basis(model: FunctionalModel, krylov: int) -> None:
    """Raise MethodError, with the number that would fit, if a basis of ``krylov`` vectors cannot.

    Args:
        model: The model as a function of its parameters.
        krylov: Vectors of all attributed parameters; the directions that are made of them take as much at most.
    """
    free, each = free_bytes(model.device), 2 * model.theta.numel() * model.theta.element_size()
    if free is None or krylov * each <= SHARE * free:
        return
    fitting = max(1, int(SHARE * free / each))
    msg = (
        f"A basis of {krylov:,} directions of {model.theta.numel():,} parameters needs about "
        f"{gigabytes(krylov * each)} and {gigabytes(free)} are free; use --set krylov={fitting}, or attribute fewer "
        "layers with Project(attributed=...)."
    )
    raise MethodError(msg)


def needed_bytes(model: FunctionalModel, dataset: Dataset, rows: int, products: int) -> float:
    """What a product with the curvature takes, by the same arguments as ``check_memory``."""
    rows = min(rows, len(dataset))
    width = max(1, min(DIRECTIONS, products // rows))
    return _fixed_bytes(model) + rows * bytes_of_a_row(model, dataset) * (1 + 2 * width)


def _fixed_bytes(model: FunctionalModel) -> int:
    return 4 * DIRECTIONS * model.theta.numel() * model.theta.element_size()


def bytes_of_a_row(model: FunctionalModel, dataset: Dataset) -> int:
    """What one more example makes reverse-mode differentiation keep, in bytes."""
    if len(dataset) < 2:  # noqa: PLR2004  (a difference takes two)
        return max(1, _kept_bytes(model, dataset, 1))
    return max(1, _kept_bytes(model, dataset, 2) - _kept_bytes(model, dataset, 1))


def free_bytes(device: torch.device = CPU) -> int | None:
    """Memory that new work on a device can have; None where the operating system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    info = Path("/proc/meminfo")
    if not info.is_file():
        return None
    for line in info.read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return None


def _kept_bytes(model: FunctionalModel, dataset: Dataset, rows: int) -> int:
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    _, batch = next(model.batches(dataset, rows, range(rows)))
    theta = model.theta.clone().requires_grad_()
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.losses(theta, batch)
    return sum(kept.values())


def gigabytes(size: float) -> str:
    """A size in words."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"  # noqa: PLR2004
