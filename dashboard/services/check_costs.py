"""Which method serves a project, and what each would take: measured on a few rows, and counted up."""

from __future__ import annotations

from collections.abc import Iterator

from dashboard.services.check_model import Trial
from dashboard.services.check_speed import TRIED, Speed, measured, some_rows
from dashboard.services.findings import Finding, attempt
from dashboard.services.wording import percent
from influence_core.checks import check_derivatives, spread
from influence_core.curvature.dense import Hessian
from influence_core.gradients import FunctionalModel
from influence_core.memory import check_memory, free_bytes, needed_bytes
from influence_core.methods import Exact, Lissa, auto
from influence_core.methods.exact import LARGEST
from influence_core.methods.iterative_attributor import PRODUCTS
from influence_core.solvers.base import refuse
from influence_core.solvers.lanczos import ends
from influence_core.trunk import with_trunk

SOLVED = 60  # predictions that an iterative build solves unless told otherwise
PASSES = 20  # over the data that a prediction typically takes; from ten to several hundred
SPECTRUM = 20.0  # seconds that a look at the Hessian's lowest eigenvalue may take
NOISE = 1e-9  # of the largest eigenvalue: a lowest one of this size is rounding


def findings(trial: Trial) -> Iterator[Finding]:
    """Coverage, the method that ``auto`` takes and whether it can serve, then time and memory of all."""
    project, model, head = trial.project, trial.model, trial.head
    yield _coverage(model)
    chosen = auto(project)
    one_by_one = isinstance(chosen, Exact) and head is None
    lacking = attempt("derivatives", lambda: check_derivatives(model, project, one_by_one=one_by_one))
    if isinstance(lacking, Finding):
        yield lacking
        return
    yield Finding("ok", "method", _taken(trial, chosen.name))
    speed = measured(trial)
    if one_by_one:
        yield from _definite(trial, speed)
    if isinstance(chosen, Exact):
        yield from _fits(trial)
    else:
        found = attempt("memory", lambda: check_memory(trial.single, project.train, chosen.rows, PRODUCTS))
        if isinstance(found, Finding):
            yield found
    yield Finding("ok", "exact", _exact(trial, speed))
    yield Finding("ok", "lissa, cg", _iterative(trial, speed))
    yield _refits(trial)


def _coverage(model: FunctionalModel) -> Finding:
    size, total = model.vector.size, model.vector.total
    said = f"{percent(size / total)} of parameters are attributed ({size:,} of {total:,})"
    if size == total:
        return Finding("ok", "coverage", f"{said}.")
    return Finding("ok", "coverage", f"{said}; what training rows did to the others is not in the scores.")


def _taken(trial: Trial, name: str) -> str:
    size = f"{trial.model.vector.size:,} attributed parameters"
    if trial.head is not None and name == Exact.name:
        return f"One linear layer on fixed inputs ({size}), so auto takes {name}, in closed form."
    small = "few enough for" if name == Exact.name else f"more than the {LARGEST:,} of exact, so that auto takes"
    return f"{size}: {small} {name}."


def _refits(trial: Trial) -> Finding:
    if trial.head is None:
        said = "More than one linear layer is attributed, so a build does not check its scores by refits: not checked."
    elif trial.model.vector.size > LARGEST:
        said = f"A head of more than {LARGEST:,} parameters is not refitted in a build: not checked."
    elif trial.project.fit is None:
        said = "A build checks its scores by 24 refits of the layer; Project(fit=...) allows more in the dashboard."
    else:
        said = "A build checks its scores by 24 refits of the layer, and the dashboard refits without chosen rows."
    return Finding("ok", "refits", said)


def _definite(trial: Trial, speed: Speed) -> Iterator[Finding]:
    """Whether the Hessian is positive definite, as the exact method without damping needs it to be."""
    train = trial.project.train
    affordable = int(SPECTRUM / (100 * speed.hessian))
    rows = None if affordable >= len(train) else spread(len(train), max(affordable, TRIED))
    model, data = with_trunk(trial.model, train if rows is None else some_rows(trial, rows))
    found = ends(Hessian(model, data).matvec, model.vector.size, model.dtype)
    if found.lowest >= -NOISE * found.largest:
        yield Finding(
            "ok", "curvature", f"The lowest eigenvalue of the Hessian is {found.lowest:.2g}: no damping needed."
        )
    elif rows is None:
        ways = "`influence build --damping X`, or `--curvature gauss-newton`; or train on, to a minimum"
        yield Finding("problem", "curvature", f"{refuse(found.lowest, 0.0)} That is {ways}.")
    else:
        said = f"On a sample of {len(rows):,} rows the Hessian's lowest eigenvalue is {found.lowest:.2g}"
        yield Finding("warning", "curvature", f"{said}; a build may ask for `--damping` or `--curvature gauss-newton`.")


def _fits(trial: Trial) -> Iterator[Finding]:
    free, needed = free_bytes(), _exact_bytes(trial)
    if free is not None and needed > free:
        said = f"The exact method needs about {_size(needed)} of memory and {_size(free)} are free"
        yield Finding(
            "problem", "memory", f"{said}; attribute fewer layers with Project(attributed=...), or --method cg."
        )


def _exact_bytes(trial: Trial) -> float:
    n, p = len(trial.project.train), trial.model.vector.size
    kept = n * (trial.train.outputs.shape[-1] + trial.head.layer.in_features) if trial.head else n * p
    return 8.0 * (kept + 3 * p * p)


def _exact(trial: Trial, speed: Speed) -> str:
    n, m, p = len(trial.project.train), len(trial.project.test), trial.model.vector.size
    if p > LARGEST:
        return f"Does not serve {p:,} attributed parameters (up to {LARGEST:,})."
    forming = n * p * p / 2 * speed.flop if trial.head else n * p * speed.hessian
    seconds = 3 * (n + m) * speed.row + forming + (p**3 / 3 + m * n * p) * speed.flop
    return f"{_time(seconds)} and {_size(_exact_bytes(trial))} for all {m:,} predictions (estimate)."


def _iterative(trial: Trial, speed: Speed) -> str:
    n, m = len(trial.project.train), len(trial.project.test)
    memory = needed_bytes(trial.single, trial.project.train, Lissa().rows, PRODUCTS)
    one, solved = n * PASSES * speed.gauss_newton, min(SOLVED, m)
    return (
        f"{_time(one)} a prediction if it takes {PASSES} passes over the data, {_time(n * speed.row + one * solved)} "
        f"for {solved:,}, and {_size(memory)} (rough estimate)."
    )


def _time(seconds: float) -> str:
    if seconds < 1:
        return "under a second"
    if seconds < 100:  # noqa: PLR2004
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:,.0f} min" if seconds < 6000 else f"about {seconds / 3600:,.0f} h"  # noqa: PLR2004


def _size(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{max(1.0, size / 1e6):.0f} MB"  # noqa: PLR2004
