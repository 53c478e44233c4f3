"""How good the model is, and where to start."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.cache.examples import frame, workspace
from dashboard.services import (
    performance,
    start,
)
from dashboard.services.cards import Card
from dashboard.services.opened import Folder
from dashboard.services.start import Harm


@st.cache_data(max_entries=4, show_spinner=False)
def figures(folder: Folder) -> list[performance.Figure]:
    """The headline numbers of the test set."""
    manifest = workspace(folder).manifest
    return performance.figures(frame(folder, "test"), manifest.kind, manifest.label_unit)


@st.cache_data(max_entries=4, show_spinner=False)
def classes(folder: Folder) -> pd.DataFrame:
    """Recall and counts of every class."""
    names = workspace(folder).manifest.class_names
    return performance.classes(frame(folder, "test"), frame(folder, "train"), names)


@st.cache_data(max_entries=4, show_spinner=False)
def confusion(folder: Folder) -> np.ndarray:
    """Counts, true label by predicted class."""
    return performance.confusion(frame(folder, "test"), len(workspace(folder).manifest.class_names))


@st.cache_data(max_entries=4, show_spinner=False)
def surprising(folder: Folder, run_id: str) -> list[Card]:
    """The most surprising wrong predictions."""
    opened = workspace(folder)
    return start.surprising(opened, opened.run(run_id), frame(folder, "test"))


@st.cache_data(max_entries=4, show_spinner="Adding up the harm to the wrong predictions …")
def harmful(folder: Folder, run_id: str) -> Harm:
    """Training examples that harm the wrong predictions most."""
    opened = workspace(folder)
    return start.harmful(opened, opened.run(run_id), frame(folder, "test"))


def first_test(folder: Folder, run_id: str) -> int | None:
    """The prediction that a visitor sees first."""
    opened = workspace(folder)
    return start.first_test(opened.run(run_id), frame(folder, "test"), opened.manifest.kind)
