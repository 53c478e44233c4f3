"""The chart of two rankings against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from dashboard.components.charts import escaped
from dashboard.components.colours import COLOURS, SYMBOLS

GREY = "#7B8794"
LINE = "#CC79A7"  # of the palette, and seen among grey points in light and dark
HOVER = "%{text}<br>rank %{x:,} in this run, %{y:,} in the other<extra></extra>"


@dataclass(frozen=True)
class Point:
    """A training example: its rank in this and in the other run, its name, and its side if its card is on screen."""

    here: float
    there: float
    name: str
    side: str = ""


def ranks(points: Sequence[Point], n: int, words: tuple[str, str], first: str) -> go.Figure:
    """Rank against rank of ``n`` examples, the line of equal ranks, the cards on screen marked.

    Args:
        points: What is drawn.
        n: The last rank there is.
        words: What both sides are called, such as ``helpful`` and ``harmful``.
        first: What rank 1 means, such as ``1 = most helpful``.
    """
    figure = go.Figure()
    _add(figure, points, "", "all examples", {"symbol": "circle", "color": GREY, "size": 5, "opacity": 0.5})
    line = {"color": LINE, "dash": "dash", "width": 2}
    figure.add_scatter(x=[1, n], y=[1, n], mode="lines", name="same rank", hoverinfo="skip", line=line)
    for side, word in zip(("positive", "negative"), words, strict=True):
        outline = {"color": "#ffffff", "width": 1}
        mark = {"symbol": SYMBOLS[side], "color": COLOURS[side], "size": 12, "line": outline}
        _add(figure, points, side, f"cards: {word}", mark)
    axis = {"range": [1 - 0.03 * n, 1.03 * n], "fixedrange": True, "zeroline": False, "tickformat": ","}
    figure.update_xaxes(title=f"rank in this run ({escaped(first)})", **axis)
    figure.update_yaxes(title="rank in the other run", **axis)
    figure.update_layout(
        height=420,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )
    return figure


def _add(figure: go.Figure, points: Sequence[Point], side: str, name: str, marker: dict[str, object]) -> None:
    kept = [point for point in points if point.side == side]
    figure.add_scatter(
        x=[point.here for point in kept],
        y=[point.there for point in kept],
        mode="markers",
        name=escaped(name),
        text=[escaped(point.name) for point in kept],
        hovertemplate=HOVER,
        marker=marker,
    )
