"""What pages ask for, on real workspaces and against numbers counted by hand."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import demo_models
from dashboard.services import (
    cards,
    distribution,
    first_order,
    influence,
    listing,
    performance,
    pictures,
    ranking,
    ranks,
    start,
    table_rows,
    targets,
    texts,
    training,
    trust,
    wording,
)
from dashboard.services.projects import of_workspace
from dashboard.services.refit import obstacle, refit
from dashboard.services.wording import signed
from influence_core.errors import ProjectError, TargetError
from influence_core.methods import Newton, Similarity
from influence_core.removal.head_fit import fit_head
from influence_core.store import Run, Workspace, build
from influence_core.target import Target
from influence_core.task import ClassificationTask


@pytest.fixture(scope="module")
def newton(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The digits' scores by Newton steps."""
    return build(demo_models.load("digits"), tmp_path_factory.mktemp("newton") / "w", Newton()).run()


def explained(workspace: Workspace, test_id: int, target: Target = Target()) -> influence.Explanation:  # noqa: B008
    return influence.explain(workspace.run(), test_id, target)


def test_the_sentence_counts_who_carries_half(digits: Workspace) -> None:
    shown = explained(digits, 327)
    harm = np.sort(-shown.values[shown.values < 0])[::-1]
    few = next(k for k in range(1, len(harm) + 1) if harm[:k].sum() >= harm.sum() / 2)
    assert influence.sentence(shown).startswith(f"{few} of 1,437 training examples carry half of the harmful influence")


def test_ranks_and_shares_add_up(digits: Workspace) -> None:
    shown = explained(digits, 327)
    for side in ("positive", "negative"):
        assert sum(shown.share(int(i)) for i in shown.ranked[side]) == pytest.approx(1)
    assert np.all(np.diff(shown.values[shown.ranked["positive"]]) <= 0)
    assert np.all(np.diff(shown.values[shown.ranked["negative"]]) >= 0)


def test_another_ranking_changes_the_order_and_not_the_scores(digits: Workspace) -> None:
    effect, relative = (influence.explain(digits.run(), 327, Target(), rank) for rank in ("effect", "relative"))
    assert np.array_equal(effect.values, relative.values)
    assert np.array_equal(effect.numbers, effect.values)
    assert influence.sentence(effect) == influence.sentence(relative)
    for side, sign in influence.SIGNS.items():
        assert set(effect.ranked[side]) == set(relative.ranked[side])
        assert effect.ranked[side].tolist() != relative.ranked[side].tolist()
        assert np.all(np.diff(sign * relative.numbers[relative.ranked[side]]) <= 0)
        assert np.array_equal(distribution.cumulative(effect, side)[1], distribution.cumulative(relative, side)[1])
    ids = relative.ranked["positive"][:2].tolist()
    first = cards.score_cards(digits, relative, "positive", ids, {})[0]
    assert first["score"].startswith("+")
    assert f"nats · relative {signed(float(relative.numbers[ids[0]]), '').strip()}" in first["score"]
    assert first["width"] == 1.0
    table = ranking.table(relative, digits.train.frame(), digits.manifest.class_names)
    assert table["relative"].abs().is_monotonic_decreasing
    assert np.array_equal(table["score"], relative.values[table["id"]])


@pytest.fixture(scope="module")
def similar(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A baseline that judges nothing, on digits."""
    return build(demo_models.load("digits"), tmp_path_factory.mktemp("similar"), Similarity(), test_limit=12)


def test_a_baseline_is_said_to_be_one_wherever_it_is_shown(similar: Workspace) -> None:
    run = similar.run()
    shown = explained(similar, int(run.solved[0]))
    said = trust.trust(run, shown)
    assert (said.state, said.sentence) == ("not checked", Similarity.reading.sentence)
    assert (said.facts, said.notes) == (("method similarity",), ())
    n_similar = len(shown.ranked["positive"])
    assert influence.sentence(shown) == f"Of 1,437 training examples: {n_similar:,} similar, 0 dissimilar."
    card = cards.score_cards(similar, shown, "positive", shown.ranked["positive"][:1].tolist(), {})[0]
    assert card["share"].endswith("% of “similar” total")
    assert card["score"].endswith(" cosine")
    assert start.harmful(similar, run, similar.test.frame()) == start.Harm([], 0)
    assert training.reach(similar, run, 3).verbs == ("similar:", "dissimilar:")
    assert "predicts no change, so a refit has nothing to check" in obstacle(similar, run, None)
    assert ranks.offered(run) == ["effect"]


def test_words_of_another_target(digits: Workspace) -> None:
    shown = explained(digits, 327, Target("logit", 7))
    assert (shown.words.positive, shown.unit) == ("supports 7", "logits")
    assert "influence that opposes 7" in influence.sentence(shown)


def test_cards_say_what_they_show(digits: Workspace) -> None:
    shown = explained(digits, 327)
    ids = shown.ranked["negative"][:2].tolist()
    first = cards.score_cards(digits, shown, "negative", ids, {ids[0]: "odd"})[0]
    assert (first["id"], first["flag"], first["width"]) == (ids[0], "odd", 1.0)
    assert first["rank"] == f"1 of {len(shown.ranked['negative'])}"
    assert first["score"].startswith("−")
    assert first["score"].endswith(" nats")
    assert first["share"].endswith("% of harmful influence")
    assert first["picture"].startswith("data:image/png;base64,")
    assert first["same"] == (digits.train[ids[0]].label == digits.test[327].label)


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"outcome": "wrong"}, lambda f: ~f["correct"].astype(bool)),
        ({"true": 8, "predicted": 1}, lambda f: (f["label"] == 8) & (f["prediction"] == 1)),
        ({"low": 0.2, "high": 0.5}, lambda f: (f["confidence"] >= 0.2) & (f["confidence"] <= 0.5)),
    ],
)
def test_filters(changes: dict[str, object], kept: object, digits: Workspace) -> None:
    frame = digits.test.frame()
    found = listing.matching(frame, "classification", listing.Filters(**changes))  # type: ignore[arg-type]
    assert set(found) == set(frame["id"][kept(frame)])  # type: ignore[operator]
    losses = frame.set_index("id").loc[found, "loss"].to_numpy()
    assert np.all(np.diff(losses) <= 0)


def test_pages_and_neighbours() -> None:
    ids = list(range(100, 220))
    assert [listing.page_of(ids, i) for i in (100, 149, 150, 219, 7)] == [1, 1, 2, 3, 1]
    assert listing.neighbours(ids, 100) == (None, 101)
    assert listing.neighbours(ids, 219) == (218, None)
    assert listing.neighbours(ids, 7) == (None, 100)
    assert listing.neighbours([], 7) == (None, None)


def test_filters_of_a_regression_by_size_of_error(table: Workspace) -> None:
    frame = table.test.frame()
    missed = listing.errors(frame)
    limit = float(np.median(missed))
    found = listing.matching(frame, "regression", listing.Filters(least_error=limit))
    assert set(found) == set(frame["id"][missed >= limit])


def test_performance_by_hand(digits: Workspace) -> None:
    frame = digits.test.frame()
    matrix = performance.confusion(frame, 10)
    assert matrix.sum() == 360
    assert matrix[8, 1] == ((frame["label"] == 8) & (frame["prediction"] == 1)).sum()
    recalls = np.diag(matrix) / matrix.sum(axis=1)
    assert performance.recall(frame) == pytest.approx(recalls)
    values = {figure.name: figure.value for figure in performance.figures(frame, "classification")}
    assert values["Accuracy"] == f"{100 * np.trace(matrix) / 360:.1f} %"
    assert values["Balanced accuracy"] == f"{100 * recalls.mean():.1f} %"
    pairs = performance.confused_pairs(matrix, [str(i) for i in range(10)])
    assert pairs["Count"].sum() == 360 - np.trace(matrix)
    assert (pairs["true"].iloc[0], pairs["predicted"].iloc[0]) == (8, 1)


def test_bins_hold_every_example_and_zero_is_an_edge(digits: Workspace) -> None:
    shown = explained(digits, 327)
    labels = digits.train.frame()["label"].to_numpy()
    found = distribution.distribution(shown, labels, digits.manifest.class_names, first=(4, 8))
    assert sum(int(counts.sum()) for counts in found.counts.values()) == 1437
    assert list(found.counts)[:2] == ["4", "8"]
    assert len(found.counts) == distribution.MOST_CLASSES
    assert 0.0 in found.scores
    assert found.axis.to_score(found.axis.to_axis(shown.values)) == pytest.approx(shown.values)
    low, high = float(found.scores[20]), float(found.scores[30])
    inside = distribution.within(shown, low, high)
    assert set(inside.tolist()) == {i for i, v in enumerate(shown.values) if low <= v <= high}
    strongest, shares = distribution.cumulative(shown, "negative")
    assert (strongest[-1], shares[-1]) == (len(shown.ranked["negative"]), pytest.approx(1))


def test_start_with_the_most_surprising_mistake(digits: Workspace) -> None:
    frame, run = digits.test.frame(), digits.run()
    wrong = frame[~frame["correct"].astype(bool)]
    worst = int(wrong.sort_values("loss")["id"].iloc[-1])
    assert start.first_test(run, frame, "classification") == worst
    assert start.surprising(digits, run, frame)[0]["id"] == worst
    harm = start.harmful(digits, run, frame)
    total = sum(np.minimum(run.scores(int(i)).of(int(i)).double().numpy(), 0) for i in wrong["id"])
    assert harm.n_wrong == len(wrong)
    assert harm.cards[0]["id"] == int(np.argmin(total))
    assert harm.cards[0]["score"].startswith(f"{signed(total.min(), 'nats')} in all; harms ")


def test_a_training_examples_reach(digits: Workspace) -> None:
    run = digits.run()
    found = training.reach(digits, run, 1037)
    ids, values = run.influenced(1037)
    assert found.helps[0]["id"] == int(ids[np.argmax(values)])
    assert found.harms[0]["id"] == int(ids[np.argmin(values)])
    assert (found.n_helped, found.n_harmed) == ((values > 0).sum(), (values < 0).sum())
    most = int(np.argmax(run.self_influence()))
    assert training.reach(digits, run, most).self_influence.endswith("; no training example has more")


def test_what_first_order_misses_of_an_example_is_said_in_words(digits: Workspace, newton: Run) -> None:
    """Against the mean size of both scores over the predictions that were compared."""
    run = digits.run()
    gap, ids = run.first_order_gap, run.solved[:200].tolist()
    assert gap is not None
    first, steps = (torch.stack([torch.from_numpy(r.rows(i, i + 1)[0]) for i in ids]).double() for r in (run, newton))
    relative = (first - steps).square().mean(0).sqrt() / steps.square().mean(0).sqrt()
    worst = int(relative.argmax())
    off = f"{100 * float(relative[worst]):.0f} % too small"
    said = [training.reach(digits, each, worst).first_order for each in (run, newton)]
    assert said[0] == f"First order is about {off} here, by a Newton step without this example."
    assert said[1] == f"First order would be about {off} here; these scores are Newton steps."
    flags = first_order.flags(run)
    assert flags[worst] == f"scores about {off}"
    assert set(flags) == set((relative >= first_order.LARGE).nonzero()[:, 0].tolist())
    assert first_order.flags(newton) == {}


def test_where_the_gap_is_not_stored_nothing_is_said(digits: Workspace, tmp_path: Path) -> None:
    copy = Workspace(shutil.copytree(digits.path, tmp_path / "copy"))
    (copy.run().folder / "newton-gap.safetensors").unlink()
    assert training.reach(copy, copy.run(), 5).first_order == ""
    assert first_order.flags(copy.run()) == {}


def test_refitting_agrees_with_a_fit_on_the_remaining_rows(digits: Workspace) -> None:
    project = of_workspace(digits, "")
    assert project is not None
    assert obstacle(digits, digits.run(), project) == ""
    shown = explained(digits, 327)
    removed = shown.ranked["positive"][:3].tolist()
    result = refit(digits, project, shown, removed)
    assert result.predicted == pytest.approx(shown.values[removed].sum())
    inputs = torch.stack([project.test[327][0]])
    rows = torch.stack([project.train[i][0] for i in range(1437)]).flatten(1)
    labels = torch.tensor([int(project.train[i][1]) for i in range(1437)])
    weights = torch.ones(1437)
    weights[removed] = 0
    assert isinstance(project.task, ClassificationTask)
    head = fit_head(rows, labels, project.task, weights)
    truth = torch.tensor([int(project.test[327][1])])
    losses = [
        float(torch.nn.functional.cross_entropy(model(inputs.flatten(1).double()), truth).detach())
        for model in (head, project.model.double())
    ]
    assert result.actual == pytest.approx(losses[0] - losses[1], rel=1e-4)
    assert result.actual > 0


def test_without_the_projects_code_the_refit_says_how_to_get_it(hostile: Workspace) -> None:
    assert "influence open DIR --project FILE" in obstacle(hostile, hostile.run(), None)
    with pytest.raises(ProjectError, match="needs the project's code"):
        refit(hostile, None, explained(hostile, int(hostile.run().solved[0])), [1])


def test_trust_speaks_of_the_target_that_was_checked(digits: Workspace) -> None:
    run = digits.run()
    assert trust.trust(run, explained(digits, 327)).state == run.check.state  # type: ignore[union-attr]
    other = trust.trust(run, explained(digits, 327, Target("logit", "predicted")))
    assert other.state == "not checked"
    assert "100 % of parameters covered" in other.facts


def test_rows_differ_in_training_deviations(table: Workspace) -> None:
    columns = table.manifest.columns
    row, other = table.test[0].row, table.train[0].row
    assert row is not None
    found = table_rows.differences(row, other, columns)
    assert len(found) == 10
    first = max((c for c in columns if c.numeric), key=lambda c: abs(row[c.name] - other[c.name]) / c.std)  # type: ignore[index, operator]
    assert found[0].column == first.name
    hole = {line.column: line for line in table_rows.differences(table.test[1].row or {}, None, columns)}
    assert (hole["column 0"].value, hole["column 0"].said) == ("missing", "? missing")


def test_shared_words_are_whole_words() -> None:
    shared = texts.words("Cheap PILLS, the pill-box") & texts.words("pills and a boxer")
    assert shared == {"pills"}
    assert texts.segments("Pills pillsbury", shared) == [("Pills", True), (" pillsbury", False)]
    long = "nothing " * 100 + "pills here"
    assert "pills here" in texts.excerpt(long, shared, 80)
    assert texts.words("the and of") == frozenset()


def test_small_pictures_grow_by_whole_pixels() -> None:
    out = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4).save(out, "PNG")
    grown = np.asarray(Image.open(io.BytesIO(pictures.fitted(out.getvalue(), 96))))
    assert grown.shape == (96, 96)
    assert np.array_equal(grown[::12, ::12], np.arange(64, dtype=np.uint8).reshape(8, 8) * 4)


@pytest.mark.parametrize("text", ["foo", "loss", "loss-", "loss-x", "logit-10", "value-true", "loss-²", "-1"])
def test_a_target_that_is_none(text: str) -> None:
    with pytest.raises(TargetError):
        targets.parse(text, "classification", 10)


def test_targets() -> None:
    assert targets.parse("", "classification", 10) == Target()
    assert targets.parse("margin-3", "classification", 10) == Target("margin", 3)
    assert list(targets.choices("classification", ["a", "b", "c"], "b", "c").classes) == ["true", "predicted", "0"]
    assert targets.choices("regression", [], "1", "2").classes == {}


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (1.2345, "1.23"), (-0.01234, "−0.0123"), (1.5e-9, "1.5×10⁻⁹"), (12345.6, "12,346"), (-2e7, "−2.0×10⁷")],
)
def test_numbers(value: float, said: str) -> None:
    assert wording.number(value) == said
    assert wording.number(float("nan")) == "missing"


def test_shares() -> None:
    assert [wording.percent(x) for x in (0, 0.0001, 0.032, 0.82, 1)] == ["0 %", "< 0.1 %", "3.2 %", "82 %", "100 %"]


def test_a_name_is_one_line_without_direction_marks() -> None:
    assert wording.plain("a\u202eb\nc\x00") == "a b c"
    assert len(wording.plain("x" * 500)) == wording.LONGEST_NAME


def test_a_stalled_solver_shows_no_ranking(digits: Workspace) -> None:
    shown = replace(explained(digits, 327), is_stalled=True, solved="LiSSA reached 0.4", advice="Use more damping.")
    assert shown.is_stalled
    assert trust.trust(digits.run(), shown).state == "do not rely"
    assert not explained(digits, 327).is_stalled


def test_a_downloaded_table_holds_no_formula(digits: Workspace) -> None:
    frame = digits.train.frame()
    frame["key"] = "=HYPERLINK()"
    table = ranking.table(explained(digits, 327), frame, digits.manifest.class_names)
    assert table["rank"].tolist() == list(range(1, 1438))
    assert all(line.split(",")[1] == "'=HYPERLINK()" for line in ranking.as_csv(table).splitlines()[1:])
