"""One boundary round every page and every part that can fail on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import streamlit as st


class Fault(Protocol):
    """An error in words."""

    @property
    def sentence(self) -> str: ...  # noqa: D102
    @property
    def advice(self) -> str: ...  # noqa: D102
    @property
    def log_id(self) -> str: ...  # noqa: D102


@dataclass
class Part:
    """A part of a page; whether it could be drawn is known once its boundary is left."""

    failed: bool = False


@contextmanager
def guard(describe: Callable[[Exception], Fault], name: str) -> Iterator[Part]:
    """Show an error instead of the part that raised it; the rest of the page goes on.

    Args:
        describe: Puts an error into words.
        name: Of the part, unique on its page.
    """
    part = Part()
    try:
        yield part
    except Exception as error:
        part.failed = True
        draw(describe(error), name)


def draw(fault: Fault, name: str) -> None:
    """What happened, and what to do next; paths and names in it are shown as they are."""
    with st.container(border=True, key=f"fault-{name}"):
        st.markdown("**Our fault**" if fault.log_id else "**This cannot be shown**")
        st.text(fault.sentence, width="stretch")
        if fault.advice:
            st.text(fault.advice, width="stretch")
