"""Why a stored run does not answer, and the command that would make it."""

from __future__ import annotations

from influence_core.errors import MethodError, NotSolvedError
from influence_core.store.facts import RunFacts
from influence_core.target import Target


def not_solved(run: RunFacts, test_id: int, target: Target, solved: int) -> NotSolvedError:
    """A prediction that no one has solved yet; ``solved`` are."""
    asked = "" if target == run.target else f" for the {target.measure} of '{target.of}'"
    options = "" if target == run.target else f" --measure {target.measure} --target {target.of}"
    options += "" if run.manifest.demo or run.manifest.is_upload else " --project FILE"
    command = f"influence explain {run.folder.parent.parent} --run {run.id} --test {test_id}{options}"
    msg = (
        f"Test example {test_id} is not solved yet{asked} ({solved} of {run.manifest.n_test} are); "
        f"`{command}` solves it."
    )
    return NotSolvedError(msg)


def other_damping(run: RunFacts) -> MethodError:
    """Another damping than the run was solved with."""
    if run.reading is not None:
        return MethodError(f"The method {run.method} inverts nothing, so it has no damping; leave --damping out.")
    msg = (
        f"This run was solved with damping {run.damping:g}, and another takes another run: `influence build "
        f"{run.manifest.called} --out {run.folder.parent.parent} --method {run.method} --damping X`."
    )
    return MethodError(msg)
