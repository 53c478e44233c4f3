"""Your data: upload a table or pictures, have a model trained on them here, and explain it."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard import cache, state
from dashboard.components import boundary, style
from dashboard.views import upload_choices, upload_preview, upload_training

TITLE = "Your data"
PATH = "your-data"
TYPES = ["csv", "tsv", "txt", "parquet", "pq", "zip"]


def page() -> None:
    """The page."""
    style.draw()
    state.reconcile()
    st.title(TITLE, anchor=False)
    st.markdown(
        "Upload a **table** with a label column, or **pictures** in one folder a class. A model is trained on them on "
        "this machine, and you see which training examples made each of its predictions. No code is needed."
    )
    with boundary.guard(cache.describe_fault, "your-data"):
        reason = cache.obstacle_to_uploads(st.get_option("server.address"))
        if reason:
            st.text(reason, width="stretch")
        elif not upload_training.draw():
            _upload()


def _upload() -> None:
    given = st.file_uploader("A CSV or Parquet table, or a zip of pictures", type=TYPES, key="upload")
    st.text(
        f"{cache.said_of_the_limits()} The file never leaves this machine; what the model learns from is kept in "
        f"{cache.uploads_home()} until you delete it there.",
        width="stretch",
    )
    if given is None:
        upload_preview.examples()
        return
    with boundary.guard(cache.describe_fault, "upload"):
        upload = cache.upload(given.file_id, given.name, given)
        _chosen(given.file_id, upload)


def _chosen(file_id: str, upload: cache.Upload) -> None:
    """What was found, the choices beside it, and the button once nothing is in its way."""
    upload_preview.headline(upload)
    left, right = st.columns([1, 2], gap="large")
    with left:
        choices = upload_choices.draw(file_id, upload)
    with right:
        upload_preview.beginning(upload)
    with left, boundary.guard(cache.describe_fault, "choices") as part:
        rows = cache.prepared(upload, choices.model_dump_json())
    if part.failed:
        return
    with right:
        upload_preview.classes(rows)
    upload_preview.notes(upload, rows)
    with st.container(border=True, key="plan"):
        st.text(cache.upload_plan(upload, choices, rows), width="stretch")
        order = cache.Order(digest=upload.digest, name=upload.name, choices=choices)
        st.button("Train and explain", type="primary", key="train", on_click=partial(_train, upload, order))


def _train(upload: cache.Upload, order: cache.Order) -> None:
    cache.train(upload, order, state.visitor())
    state.set_training(order)
