"""The dashboard's charts for a notebook: plotly figures of a stored run, with the words and the unit of its scores.

``from dashboard import figures; figures.helpful_and_harmful(Workspace("my-workspace").run(), 3)``
"""

from __future__ import annotations

import plotly.graph_objects as go

from dashboard.components import charts
from dashboard.services import distribution as binning
from dashboard.services import influence
from dashboard.services.opened import Run, Target
from dashboard.services.trust import trust
from dashboard.services.wording import class_name, number, plain, signed

MARKED = 6  # of the strongest examples of each side, as many as the page shows cards
BARS = 10


def helpful_and_harmful(run: Run, test_id: int, k: int = BARS, target: Target | None = None) -> go.Figure:
    """The k strongest training examples of each side as bars.

    Args:
        run: A run of an opened workspace.
        test_id: The prediction.
        k: Examples of each side.
        target: What is measured; the stored measurement if absent.

    Raises:
        InfluenceError: If the prediction is not solved, or the target cannot be measured.
    """
    shown = _explained(run, test_id, target)
    sides = (("positive", shown.words.positive), ("negative", shown.words.negative))
    bars = {}
    for side, word in sides:
        ids = [int(i) for i in shown.ranked[side][:k]]
        bars[side] = (word, [_named(run, i) for i in ids], [float(shown.values[i]) for i in ids])
    return _titled(charts.strongest(bars, shown.unit), run, shown)


def distribution(run: Run, test_id: int, target: Target | None = None) -> go.Figure:
    """How many training examples have which score, one line a class; the strongest of each side are marked.

    Args:
        run: A run of an opened workspace.
        test_id: The prediction.
        target: What is measured; the stored measurement if absent.

    Raises:
        InfluenceError: If the prediction is not solved, or the target cannot be measured.
    """
    shown = _explained(run, test_id, target)
    example, names = run.test[test_id], run.manifest.class_names
    first = [int(example.label), int(example.prediction)] if names else []
    binned = binning.distribution(shown, run.train.frame()["label"].to_numpy(), names, first)
    marks = [
        charts.Mark(
            float(binned.axis.to_axis(shown.values[i])),
            side,
            f"{_named(run, int(i))}: {signed(float(shown.values[i]), shown.unit)}",
        )
        for side, ranked in shown.ranked.items()
        for i in ranked[:MARKED]
    ]
    ticks = (binned.ticks[0].tolist(), [number(score) for score in binned.ticks[1]])
    figure = charts.distribution(binned.edges, binned.counts, ticks, marks, None)
    figure.update_xaxes(title=f"score ({charts.escaped(shown.unit)}, signed log)")
    return _titled(figure, run, shown)


def concentration(run: Run, test_id: int, target: Target | None = None) -> go.Figure:
    """How much of each side's influence its strongest examples carry.

    Args:
        run: A run of an opened workspace.
        test_id: The prediction.
        target: What is measured; the stored measurement if absent.

    Raises:
        InfluenceError: If the prediction is not solved, or the target cannot be measured.
    """
    shown = _explained(run, test_id, target)
    words = {"positive": shown.words.positive, "negative": shown.words.negative}
    curves = {side: (word, *binning.cumulative(shown, side)) for side, word in words.items()}
    return _titled(charts.concentration(curves), run, shown)


def _explained(run: Run, test_id: int, target: Target | None) -> influence.Explanation:
    shown = influence.explain(run, test_id, target or run.target)
    if shown.is_stalled:
        run.frame(test_id, target)  # raises, as the order of such an answer would mean nothing
    return shown


def _named(run: Run, train_id: int) -> str:
    example = run.train[train_id]
    known = example.label_text or class_name(example.label, run.manifest.class_names)
    return f"{plain(example.key)} ({plain(known)})"


def _titled(figure: go.Figure, run: Run, shown: influence.Explanation) -> go.Figure:
    """What is explained, and below how far to trust it: no score stands without that."""
    example, names = run.test[shown.test_id], run.manifest.class_names
    truth = example.label_text or class_name(example.label, names)
    guess = example.prediction_text or class_name(example.prediction, names)
    trusted = trust(run, shown)
    said = f"{plain(example.key)}: {shown.words.measured} (true {plain(truth)}, predicted {plain(guess)})"
    facts = f"{trusted.state} · {' · '.join(trusted.facts[:3])}"
    title = {"text": charts.escaped(said), "subtitle": {"text": charts.escaped(facts)}, "yanchor": "top"}
    beside = {"orientation": "v", "x": 1.02, "xanchor": "left", "y": 1, "yanchor": "top"}  # the title is above
    figure.update_layout(title=title, margin_t=110, height=(figure.layout.height or 400) + 100, legend=beside)
    return figure
