"""First answers at once, and the solves that refine them: what the page and the command line say of both."""

from __future__ import annotations

import shlex

from dashboard.services.compare import strongest
from dashboard.services.influence import Explanation, explain, explained
from influence_core.methods import METHODS
from influence_core.rankings import Rank
from influence_core.report import SOLVER_NAMES
from influence_core.store import Run
from influence_core.store.run import FIRST

SPOKEN = {FIRST: "EK-FAC"}  # names of methods within a sentence
LOOKED_AT = 12  # strongest examples of each side whose places are compared
COMMAND = "influence open DIR --project PROJECT"


__all__ = ["COMMAND", "FIRST", "first_answer", "refine_command", "refined", "self_influence_named", "spoken"]


def spoken(method: str) -> str:
    """A method's name within a sentence: ``EK-FAC``, ``conjugate gradients``."""
    return SPOKEN.get(method) or SOLVER_NAMES.get(method) or (METHODS[method].title if method in METHODS else method)


def first_answer(method: str) -> str:
    """What an answer at once is, to begin a sentence with."""
    return f"First answer by {spoken(method)}, an approximation"


def refine_command(run: Run, test_id: int) -> str:
    """What to type to have a prediction refined."""
    manifest, folder = run.manifest, shlex.quote(str(run.folder.parent.parent))
    code = "" if manifest.demo or manifest.is_upload else " --project PROJECT"
    return f"influence explain {folder} --run {run.id} --test {test_id}{code}"


def self_influence_named(run: Run) -> str:
    """``self-influence``, and by which method where that is not the run's own."""
    by = run.self_influence_by
    return "self-influence" if by == run.method else f"self-influence ({spoken(by)})"


def refined(run: Run, test_id: int, rank: Rank) -> str:
    """How much a solve has changed of the order that the first answer gave; empty where there was none."""
    first = run.first(test_id)
    if first is None:
        return ""
    before, after = explained(run, first, rank), explain(run, test_id, run.target, rank)
    names = reversed(strongest(after))
    said = [_change(before, after, side, name) for side, name in zip(("positive", "negative"), names, strict=True)]
    return f"Refined by {spoken(run.method)}: {', '.join(part for part in said if part)}."


def _change(before: Explanation, after: Explanation, side: str, name: str) -> str:
    """Such as ``5 of the 12 most helpful changed places (1 is new)``; empty if there are none."""
    now, then = (one.ranked[side][:LOOKED_AT].tolist() for one in (after, before))
    if not now:
        return ""
    moved = sum(at >= len(then) or then[at] != train_id for at, train_id in enumerate(now))
    new = len(set(now) - set(then))
    of = f"{moved} of the {len(now)} {name.removesuffix(' examples')} changed places"
    return f"{of} ({new} {'is' if new == 1 else 'are'} new)" if new else of
