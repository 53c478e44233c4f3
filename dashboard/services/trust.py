"""How far to trust the scores of a run: four states by word and icon."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.services.influence import Explanation
from dashboard.services.refining import first_answer, spoken
from dashboard.services.runs import closer_by, damped
from dashboard.services.trust_facts import curvature, meanings
from dashboard.services.wording import number, percent
from influence_core.store import Run

ICONS = {"checked": "✔", "doubtful": "?", "do not rely": "✖", "not checked": "○"}
LARGE_GRADIENT = 1e-3
LARGE_OUTSIDE = 0.02  # share of a gradient's squared length; on the demo digits the correlation with exact is then 0.97


@dataclass(frozen=True)
class Trust:
    """What the trust strip shows.

    Attributes:
        state: ``checked``, ``doubtful``, ``do not rely`` or ``not checked``.
        icon: Its sign.
        sentence: What was checked, in one sentence.
        facts: Method, damping, residual, coverage.
        notes: What a reader must know beside that; may be empty.
        remarks: What the project says of itself, such as what was done to the model; may be empty.
    """

    state: str
    icon: str
    sentence: str
    facts: tuple[str, ...]
    notes: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def meanings(self) -> str:
        """What each number among the facts means, as a Markdown list."""
        return meanings(self.facts)


def trust(run: Run, explanation: Explanation | None = None) -> Trust:
    """The trust strip of a run, or of one prediction of it."""
    state, sentence = _verdict(run, explanation)
    notes = (*_notes(run), *outside_notes(run, explanation.outside if explanation else None))
    return Trust(state, ICONS[state], sentence, _facts(run, explanation), notes, tuple(run.manifest.notes))


def _verdict(run: Run, explanation: Explanation | None) -> tuple[str, str]:
    if explanation is not None and explanation.is_stalled:
        return "do not rely", stalled(explanation.solved, explanation.advice)
    if run.reading is not None:
        return "not checked", run.reading.sentence
    if explanation is not None and explanation.is_first:
        return "not checked", f"{first_answer(explanation.method)} that was not compared with refits."
    if run.check is None:
        return "not checked", "Nothing was compared with refits yet."
    if explanation is not None and explanation.target != run.target:
        return (
            "not checked",
            f"This target was not compared with refits; the {run.target.measure} was, and is {run.check.state}.",
        )
    return run.check.state, run.check.sentence


def stalled(solved: str, advice: str) -> str:
    """Why there is no ranking, and what to change."""
    if not solved:
        return "The solver did not reach an answer, so no ranking is shown; use more damping or another method."
    return f"No ranking is shown, because the solve did not reach an answer. {solved}. {advice}"


def _facts(run: Run, explanation: Explanation | None) -> tuple[str, ...]:
    covered = f"{percent(run.report.coverage)} of parameters covered"
    if run.reading is not None:
        return f"method {run.method}", *(() if run.reading.for_any_target else (covered,))
    if explanation is not None and explanation.is_first:
        return (*_of_first(run, explanation), covered)
    residual = explanation.residual if explanation else run.report.residual
    where = " in the kept directions" if explanation is not None and explanation.outside is not None else ""
    facts = [f"method {run.method}", damped(run.damping, run.damping_rule), f"residual {number(residual)}{where}"]
    if explanation is not None and explanation.solved and not explanation.is_stalled:  # else the sentence has said it
        facts[-1] = f"residual {number(residual)}: {explanation.solved}"
    if (run.method, run.curvature) != ("exact", "hessian"):
        facts.append(curvature(run))
    if run.check is not None and (explanation is None or explanation.target == run.target):
        facts += [
            f"Pearson {run.check.pearson:.3f}".replace("-", "−"),
            f"slope {run.check.slope:.2f}".replace("-", "−"),
        ]
    facts.append(covered)
    facts += directions(run, explanation.outside if explanation else None)
    return tuple(facts)


def _of_first(run: Run, explanation: Explanation) -> tuple[str, ...]:
    """About as long as what is said of the refined answer, so that the page stays where it is."""
    by = spoken(explanation.method)
    damping = damped(explanation.damping, explanation.damping_rule)
    method = f"method {explanation.method}, the first answer of {run.method}"
    return method, damping, "no residual, as nothing is solved yet", f"{by} curvature"


def directions(run: Run, outside: float | None) -> list[str]:
    """What a method in a subspace keeps, and how much of one prediction's gradient that leaves out."""
    left = [] if outside is None else [f"{percent(outside)} of this prediction's gradient outside"]
    return [*run.report.facts, *left]


def outside_notes(run: Run, outside: float | None) -> list[str]:
    """What it means if a method in a subspace leaves much of a prediction's gradient out, and what to do."""
    if outside is None or outside <= LARGE_OUTSIDE:
        return []
    return [
        f"{percent(outside)} of this prediction's gradient (of its squared length) lies outside the directions that "
        f"{run.method} keeps. What training examples do there is not in these scores, and it can be much, as the "
        f"curvature is small there: {closer_by(run)}."
    ]


def _notes(run: Run) -> tuple[str, ...]:
    if run.reading is not None:
        return ()
    notes = []
    gradient = run.report.gradient_norm
    if gradient > LARGE_GRADIENT:
        notes.append(
            f"The model is not at its optimum: the gradient norm is {number(gradient)} where influence assumes 0, "
            "so sizes may be off."
        )
    if run.report.coverage < 1:
        left = run.report.parameters_total - run.report.parameters_attributed
        notes.append(f"{left:,} of {run.report.parameters_total:,} parameters are outside these scores.")
    return tuple(notes)
