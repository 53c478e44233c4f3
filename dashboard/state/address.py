"""The place: what is on screen, as the address bar says it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import streamlit as st

DEFAULT_TARGET = "loss-true"


@dataclass(frozen=True)
class Place:
    """What is on screen, as the address bar says it.

    Attributes:
        workspace: Name in the catalogue.
        run: Run id; empty means the newest.
        test: Id of the test prediction; None until the page has chosen one.
        target: What is explained, such as ``loss-true``.
        rank: What training examples are ranked by; empty means their effect.
        slice: Name of the slice that the list shows; empty if it shows none, or something else than was saved.
    """

    workspace: str = ""
    run: str = ""
    test: int | None = None
    target: str = DEFAULT_TARGET
    rank: str = ""
    slice: str = ""


def place() -> Place:
    """What is on screen."""
    stored: Place = st.session_state.get("place", Place())
    return stored


def reconcile() -> None:
    """Follow the address bar if it was changed from outside; call it first in every page."""
    shown = _address()
    if shown and shown != st.session_state.get("written"):
        _enter(_parsed(shown))
        st.session_state["written"] = shown


def is_in_step(seen: Place) -> bool:
    """Whether what asked for this run still shows ``seen``.

    A part of the page that redraws itself may be a prediction behind: its run then brings an old address, and a rerun
    of the page from there would be taken for the browser's Back.
    """
    return seen == place() and _address() == st.session_state.get("written")


def settle(*, workspace: str, run: str, test: int | None) -> None:
    """Fill in what a link left open, and write the address bar."""
    st.session_state["place"] = replace(place(), workspace=workspace, run=run, test=test)
    _write()


def link() -> dict[str, str]:
    """The place as the address bar says it."""
    written = {name: str(value) for name, value in asdict(place()).items() if value not in (None, "")}
    if place().target == DEFAULT_TARGET:
        written.pop("target", None)
    return written


def go(*, from_list: bool = False, **changes: Any) -> None:
    """Change the place, and the address bar with it.

    Args:
        from_list: The list itself made the change, so its cursor is already right.
        changes: Fields of Place.
    """
    old = place()
    new = replace(old, **changes)
    if old.workspace and new.workspace != old.workspace:
        new = Place(workspace=new.workspace)
    if new != old:
        _enter(new, from_list=from_list)
    # also if nothing changes: whoever presses twice is an address behind, which would be taken for the browser's Back
    if new.test is not None:
        _write()  # else the page first chooses a prediction: one step of the browser's history, not two


def _enter(new: Place, *, from_list: bool = False) -> None:
    old = place()
    st.session_state["place"] = new
    if old.workspace and new.workspace != old.workspace:
        for name in ("filters", "train-where", "sliced", "slice-base", "slice-said", "slice-deleted", "picked"):
            st.session_state.pop(name, None)
        for name in ("list_page", "cards_page", "opened", "refit"):
            st.session_state.pop(name, None)
    if replace(new, slice="") != replace(old, slice=""):
        st.session_state["cards_page"] = 1
        st.session_state.pop("opened", None)
    if new.test != old.test and not from_list:
        st.session_state["list_epoch"] = st.session_state.get("list_epoch", 0) + 1
        st.session_state.pop("list_page", None)


def _write() -> None:
    written = link()
    st.session_state["written"] = written
    if st.query_params.to_dict() != written:
        st.query_params.from_dict(written)  # one write is one step of the browser's history


def _parsed(shown: dict[str, str]) -> Place:
    test = shown.get("test", "")
    return Place(
        workspace=shown.get("workspace", place().workspace),
        run=shown.get("run", ""),
        test=int(test) if test.isdecimal() else None,
        target=shown.get("target", DEFAULT_TARGET),
        rank=shown.get("rank", ""),
        slice=shown.get("slice", ""),
    )


def _address() -> dict[str, str]:
    return {name: st.query_params[name] for name in _names() if name in st.query_params}


def _names() -> tuple[str, ...]:
    return tuple(field.name for field in fields(Place))


def unslice() -> None:
    """The list shows something else than the slice that was chosen."""
    st.session_state["place"] = replace(place(), slice="")
    st.session_state["sliced"] = ""
    st.session_state["slice-said"] = ""
