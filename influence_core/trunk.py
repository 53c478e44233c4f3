"""A frozen trunk is run once: its outputs are constants of every derivative by the attributed parameters.

Every Hessian product runs the model. Where the first layers hold no attributed parameter, nearly all of that time goes
into numbers that never change. Here they are found, computed once and kept, if all of it is beyond doubt: the modules
are called once a forward, no attributed parameter reaches their outputs, these are tensors with one row an example, the
same on every run, whatever the batch; and the model gives the same outputs on what is kept, on every row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from influence_core.calls import Call, close, is_by_row, is_constant, listening, record, same
from influence_core.gradients import FunctionalModel
from influence_core.project import STACKED_BYTES, Dataset, Stacked, stacked
from influence_core.replay import Keep, Part, Replayed, Trunked, make_replayable
from influence_core.task import Batch

SAMPLE = 4  # rows on which the trunk is looked for
ROWS = 64  # a pass of the trunk takes at once
# Relative, between batches of different size
ROUNDING = {torch.float64: 1e-11, torch.float32: 1e-5, torch.bfloat16: 2e-2}


def with_trunk(model: FunctionalModel, dataset: Dataset) -> tuple[FunctionalModel, Dataset]:
    """The model and its data in memory, with the outputs of the model's frozen trunk if it has one and they fit.

    Args:
        model: The model as a function of its attributed parameters.
        dataset: Its training data.

    Returns:
        The model with the knowledge of its trunk, and rows that carry the trunk's outputs; or both as they were.
    """
    rows = stacked(dataset, model.dtype)
    if not isinstance(rows, Stacked) or len(rows) < 2:  # noqa: PLR2004  (of one row no batch dimension can be told)
        return model, rows
    plan = find_trunk(model, rows.take(range(min(SAMPLE, len(rows)))))
    size = len(rows) * sum(part.bytes_a_row for replayed in plan for part in replayed.parts)
    if not plan or size > STACKED_BYTES:
        return model, rows
    knowing = replace(model, trunk=plan)
    stored = _stored(knowing, rows)
    return (model, rows) if stored is None else (knowing, Stacked(Trunked(rows.batch, stored), len(rows)))


def find_trunk(model: FunctionalModel, sample: Batch) -> tuple[Replayed, ...]:
    """The largest frozen modules that can be replayed, in the order of their calls; nothing if in doubt."""
    names = _frozen(model)
    if not any(next(model.module.get_submodule(name).parameters(), None) is not None for name in names):
        return ()
    calls = _steady(model, names, sample)
    chosen = [name for name in calls if not any(_inside(name, other) for other in calls)]
    plan = {name: _replayed(name, calls[name]) for name in chosen}
    values = {name: calls[name].leaves for name in chosen}
    for name in chosen:
        make_replayable(model.module, name)
    for name in chosen:
        plan[name] = _least(model, plan, name, sample, values)
        if calls[name].mutated and any(part.keep != "nothing" for part in plan[name].parts):
            return ()
    useful = any(part.keep != "nothing" for replayed in plan.values() for part in replayed.parts)
    return tuple(plan.values()) if useful and _agrees(model, plan, sample, values) else ()


def _frozen(model: FunctionalModel) -> list[str]:
    """Modules that hold no attributed parameter, under any of its names."""
    named = dict(model.module.named_parameters(remove_duplicate=False))
    attributed = {id(named[name]) for name in model.vector.names}
    return [
        name
        for name, layer in model.module.named_modules()
        if name
        and not isinstance(layer, torch.jit.ScriptModule)
        and not any(id(p) in attributed for p in layer.parameters())
    ]


def _steady(model: FunctionalModel, names: Sequence[str], sample: Batch) -> dict[str, Call]:
    """The calls that are the same whatever the attributed parameters, the run and the batch."""
    generator = torch.Generator().manual_seed(0)
    moved = model.theta + (1 + model.theta.abs()) * torch.randn(
        model.theta.shape, generator=generator, dtype=model.dtype
    )
    alone = _first_row(sample)
    before = torch.get_rng_state()
    traced = record(model, names, model.theta.clone().requires_grad_(), sample)
    again, elsewhere = record(model, names, model.theta, sample), record(model, names, moved, sample)
    single = record(model, names, model.theta, alone)
    if not torch.equal(before, torch.get_rng_state()):
        return {}
    return {
        name: call
        for name, call in traced.items()
        if all(name in other for other in (again, elsewhere, single))
        and is_constant(call)
        and same(call, again[name])
        and same(call, elsewhere[name])
        and is_by_row(call, single[name], ROUNDING[model.dtype])
    }


def _inside(name: str, other: str) -> bool:
    return name.startswith(f"{other}.")


def _first_row(batch: Batch) -> Batch:
    return Stacked(batch, 1).take([0])


def _replayed(name: str, call: Call) -> Replayed:
    parts = [Part(f"{name} {i}", "all", leaf.shape[1:], leaf.dtype) for i, leaf in enumerate(call.leaves)]
    return Replayed(name, tuple(parts), call.spec)


Values = Mapping[str, list[Any]]


def _least(model: FunctionalModel, plan: Mapping[str, Replayed], name: str, sample: Batch, values: Values) -> Replayed:
    """The module with as little of its output kept as the rest of the model reads."""
    replayed = plan[name]
    for i, part in enumerate(replayed.parts):
        for keep in _choices(part):
            parts = (*replayed.parts[:i], replace(part, keep=keep), *replayed.parts[i + 1 :])
            trial = replace(replayed, parts=parts)
            if _agrees(model, {**plan, name: trial}, sample, values):
                replayed = trial
                break
    return replayed


def _choices(part: Part) -> tuple[Keep, ...]:
    if not part.dtype.is_floating_point:
        return ()  # only NaN shows who reads a number
    return ("nothing", "first") if len(part.shape) > 1 and part.shape[0] > 1 else ("nothing",)


def _agrees(model: FunctionalModel, plan: Mapping[str, Replayed], sample: Batch, values: Values) -> bool:
    """Whether the model gives the same outputs, with NaN in the place of all that is not kept."""
    stored = {
        part.key: _poisoned(part, leaf)
        for name, replayed in plan.items()
        for part, leaf in zip(replayed.parts, values[name], strict=True)
    }
    whole = tuple(replace(r, parts=tuple(replace(p, keep="all") for p in r.parts)) for r in plan.values())
    expected = model.outputs(model.theta, sample)
    try:
        found = replace(model, trunk=whole).outputs(model.theta, Trunked(sample, stored))
    except Exception:  # a model that looks into what is not kept may fail in any way
        return False
    return torch.equal(expected, found)


def _poisoned(part: Part, leaf: Tensor) -> Tensor:
    if part.keep == "all":
        return leaf
    poisoned = torch.full_like(leaf, torch.nan)
    if part.keep == "first":
        poisoned[:, :1] = leaf[:, :1]
    return poisoned


def _stored(model: FunctionalModel, rows: Stacked) -> dict[str, Tensor] | None:
    """What the trunk makes of every row; None if the model's outputs on it are not those that it gives without."""
    parts: dict[str, list[Tensor]] = {}
    for _, batch in model.batches(rows, ROWS):
        calls: dict[str, Call] = {}
        with torch.no_grad(), listening(model.module, [replayed.name for replayed in model.trunk], calls):
            expected = model.outputs(model.theta, batch)
        new = _trimmed(model.trunk, calls)
        if new is None or not close(model.outputs(model.theta, Trunked(batch, new)), expected, ROUNDING[model.dtype]):
            return None
        for key, tensor in new.items():
            parts.setdefault(key, []).append(tensor)
    return {key: torch.cat(tensors) for key, tensors in parts.items()}


def _trimmed(plan: Sequence[Replayed], calls: Mapping[str, Call]) -> dict[str, Tensor] | None:
    """What is kept of these calls; None if a module was not called or returned something of another form."""
    found: dict[str, Tensor] = {}
    for replayed in plan:
        call = calls.get(replayed.name)
        if call is None or call.count != 1 or call.spec != replayed.spec:
            return None
        for part, leaf in zip(replayed.parts, call.leaves, strict=True):
            if leaf.shape[1:] != part.shape:
                return None
            found |= {} if part.keep == "nothing" else {part.key: part.trimmed(leaf)}
    return found
