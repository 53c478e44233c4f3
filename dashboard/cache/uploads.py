"""From an uploaded file to a workspace of its own."""

from __future__ import annotations

import atexit
import os
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.cache.scores import SOLVING
from dashboard.services import (
    catalogue,
)
from dashboard.services.jobs import Jobs
from dashboard.services.jobs import State as Solve
from dashboard.services.opened import Workspace
from dashboard.services.uploads import building, preparing, proposal, reading, showing
from dashboard.services.uploads.building import Order
from dashboard.services.uploads.preparing import Rows
from dashboard.services.uploads.proposal import Choices
from dashboard.services.uploads.reading import Upload

TRAINING: Jobs[Order] = Jobs()


atexit.register(TRAINING.close)


def obstacle_to_uploads(host: str | None) -> str:
    """Why nothing can be uploaded, in a sentence; empty if it can."""
    return showing.obstacle(host, os.environ)


def uploads_home() -> str:
    """The folder in which uploads are kept."""
    return str(building.home())


@st.cache_resource(max_entries=2, show_spinner="Reading the file …")
def upload(file_id: str, name: str, _data: Any) -> Upload:  # noqa: ARG001  (the key: another one for each upload)
    """A file that was uploaded, under the id that Streamlit gave it."""
    return reading.read(name, _data.getvalue())


_BY_DIGEST: dict[str | type[Any], Any] = {Upload: lambda given: (given.digest, given.file)}


@st.cache_resource(max_entries=2, show_spinner=False, hash_funcs=_BY_DIGEST)
def proposed(given: Upload) -> tuple[Choices, showing.Options]:
    """The choices that the page begins with, and what else can be chosen."""
    return proposal.propose(given), showing.options(given)


@st.cache_resource(max_entries=4, show_spinner="Looking at the rows …", hash_funcs=_BY_DIGEST)
def prepared(given: Upload, choices: str) -> Rows:
    """What would be trained on; ``choices`` as JSON."""
    return preparing.prepare(given, Choices.model_validate_json(choices))


@st.cache_data(max_entries=2, show_spinner=False, hash_funcs=_BY_DIGEST)
def first_pictures(given: Upload) -> list[tuple[str, bytes]]:
    """A picture of each of the first classes."""
    return showing.first_pictures(given)


def first_rows(given: Upload) -> pd.DataFrame:
    """The beginning of a table."""
    return showing.first_rows(given)


def upload_classes(rows: Rows) -> pd.DataFrame:
    """How many rows of each class train and test."""
    return showing.classes(rows)


def upload_plan(given: Upload, choices: Choices, rows: Rows) -> str:
    """What training would do, in words."""
    return showing.plan(given, choices, rows)


def upload_advice(given: Upload) -> str:
    """What would make the model better."""
    return showing.advice(given)


def train(given: Upload, order: Order, session: str) -> None:
    """Begin to train, unless that is under way."""
    TRAINING.start(order, building.work(given, order, SOLVING), session)


def training_state(order: Order, session: str) -> Solve | None:
    """How far it is; None if this session did not ask for it."""
    return TRAINING.state(order, session)


def cancel_training(order: Order, session: str) -> None:
    """Stop it; nothing of it stays."""
    TRAINING.cancel(order, session)


def dismiss_training(order: Order) -> None:
    """Forget how it ended."""
    TRAINING.dismiss(order)


def trained(order: Order) -> tuple[str, str] | None:
    """Name of the workspace that was made of an upload, and how good its model is; None if there is none."""
    folder = building.find(order)
    if folder is None:
        return None
    return catalogue.register(folder), Workspace(folder).manifest.description
