"""What is shown while there is nothing to show yet."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st


def draw(on_upload: Callable[[], None]) -> None:
    """Four ways to begin: a file to upload, or a command to copy.

    Args:
        on_upload: Leads to the page that takes a file; it ends the run of this one.
    """
    st.title("Which training examples caused this prediction?")
    st.markdown("There is no workspace here yet. Four ways to begin:")
    first, *others = st.columns(4)
    with first, st.container(border=True, height="stretch"):
        st.subheader("Upload your data")
        st.markdown("A CSV or Parquet table, or pictures in a zip. A model is trained on them here; no code is needed.")
        if st.button("Upload a file", type="primary", key="to-upload"):
            on_upload()
    for column, (title, words, command) in zip(others, WAYS, strict=True):
        with column, st.container(border=True, height="stretch"):
            st.subheader(title)
            st.markdown(words)
            st.code(command, language=None)


WAYS = (
    ("Build a demo", "Handwritten digits and a small model, ready in seconds.", "influence demo"),
    ("Open a workspace", "A folder that was built before, here or by somebody else.", "influence open DIR"),
    (
        "Bring your model",
        "A Python file with your model and data as `project = Project(...)`.",
        "influence build FILE.py --out DIR\ninfluence open DIR",
    ),
)
