"""Cards, charts, dialog and hints."""

from __future__ import annotations

import streamlit as st


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


def is_dismissed(hint: str) -> bool:
    """Whether the visitor has closed a hint."""
    return hint in st.session_state.get("dismissed", ())


def dismiss(hint: str) -> None:
    """Close a hint for this visit."""
    st.session_state["dismissed"] = {*st.session_state.get("dismissed", ()), hint}
