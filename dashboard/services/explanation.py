"""One prediction explained, outside the browser."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from dashboard.services import first_order, influence
from dashboard.services.named import find_class, find_test
from dashboard.services.ranks import EFFECT, Rank, explained
from dashboard.services.refining import refine_command
from dashboard.services.runs import damped
from dashboard.services.trust import ICONS, directions, outside_notes, trust
from dashboard.services.trust import stalled as why_stalled
from dashboard.services.wording import number, percent
from influence_core.scores import InfluenceScores, Ranked, Words
from influence_core.store import Example, Manifest, Run, Workspace
from influence_core.target import Measure, Target

Label = str | float | None


@dataclass(frozen=True)
class Question:
    """What is asked of a workspace.

    Attributes:
        test: A test example's row id, or its key.
        run: Id of a run; the newest if absent.
        target: ``true``, ``predicted``, the name of a class, or its index.
        measure: ``loss``, ``logit``, ``margin`` or ``value``.
        damping: Added to the curvature; the run's own if absent.
        top: Longest length of each list.
        rank: What examples are ranked by.
        first: Whether an answer at once will do, where there is one.
    """

    test: str
    run: str | None = None
    target: str = "true"
    measure: str = "loss"
    damping: float | None = None
    top: int = 10
    rank: Rank = "effect"
    first: bool = False


@dataclass(frozen=True)
class Row:
    """One training example of a ranking; ``rank`` counts from 1 within its list, by ``ranking``."""

    train_id: int
    key: str
    score: float
    label: Label
    rank: int
    ranking: float


@dataclass(frozen=True)
class Answer:
    """The JSON object.

    Attributes:
        test_id: Row id of the test example.
        key: The user's own id of it.
        label: Class name, or the number of a regression.
        prediction: The same.
        target: ``true``, ``predicted`` or a class name.
        measure: What is measured.
        run: Id of the run.
        method: Its method.
        damping: What was added to the curvature.
        damping_rule: How that was chosen, or what was done in its place, in words; empty if it was given.
        unit: Of the scores.
        n_train: Number of training examples.
        residual: Relative residual of the solve; None if it is not a number.
        outside: Share of the prediction's gradient that the method leaves out, 0 to 1; None where that is nothing.
        is_first: Whether it is an approximate answer at once, which a solve would refine.
        validated: Whether refits agreed with these very scores: the stored target and damping.
        predicts_refit: Whether the scores are predicted changes by a refit; those of a baseline are not.
        positive: What a positive score is called, such as ``helpful`` or ``similar``.
        negative: What a negative score is called.
        ranked_by: ``effect``: the score itself; or what ``influence_core.rankings`` makes of it.
        helpful: Positive scores, the highest ranked first.
        harmful: Negative scores, the highest ranked first.
    """

    test_id: int
    key: str
    label: Label
    prediction: Label
    target: str
    measure: str
    run: str
    method: str
    damping: float
    damping_rule: str
    unit: str
    n_train: int
    residual: float | None
    outside: float | None
    is_first: bool
    validated: bool
    predicts_refit: bool
    positive: str
    negative: str
    ranked_by: str
    helpful: list[Row]
    harmful: list[Row]


@dataclass(frozen=True)
class Explained:
    """An answer and what a reader has to know beside it.

    Attributes:
        answer: The object.
        words: How the signs are called.
        trust: One line.
        ranked_by: What the lists are ranked by, in a sentence; empty where it is the score.
        totals: Sum of all positive and of all negative scores, both as positive numbers.
        off: Training id -> how far its first-order scores are off, such as ``12 % too small``, where that is known.
    """

    answer: Answer
    words: Words
    trust: str
    ranked_by: str
    totals: tuple[float, float]
    off: Mapping[int, str]


def explain(workspace: Workspace, question: Question) -> Explained:
    """Ask one question.

    Raises:
        UnknownNameError: If there is no such test example, run or class.
        NotSolvedError: If the prediction is not solved.
        TargetError: If the target cannot be measured.
        CurvatureError: If the damping leaves the curvature indefinite.
        MethodError: If the run does not know what that ranking divides by.
    """
    run, manifest = workspace.run(question.run), workspace.manifest
    example = workspace.test[find_test(workspace, question.test)]
    target = target_of(manifest, question)
    found = run.scores(example.id, target, question.damping)
    values = found.of(example.id).double()
    stalled = not found.converged
    stored = target == run.target and (found.damping, found.damping_rule) == (run.damping, run.damping_rule)
    said = run.words(example.id, target)
    helpful, harmful = ([], []) if stalled else _sides(workspace, run, found, question)  # no order without an answer
    answer = Answer(
        **_asked(example, found, manifest),
        run=run.id,
        residual=found.residual if run.reading is None and math.isfinite(found.residual) else None,
        predicts_refit=run.reading is None,
        positive=said.positive,
        negative=said.negative,
        ranked_by=question.rank,
        validated=stored
        and not stalled
        and not found.is_first
        and run.check is not None
        and run.check.state == "checked",
        helpful=helpful,
        harmful=harmful,
    )
    totals = (float(values.clamp_min(0).sum()), float(-values.clamp_max(0).sum()))
    ranked_by = "" if question.rank == EFFECT else f"Ranked by {question.rank}: {explained(run, question.rank)}"
    off = {r.train_id: first_order.off(run, r.train_id) for r in (*helpful, *harmful)} if stored else {}
    return Explained(answer, said, _trust(run, found, stalled=stalled, stored=stored), ranked_by, totals, off)


def target_of(manifest: Manifest, question: Question) -> Target:
    """What is measured, as the engine names it.

    Raises:
        UnknownNameError: If there is no such class.
        TargetError: If the task has no classes.
    """
    of = find_class(question.target, manifest.kind, manifest.names)
    return Target(cast(Measure, question.measure), of)


def _asked(example: Example, found: InfluenceScores, manifest: Manifest) -> dict[str, Any]:
    of, names = found.target.of, manifest.class_names
    return {
        "test_id": example.id,
        "key": example.key,
        "label": example.label_text or _label(example.label, names),
        "prediction": example.prediction_text or _label(example.prediction, names),
        "target": of if isinstance(of, str) else manifest.names[of],
        "measure": found.target.measure,
        "method": found.method,
        "damping": found.damping,
        "damping_rule": found.damping_rule,
        "unit": found.unit,
        "n_train": found.n_train,
        "outside": found.outside,
        "is_first": found.is_first,
    }


def _sides(workspace: Workspace, run: Run, found: InfluenceScores, question: Question) -> tuple[list[Row], list[Row]]:
    """Both lists."""
    (test_id,) = found.test_ids
    values = found.of(test_id).tolist()
    ordered = replace(found, values=run.numbers(found, test_id, question.rank)[None])
    frame, names = workspace.train.frame(), workspace.manifest.class_names
    keys, labels = frame["key"], frame.get("label_text", frame["label"])

    def row(one: Ranked) -> Row:
        i = one.train_id
        return Row(i, str(keys[i]), values[i], _label(labels[i], names), one.rank, one.score)

    top, bottom = ordered.top(test_id, question.top), ordered.bottom(test_id, question.top)
    return [row(one) for one in top], [row(one) for one in bottom]


def _label(value: Any, class_names: Sequence[str]) -> Label:
    if isinstance(value, str):
        return value
    if class_names:
        return class_names[int(value)]
    return float(value) if math.isfinite(value) else None


def _trust(run: Run, found: InfluenceScores, *, stalled: bool, stored: bool) -> str:
    if found.is_first:
        return _of_first(run, found)
    overall = trust(run)
    if run.reading is not None:
        return f"{overall.icon} {overall.state}: {overall.sentence} ({', '.join(overall.facts)})"
    state, sentence = overall.state, overall.sentence
    if stalled:
        state = "do not rely"
        sentence = why_stalled(*((found.solves[0].sentence, found.solves[0].advice) if found.solves else ("", "")))
    elif not stored and run.check is not None:
        state = "not checked"
        sentence = "Refits checked another target or damping of this run, not this one."
    solved = f" ({found.solves[0].sentence})" if found.solves else ""
    solved += " in the kept directions" if found.outside is not None else ""
    facts = [
        f"method {found.method}",
        damped(found.damping, found.damping_rule),
        f"residual {number(found.residual)}{solved}",
        f"{percent(run.report.coverage)} of parameters covered",
        *directions(run, found.outside),
    ]
    notes = [*overall.notes, *outside_notes(run, found.outside), *overall.remarks]
    return " ".join([f"{ICONS[state]} {state}: {sentence}", f"({', '.join(facts)})", *notes])


def _of_first(run: Run, found: InfluenceScores) -> str:
    """The line about an answer at once, and what refines it."""
    overall = trust(run, influence.explained(run, found))
    (test_id,) = found.test_ids
    said = f"{overall.icon} {overall.state}: {overall.sentence} ({', '.join(overall.facts)})"
    return " ".join([said, *overall.notes, *overall.remarks, f"`{refine_command(run, test_id)}` refines it."])
