"""Slices: filters that are kept under a name."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard.cache.examples import columns, listed, workspace
from dashboard.services import slices as slice_service
from dashboard.services.filters import Filters
from dashboard.services.opened import Folder
from dashboard.services.slices import Slice


def slices(folder: Folder) -> list[Slice]:
    """All slices by name; looked up anew each time, as another browser may have saved one."""
    return slice_service.listed(workspace(folder), columns(folder, "test"))


@st.cache_data(max_entries=512, show_spinner=False)
def _size(folder: Folder, filters: str) -> int:
    return len(listed(folder, **Filters.model_validate_json(filters).model_dump()))


def slice_size(folder: Folder, one: Slice) -> int | None:
    """How many predictions a slice holds; None if it does not fit the workspace."""
    return None if one.filters is None else _size(folder, one.filters.model_dump_json())


def slice_filters(folder: Folder, name: str) -> dict[str, Any]:
    """The filters of a slice."""
    found = slice_service.named(slices(folder), name).filters
    return found.model_dump() if found else {}


def shows(one: Slice, filters: dict[str, Any]) -> bool:
    """Whether filters are those of a slice, in whatever order the list is."""
    return one.filters == Filters(**{**filters, "sort": Filters().sort})


def obstacle_to_slices(folder: Folder) -> str:
    """Why no slice can be saved, in a sentence; empty if one can."""
    return slice_service.table(workspace(folder)).records.obstacle


def save_slice(folder: Folder, name: str, filters: dict[str, Any]) -> None:
    """Keep filters under a name."""
    opened = workspace(folder)
    slice_service.table(opened).add(name, slice_service.definition(Filters(**filters), opened.manifest))


def redefine_slice(folder: Folder, old: Slice, filters: dict[str, Any]) -> None:
    """Keep other filters under the name of a slice."""
    opened = workspace(folder)
    slice_service.table(opened).redefine(old.saved, slice_service.definition(Filters(**filters), opened.manifest))


def rename_slice(folder: Folder, old: Slice, name: str) -> None:
    """Call a slice otherwise."""
    slice_service.table(workspace(folder)).rename(old.saved, name)


def delete_slice(folder: Folder, old: Slice) -> None:
    """Remove a slice."""
    slice_service.table(workspace(folder)).delete(old.saved)


def restore_slice(folder: Folder, name: str, definition: str) -> None:
    """Put back a slice that was deleted."""
    slice_service.table(workspace(folder)).add(name, definition)
