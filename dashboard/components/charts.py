"""The charts: the distribution of influence, its concentration, and a regression's errors."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from dashboard.components.colours import COLOURS, SYMBOLS

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#808080")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
FLOOR = 0.6  # where an empty bin is drawn on the log axis
CONFIG = {"displayModeBar": False, "scrollZoom": False}


@dataclass(frozen=True)
class Mark:
    """A card in a chart: its position, its side and what it is called."""

    position: float
    side: str
    name: str


def escaped(text: str) -> str:
    """A text that Plotly shows as it is."""
    return html.escape(text, quote=False)


def distribution(
    edges: np.ndarray,
    counts: Mapping[str, np.ndarray],
    ticks: tuple[Sequence[float], Sequence[str]],
    marks: Sequence[Mark],
    brushed: tuple[float, float] | None,
) -> go.Figure:
    """Counts by score on a signed-log axis, one line of steps a class, the cards marked."""
    figure = go.Figure()
    for (name, heights), colour, dash in zip(counts.items(), PALETTE, DASHES, strict=False):
        drawn = np.maximum(heights, FLOOR)
        figure.add_scatter(
            x=edges,
            y=[*drawn, drawn[-1]],
            mode="lines",
            name=escaped(name),
            hoverinfo="skip",
            line={"shape": "hv", "color": colour, "dash": dash, "width": 2},
        )
    for side in ("positive", "negative"):
        _add_marks(figure, [mark for mark in marks if mark.side == side], side)
    figure.add_vline(x=0, line={"color": "#808080", "width": 1})
    if brushed:
        figure.add_vrect(x0=brushed[0], x1=brushed[1], fillcolor="#808080", opacity=0.2, line_width=0)
    figure.update_xaxes(tickvals=list(ticks[0]), ticktext=list(ticks[1]), title="score (signed log)", fixedrange=True)
    figure.update_yaxes(type="log", title="training examples", fixedrange=True, dtick=1)
    figure.update_layout(
        height=320,
        dragmode="select",
        selectdirection="h",
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )
    return figure


def _add_marks(figure: go.Figure, marks: Sequence[Mark], side: str) -> None:
    figure.add_scatter(
        x=[mark.position for mark in marks],
        y=[FLOOR] * len(marks),
        mode="markers",
        name="cards",
        showlegend=False,
        text=[escaped(mark.name) for mark in marks],
        hovertemplate="%{text}<extra></extra>",
        marker={
            "symbol": SYMBOLS[side],
            "color": COLOURS[side],
            "size": 11,
            "line": {"color": "#ffffff", "width": 1},
        },
    )


def strongest(bars: Mapping[str, tuple[str, Sequence[str], Sequence[float]]], unit: str) -> go.Figure:
    """The strongest examples of each side as bars; ``bars`` is side -> words, names of the examples, scores."""
    figure = go.Figure()
    names: list[str] = []
    for side, (word, called, scores) in bars.items():
        figure.add_bar(
            x=list(scores),
            y=list(range(len(names), len(names) + len(called))),  # not the names: two examples may share one
            orientation="h",
            name=escaped(word),
            text=[escaped(name) for name in called],
            textposition="none",
            marker={"color": COLOURS[side], "pattern": {"shape": "" if side == "positive" else "/"}},
            hovertemplate=f"%{{text}}<br>%{{x:.3g}} {escaped(unit)}<extra>{escaped(word)}</extra>",
        )
        names += [escaped(name) for name in called]
    figure.add_vline(x=0, line={"color": "#808080", "width": 1})
    figure.update_xaxes(title=f"score ({escaped(unit)})")
    figure.update_yaxes(autorange="reversed", tickvals=list(range(len(names))), ticktext=names)
    figure.update_layout(height=120 + 24 * max(len(names), 1), margin={"l": 10, "r": 10, "b": 10})
    return figure


def concentration(curves: Mapping[str, tuple[str, np.ndarray, np.ndarray]]) -> go.Figure:
    """How much of each side its strongest examples carry; ``curves`` is side -> words, number of examples, share."""
    figure = go.Figure()
    for side, (name, strongest, shares) in curves.items():
        dash = "solid" if side == "positive" else "dash"
        figure.add_scatter(
            x=strongest,
            y=100 * shares,
            mode="lines",
            name=escaped(name),
            line={"color": COLOURS[side], "dash": dash, "width": 2},
            hovertemplate="the strongest %{x:,} carry %{y:.0f} %<extra></extra>",
        )
    figure.add_hline(y=50, line={"color": "#808080", "width": 1, "dash": "dot"})
    figure.update_xaxes(type="log", title="strongest training examples", dtick=1, fixedrange=True)
    figure.update_yaxes(title="share carried (%)", range=[0, 102], fixedrange=True)
    figure.update_layout(
        height=260,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )
    return figure


def predicted_against_actual(actual: np.ndarray, predicted: np.ndarray, names: Sequence[str], unit: str) -> go.Figure:
    """A regression's predictions; a click selects one."""
    low, high = float(min(actual.min(), predicted.min())), float(max(actual.max(), predicted.max()))
    figure = go.Figure()
    figure.add_scatter(
        x=[low, high], y=[low, high], mode="lines", hoverinfo="skip", line={"color": "#808080", "dash": "dot"}
    )
    figure.add_scatter(
        x=actual,
        y=predicted,
        mode="markers",
        text=[escaped(name) for name in names],
        hovertemplate="%{text}<br>actual %{x}, predicted %{y}<extra></extra>",
        marker={"color": COLOURS["positive"], "size": 8, "line": {"color": "#808080", "width": 1}},
    )
    said = f" ({escaped(unit)})" if unit else ""
    figure.update_xaxes(title=f"actual{said}", fixedrange=True)
    figure.update_yaxes(title=f"predicted{said}", fixedrange=True)
    figure.update_layout(
        height=420, showlegend=False, margin={"l": 10, "r": 10, "t": 10, "b": 10}, clickmode="event+select"
    )
    return figure
