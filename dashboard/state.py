"""The only home of session state and of the address bar.

The address bar is the truth whenever it differs from what this session wrote last (a link, a reload, the browser's
Back and Forward); otherwise the session is. Session state holds ids and filters, never data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any
from uuid import uuid4

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
        slice: Name of the slice that the list shows; empty if it shows none, or something else than was saved.
    """

    workspace: str = ""
    run: str = ""
    test: int | None = None
    target: str = DEFAULT_TARGET
    slice: str = ""


@dataclass(frozen=True)
class Condition:
    """What is asked of one metadata column; see the filters' service for the meaning."""

    column: str
    values: tuple[str, ...] = ()
    low: float | str | None = None
    high: float | str | None = None
    text: str = ""
    missing: bool = False


@dataclass(frozen=True)
class Filters:
    """What the list of predictions shows; see the filters' service for the meaning."""

    outcome: str = "all"
    true: int | None = None
    predicted: int | None = None
    low: float = 0.0
    high: float = 1.0
    least_error: float = 0.0
    search: str = ""
    sort: str = "loss"
    where: tuple[Condition, ...] = ()


# --- the place ------------------------------------------------------------------------------------------------------


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
        st.session_state["list_epoch"] = list_epoch() + 1
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
        slice=shown.get("slice", ""),
    )


def _address() -> dict[str, str]:
    return {name: st.query_params[name] for name in _names() if name in st.query_params}


def _names() -> tuple[str, ...]:
    return tuple(field.name for field in fields(Place))


# --- the list -------------------------------------------------------------------------------------------------------


def filters() -> Filters:
    """The filters of the list."""
    stored: Filters = st.session_state.get("filters", Filters())
    return stored


def set_filters(**changes: Any) -> None:
    """Change filters; the list opens again on the page with the example, and shows no slice as it was saved."""
    before = filters()
    st.session_state["filters"] = replace(before, **changes)
    st.session_state.pop("list_page", None)
    if replace(filters(), sort=before.sort) != before:
        _unslice()


def clear_filters() -> None:
    """All predictions again, in the order they were in."""
    set_filters(**{**vars(Filters()), "sort": filters().sort})
    _unslice()
    st.session_state.pop("slice-base", None)


def conditions(split: str) -> tuple[Condition, ...]:
    """What is asked of the metadata: of the listed predictions, or of the training examples in the table."""
    asked: tuple[Condition, ...] = filters().where if split == "test" else st.session_state.get("train-where", ())
    return asked


def set_condition(split: str, condition: Condition) -> None:
    """Ask something of one metadata column, in place of what was asked of it; a bare condition asks nothing."""
    asked = {one.column: one for one in conditions(split)} | {condition.column: condition}
    where = tuple(one for one in asked.values() if one != Condition(one.column))
    if split == "test":
        set_filters(where=where)
    else:
        st.session_state["train-where"] = where


def clear_conditions(split: str) -> None:
    """Ask nothing of the metadata any more."""
    for one in conditions(split):
        set_condition(split, Condition(one.column))


# --- slices ---------------------------------------------------------------------------------------------------------


def slice_to_apply() -> str | None:
    """The slice that the address asks for and the list does not show yet; "" to leave one, None if all is well."""
    asked = place().slice
    return None if asked == st.session_state.get("sliced", "") else asked


def apply_slice(name: str, kept: dict[str, Any]) -> None:
    """Show a slice: its filters, in the order that the list is in."""
    where = tuple(Condition(**one) for one in kept["where"])
    st.session_state["filters"] = Filters(**{**kept, "where": where, "sort": filters().sort})
    st.session_state.pop("list_page", None)
    show_slice(name)


def show_slice(name: str) -> None:
    """The filters are those of a slice now: after one was applied, saved or renamed."""
    st.session_state["place"] = replace(place(), slice=name)
    st.session_state["sliced"] = st.session_state["slice-base"] = name
    say_of_slices("")


def slice_base() -> str:
    """The slice that the filters began from; empty if there is none."""
    name: str = st.session_state.get("slice-base", "")
    return name


def leave_slice() -> None:
    """The filters stay and are no slice any more."""
    _unslice()
    st.session_state.pop("slice-base", None)


def _unslice() -> None:
    st.session_state["place"] = replace(place(), slice="")
    st.session_state["sliced"] = ""
    say_of_slices("")


def say_of_slices(sentence: str) -> None:
    """What is said beside the menu of slices until something else is done."""
    st.session_state["slice-said"] = sentence


def said_of_slices() -> str:
    """What is said beside the menu of slices."""
    sentence: str = st.session_state.get("slice-said", "")
    return sentence


def keep_deleted(kept: tuple[str, str] | None) -> None:
    """Remember the name and definition of the slice that was deleted last, so that it can be put back."""
    st.session_state["slice-deleted"] = kept


def deleted_slice() -> tuple[str, str] | None:
    """The slice that was deleted last, until it was put back."""
    kept: tuple[str, str] | None = st.session_state.get("slice-deleted")
    return kept


def list_page() -> int | None:
    """The page of the list that was asked for; None means the page with the example."""
    page: int | None = st.session_state.get("list_page")
    return page


def set_list_page(page: int) -> None:
    """Turn the list to a page."""
    st.session_state["list_page"] = page


def list_epoch() -> int:
    """Grows whenever the example was changed by something else than the list."""
    epoch: int = st.session_state.get("list_epoch", 0)
    return epoch


def clicked_row(table_key: str) -> int | None:
    """Position of the row whose cell was selected last in a table; None if nothing is."""
    selection = st.session_state.get(table_key, {}).get("selection", {})
    cells = selection.get("cells", [])
    return int(cells[0][0]) if cells else None


def clicked_cell(table_key: str) -> tuple[int, str] | None:
    """Row position and column of the cell that was selected last in a table."""
    cells = st.session_state.get(table_key, {}).get("selection", {}).get("cells", [])
    return (int(cells[0][0]), str(cells[0][1])) if cells else None


# --- ticked training examples ---------------------------------------------------------------------------------------


def picked() -> list[int]:
    """The selection: training ids under discussion, in order."""
    return sorted(st.session_state.get("picked", ()))


def toggle_pick(train_id: int, *, on: bool) -> None:
    """Tick or untick one training example; doing it twice changes nothing."""
    chosen = set(picked())
    st.session_state["picked"] = chosen | {train_id} if on else chosen - {train_id}


def pick_all(train_ids: Iterable[int]) -> None:
    """Add training examples to the selection."""
    st.session_state["picked"] = set(picked()) | {int(i) for i in train_ids}


def clear_picks() -> None:
    """Untick everything."""
    st.session_state["picked"] = set()


# --- cards, dialog, refit, hints ------------------------------------------------------------------------------------


def cards_page() -> int:
    """The page of the example cards, from 1."""
    page: int = st.session_state.get("cards_page", 1)
    return page


def set_cards_page(page: int) -> None:
    """Turn the cards to a page."""
    st.session_state["cards_page"] = page


def brush(scope: str) -> tuple[int, int] | None:
    """The brushed range of bins of one distribution; None if another one or nothing is brushed."""
    found: tuple[str, tuple[int, int]] | None = st.session_state.get("brush")
    return found[1] if found and found[0] == scope else None


def set_brush(scope: str, bins: tuple[int, int]) -> None:
    """Brush a range of bins; the one range there is."""
    st.session_state["brush"] = (scope, bins)


def draw_brush(scope: str, bins: tuple[int, int]) -> None:
    """Brush on the chart: the slider, which cannot be moved by another hand, is made anew."""
    st.session_state["brush-epoch"] = brush_epoch() + 1
    set_brush(scope, bins)


def brush_epoch() -> int:
    """How often the range was drawn on the chart."""
    epoch: int = st.session_state.get("brush-epoch", 0)
    return epoch


def explain_next(test_id: int) -> None:
    """Ask for a prediction from another page."""
    st.session_state["next"] = test_id


def next_to_explain() -> int | None:
    """The prediction another page asked for, once."""
    test_id: int | None = st.session_state.pop("next", None)
    return test_id


def opened() -> int | None:
    """The training example that is open, if one is."""
    train_id: int | None = st.session_state.get("opened")
    return train_id


def open_training(train_id: int) -> None:
    """Open a training example."""
    st.session_state["opened"] = train_id


def close_training() -> None:
    """Close the training example."""
    st.session_state.pop("opened", None)


def compared_with() -> str | None:
    """The run that was chosen last to compare with; it may belong to another workspace."""
    run_id: str | None = st.session_state.get("compared-with")
    return run_id


def compare_with(run_id: str) -> None:
    """Choose the run to compare with."""
    st.session_state["compared-with"] = run_id


def is_refit_asked() -> bool:
    """Whether the refit that was asked for last is that of what is explained and ticked now."""
    return bool(st.session_state.get("refit") == _refit())


def ask_refit() -> None:
    """Ask for a refit without the ticked examples."""
    st.session_state["refit"] = _refit()


def _refit() -> tuple[Place, tuple[int, ...]]:
    return replace(place(), slice=""), tuple(picked())  # what the list shows changes no refit


def visitor() -> str:
    """An id of this visit, by which others' jobs are told from its own."""
    if "visitor" not in st.session_state:
        st.session_state["visitor"] = uuid4().hex
    name: str = st.session_state["visitor"]
    return name


def training() -> Any:
    """The upload that this visit has trained last, until it is left; None if there is none."""
    return st.session_state.get("training")


def set_training(order: Any) -> None:
    """Remember what is trained, whatever page is looked at meanwhile; None to leave it."""
    st.session_state["training"] = order
    st.session_state["training-watched"] = False


def watch_training() -> None:
    """The visitor has seen it end: its workspace opens by itself."""
    st.session_state["training-watched"] = True


def is_training_watched() -> bool:
    """Whether the visitor was looking on as it ended."""
    return bool(st.session_state.get("training-watched"))


def is_dismissed(hint: str) -> bool:
    """Whether the visitor has closed a hint."""
    return hint in st.session_state.get("dismissed", ())


def dismiss(hint: str) -> None:
    """Close a hint for this visit."""
    st.session_state["dismissed"] = {*st.session_state.get("dismissed", ()), hint}


# --- widgets --------------------------------------------------------------------------------------------------------


def control(key: str, value: Any) -> str:
    """Set what a widget shows before it is drawn, so that it never disagrees with the state; returns its key."""
    st.session_state[key] = value
    return key


def component(key: str, name: str) -> Any:
    """A value that one of our own components sent; None if it sent none."""
    return st.session_state.get(key, {}).get(name)


def boxes(chart_key: str) -> list[dict[str, Any]]:
    """The boxes drawn on a chart."""
    found: list[dict[str, Any]] = st.session_state.get(chart_key, {}).get("selection", {}).get("box", [])
    return found


def clicked_point(chart_key: str) -> int | None:
    """Index of the point of a chart that was clicked last."""
    points = st.session_state.get(chart_key, {}).get("selection", {}).get("points", [])
    return int(points[0]["point_index"]) if points else None


def value_of(key: str) -> Any:
    """What a widget holds; None before it was drawn."""
    return st.session_state.get(key)
