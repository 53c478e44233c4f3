"""The dashboard's frame: page configuration and navigation, nothing else. `influence open DIR` starts it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.views import bring, build_run, explain, help, overview

st.set_page_config(page_title="Influence", page_icon=str(Path(__file__).parent / "assets" / "icon.png"), layout="wide")
st.navigation(
    [
        st.Page(overview.page, title="Overview", url_path="overview"),
        st.Page(explain.page, title="Explain", url_path="explain", default=True),
        st.Page(build_run.page, title=build_run.TITLE, url_path=build_run.PATH, visibility="hidden"),
        st.Page(bring.page, title=bring.TITLE, url_path=bring.PATH),
        st.Page(help.page, title="Help", url_path="help"),
    ],
    position="top",
).run()
