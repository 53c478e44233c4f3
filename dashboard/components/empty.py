"""What is shown while there is nothing to show yet."""

from __future__ import annotations

import streamlit as st


def draw() -> None:
    """Three ways to begin, each a command to copy."""
    st.title("Which training examples caused this prediction?")
    st.markdown("There is no workspace here yet. Three ways to begin, from a terminal:")
    for column, (title, words, command) in zip(st.columns(3), WAYS, strict=True):
        with column, st.container(border=True, height="stretch"):
            st.subheader(title)
            st.markdown(words)
            st.code(command, language=None)


WAYS = (
    ("Build a demo", "Handwritten digits and a small model, ready in seconds.", "influence demo"),
    ("Open a workspace", "A folder that was built before, here or by somebody else.", "influence open DIR"),
    (
        "Bring your own",
        "A Python file with your model and data as `project = Project(...)`.",
        "influence build FILE.py --out DIR\ninfluence open DIR",
    ),
)
