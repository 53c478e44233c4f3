"""The choices of an upload: proposed, and changed by its owner."""

from __future__ import annotations

import streamlit as st

from dashboard import cache

KINDS = {"classification": "a class", "regression": "a value"}
NONE = "none"


def draw(file_id: str, upload: cache.Upload) -> cache.Choices:
    """Menus for a table; pictures leave nothing to choose."""
    proposed, options = cache.proposed(upload)
    st.subheader("What to learn", anchor=False)
    if upload.table is None:
        st.text("The folder that a picture lies in is its class.", width="stretch")
        return proposed
    label = st.selectbox(
        "Label: what is predicted",
        options.labels,
        _place(proposed.label, options.labels),
        key=f"upload-label-{file_id}",
    )
    kind = st.segmented_control(
        "The label is",
        list(KINDS),
        default=proposed.kind,
        format_func=KINDS.__getitem__,
        required=True,
        key=f"upload-kind-{file_id}",
    )
    text = _optional("Text to read", "the other columns", options.texts, proposed.text, f"text-{file_id}")
    key = _optional("Key: what an example is called", "its row number", options.keys, proposed.key, f"key-{file_id}")
    split = ""
    if options.splits:
        split = _optional("Train or test", "drawn by lot", options.splits, proposed.split, f"split-{file_id}")
    left_out: list[str] = []
    if not text:
        others = [str(name) for name in upload.table.columns if name not in (label, key, split)]
        left_out = st.multiselect("Columns the model must not read", others, key=f"upload-left-out-{file_id}")
    return cache.Choices(
        modality="text" if text else "table",
        kind=kind or proposed.kind,
        label=label or "",
        key=key,
        text=text,
        split=split,
        left_out=tuple(left_out),
    )


def _place(name: str, names: list[str]) -> int | None:
    return names.index(name) if name in names else (0 if names else None)


def _optional(title: str, otherwise: str, names: list[str], chosen: str, key: str) -> str:
    """A menu whose first entry names no column."""
    places = list(range(-1, len(names)))
    place = st.selectbox(
        title,
        places,
        names.index(chosen) + 1 if chosen in names else 0,
        format_func=lambda i: names[i] if i >= 0 else f"({otherwise})",
        key=f"upload-{key}",
    )
    return names[place] if place is not None and place >= 0 else ""
