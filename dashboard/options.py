"""What the options of the ``influence`` command may be."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Curvature(StrEnum):
    """Which curvature is inverted."""

    hessian = "hessian"
    gauss_newton = "gauss-newton"


class Measure(StrEnum):
    """What is measured of a prediction."""

    loss = "loss"
    logit = "logit"
    margin = "margin"
    value = "value"


class Ranking(StrEnum):
    """What training examples are ranked by."""

    effect = "effect"
    relative = "relative"
    relative_theta = "relative-theta"
    cosine = "cosine"


class Format(StrEnum):
    """How an explanation is written."""

    table = "table"
    json = "json"
    csv = "csv"


class ListFormat(StrEnum):
    """How a list is written."""

    table = "table"
    json = "json"


class Source(StrEnum):
    """What a model was made with."""

    torch = "torch"
    huggingface = "huggingface"
    sklearn = "sklearn"


class Modality(StrEnum):
    """What an example is."""

    image = "image"
    text = "text"
    table = "table"


Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A workspace.", show_default=False)]
ProjectName = Annotated[str, typer.Argument(metavar="PROJECT", help="A demo's name, or FILE.py[:ATTRIBUTE].")]
Code = Annotated[
    str | None, typer.Option(metavar="PROJECT", help="The code that made it: allows solves and refits to run it.")
]
DampingOrAuto = Annotated[str | None, typer.Option("--damping", metavar="X|auto", help="Short for --set damping=X.")]
Damping = Annotated[float | None, typer.Option(metavar="X", help="Added to the curvature; 0 or more.")]
Settings = Annotated[
    list[str], typer.Option("--set", metavar="NAME=VALUE", help="A setting; `influence methods NAME` explains them.")
]
TestId = Annotated[str, typer.Option(metavar="ID", help="A test example: row id or key (row:3 or key:3 to be plain).")]
OfClass = Annotated[str, typer.Option(metavar="true|predicted|CLASS", help="Of which class.")]
RunId = Annotated[str | None, typer.Option("--run", metavar="ID", help="A run; the newest by default.")]
RankBy = Annotated[
    Ranking,
    typer.Option(help="By the score, relative to what an example does to itself (RelatIF), or by its direction alone."),
]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="8501 or any free one by default.")]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Print the link only.")]
ListForm = Annotated[ListFormat, typer.Option("--format", help="How it is written.")]
