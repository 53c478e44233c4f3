"""Workspaces, their examples and what a filter finds of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.services import (
    listing,
    pictures,
)
from dashboard.services import metadata as metadata_service
from dashboard.services.filters import Condition, Filters, in_words
from dashboard.services.metadata import Column
from dashboard.services.opened import Folder, Workspace


@st.cache_resource(max_entries=4, show_spinner="Opening the workspace …")
def workspace(folder: Folder) -> Workspace:
    """An opened workspace; memory-mapped, so that it costs little to keep."""
    return Workspace(folder.path)


@st.cache_resource(max_entries=8, show_spinner=False)
def frame(folder: Folder, split: str) -> pd.DataFrame:
    """The cheap columns of all training or all test examples."""
    opened = workspace(folder)
    return (opened.train if split == "train" else opened.test).frame()


@st.cache_resource(max_entries=8, show_spinner=False)
def metadata(folder: Folder, split: str) -> pd.DataFrame:
    """The user's own columns of all training or all test examples."""
    opened = workspace(folder)
    return (opened.train if split == "train" else opened.test).metadata()


@st.cache_resource(max_entries=8, show_spinner=False)
def columns(folder: Folder, split: str) -> list[Column]:
    """What each of the user's own columns holds."""
    return metadata_service.describe(metadata(folder, split))


@st.cache_resource(max_entries=16, show_spinner=False)
def listed(folder: Folder, **filters: Any) -> list[int]:
    """Test ids that pass the filters, in order."""
    opened, chosen = workspace(folder), Filters(**filters)
    found = opened.test.search(chosen.search.strip()) if chosen.search.strip() else None
    known = metadata(folder, "test") if chosen.where else None
    return listing.matching(frame(folder, "test"), opened.manifest.kind, chosen, found, known)


@st.cache_data(max_entries=16, show_spinner=False)
def trained_on(folder: Folder, where: list[dict[str, Any]]) -> np.ndarray:
    """Which training examples pass conditions on their metadata."""
    return listing.where(metadata(folder, "train"), [Condition(**one) for one in where])


def filters_said(folder: Folder, **filters: Any) -> str:
    """Filters in words; empty if nothing is asked."""
    return in_words(Filters(**filters), workspace(folder).manifest.class_names)


@st.cache_data(max_entries=64, show_spinner=False)
def picture(folder: Folder, split: str, example_id: int, side: int) -> bytes | None:
    """The picture of an example as PNG; None if it has none."""
    opened = workspace(folder)
    image = (opened.train if split == "train" else opened.test)[example_id].image
    return pictures.fitted(image, side) if image else None
