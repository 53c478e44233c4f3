"""Small drawings of our own that run in the browser: one script and one style sheet each, nothing fetched.

Texts of the data reach the page through ``textContent`` alone, so that none of it is ever interpreted.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

ASSETS = Path(__file__).parent / "assets"


def register(name: str) -> Callable[..., Any]:
    """The mounting function of a component in ``assets``."""
    js, css = ((ASSETS / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    shared_js, shared_css = ((ASSETS / f"base.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    return st.components.v2.component(f"influence_{name}", js=f"{shared_js}\n{js}", css=f"{shared_css}\n{css}")
