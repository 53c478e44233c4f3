"""The trust strip: how far to trust the scores, by word and icon first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import streamlit as st

from dashboard.components.labels import safe

LONGEST = 400


class Trust(Protocol):
    """What the strip shows."""

    @property
    def state(self) -> str: ...  # noqa: D102
    @property
    def icon(self) -> str: ...  # noqa: D102
    @property
    def sentence(self) -> str: ...  # noqa: D102
    @property
    def facts(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def notes(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def meanings(self) -> str: ...  # noqa: D102
    @property
    def remarks(self) -> Sequence[str]: ...  # noqa: D102


def draw(trust: Trust) -> None:
    """State and sentence, then method, damping, residual and coverage, then what a reader must know."""
    with st.container(key="trust", border=True, gap=None):
        st.markdown(f"**{trust.icon} {trust.state.capitalize()}** · {safe(trust.sentence, LONGEST)}")
        st.caption(safe(" · ".join(trust.facts), LONGEST), help=trust.meanings)
        for note in trust.notes:
            st.caption(f"⚠ {safe(note, LONGEST)}")
        for remark in trust.remarks:
            st.caption(f"Note: {safe(remark, LONGEST)}")
