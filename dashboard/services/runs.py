"""What the runs of a workspace are called, and how another one is made."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dashboard.services.wording import plain
from influence_core.methods import METHODS
from influence_core.store import Manifest, Run, Workspace
from influence_core.target import Target

ALWAYS = "damping"  # in every name, also where all runs have the same
OTHER_DAMPINGS = (0.01, 0.1)


def names(workspace: Workspace) -> dict[str, str]:
    """Run id -> method, damping and whatever else tells it apart from the workspace's other runs."""
    settings = {run.id: _settings(run, workspace.manifest) for run in workspace.runs}
    methods = {run.id: run.method for run in workspace.runs}
    said = {run.id: _name(run.id, methods, settings) for run in workspace.runs}
    twice = {name for name in said.values() if list(said.values()).count(name) > 1}
    return {run_id: f"{name} · {run_id}" if name in twice else name for run_id, name in said.items()}


def _name(run_id: str, methods: Mapping[str, str], settings: Mapping[str, Mapping[str, str]]) -> str:
    """Runs of two methods are told apart by the method, so that only its other runs add to the name."""
    own = settings[run_id]
    rivals = [settings[other] for other, method in methods.items() if method == methods[run_id] and other != run_id]
    told = [said for name, said in own.items() if name == ALWAYS or any(r.get(name) != said for r in rivals)]
    return " · ".join([methods[run_id], *told])


def _settings(run: Run, manifest: Manifest) -> dict[str, str]:
    """Hyperparameters and measurement in words, the damping first."""
    found = {ALWAYS: run.damping, **run.hyperparameters}
    return {name: _setting(name, value) for name, value in found.items()} | {"of": _measurement(run.target, manifest)}


def _setting(name: str, value: Any) -> str:
    spelled = name.replace("_", " ")
    if isinstance(value, bool) or value is None:
        return f"{spelled} {'yes' if value else 'no'}"
    if isinstance(value, (int, float)):
        return f"{spelled} {setting(value)}"
    return str(value) if name == "curvature" else f"{spelled} {value}"


def damped(damping: float, rule: str) -> str:
    """The damping, how it was chosen, or what was done in its place."""
    return rule or f"damping {setting(damping)}"


def setting(value: float) -> str:
    """A number that somebody chose, as they wrote it: ``0.01``."""
    return f"{value:g}".replace("-", "−")


def _measurement(target: Target, manifest: Manifest) -> str:
    if not manifest.names:
        return target.measure
    if manifest.target_names and target.of == "true":
        return f"{target.measure} of all"
    of = plain(manifest.names[target.of]) if isinstance(target.of, int) else f"the {target.of} label"
    return f"{target.measure} of {of}"


def another(workspace: Workspace, run: Run) -> str:
    """The command that adds a run to compare this one with: another method, or the same under another damping."""
    method = next((name for name in METHODS if name != run.method), None)
    chosen = method or f"{run.method} --damping {next(d for d in OTHER_DAMPINGS if d != run.damping)}"
    return f"{_build(workspace)} --method {chosen}"


def closer(workspace: Workspace, run: Run) -> str:
    """The command that adds a run which is likely to reach an answer where this one did not."""
    finished = run.method == "lissa" and run.hyperparameters.get("finish") == "none"
    chosen = "--method cg" if finished else f"--method {run.method} --damping {setting(10 * (run.damping or 1e-3))}"
    return f"{_build(workspace)} {chosen}"


def closer_by(run: Run) -> str:
    """What leaves less of a gradient outside the directions that a run keeps."""
    rank = int(run.hyperparameters.get("rank", 0))
    if rank:
        return f"keep more of them (--set rank={2 * rank}), or compare with --method cg"
    kept, krylov = (int(run.hyperparameters.get(name, 0)) for name in ("kept", "krylov"))
    if not kept:
        return "keep more of them, or compare with another method"
    more = f"--set kept={2 * kept}" + (f" --set krylov={8 * kept}" if krylov < 4 * kept else "")
    return f"keep more of them ({more}), or compare with --method cg"


def _build(workspace: Workspace) -> str:
    """The command that adds a run; an upload's folder is its own project."""
    folder = shlex.quote(str(Path(workspace.path)))
    return f"influence build {folder if workspace.manifest.is_upload else workspace.manifest.called} --out {folder}"
