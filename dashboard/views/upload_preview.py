"""What was found in an upload, before anything is trained."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard import cache
from dashboard.components.labels import safe

MOST_NOTES = 12
HEIGHT = 320
EXAMPLE = pd.DataFrame(
    {
        "id": ["A-1", "A-2", "A-3"],
        "age": [54, 61, 38],
        "smoker": ["yes", "no", "no"],
        "outcome": ["ill", "well", "well"],
    }
)
FOLDERS = "pictures.zip\n├── cats\n│   ├── 1.jpg\n│   └── 2.jpg\n└── dogs\n    ├── 1.jpg\n    └── 2.jpg"


def examples() -> None:
    """What a file may look like, while there is none."""
    left, right = st.columns(2, gap="medium")
    with left, st.container(border=True, height="stretch"):
        st.markdown("**A table** · CSV or Parquet, one row an example")
        st.dataframe(EXAMPLE, hide_index=True, alt="A table with the columns id, age, smoker and outcome")
        st.caption("The label may be a class or a number. A column of texts can be read instead of the others.")
    with right, st.container(border=True, height="stretch"):
        st.markdown("**Pictures** · a zip with one folder a class")
        st.code(FOLDERS, language=None)
        st.caption("Folders called train and test above the classes say which pictures are the test set.")


def headline(upload: cache.Upload) -> None:
    """Name and size."""
    if upload.table is None:
        size = f"{len(upload.pictures):,} pictures in {len({file.label for file in upload.pictures}):,} folders"
    else:
        size = f"{len(upload.table):,} rows, {len(upload.table.columns):,} columns"
    st.subheader(f"{safe(upload.file, 60)}: {size}", anchor=False)


def beginning(upload: cache.Upload) -> None:
    """The first rows, or a picture of each class."""
    st.subheader("What was found", anchor=False)
    if upload.table is not None:
        rows = cache.first_rows(upload)
        st.dataframe(
            rows, hide_index=True, height=min(HEIGHT, 35 * (len(rows) + 1) + 3), alt="The first rows of the table"
        )
        return
    with st.container(horizontal=True, key="tiles"):
        for label, png in cache.first_pictures(upload):
            with st.container(width="content", gap=None):
                st.image(png, width=96, alt=f"A picture of {cache.plain(label)}")
                st.text(cache.plain(label)[:14])


def classes(rows: cache.Rows) -> None:
    """How the classes are split."""
    table = cache.upload_classes(rows)
    if table.empty:
        return
    table["Class"] = [cache.plain(name) for name in table["Class"]]
    bar = st.column_config.ProgressColumn(format="%d", min_value=0, max_value=int(table["Train"].max()))
    st.dataframe(
        table,
        hide_index=True,
        height=min(HEIGHT, 35 * (len(table) + 1) + 3),
        column_config={"Train": bar},
        alt="How many examples of each class train and test",
    )


def notes(upload: cache.Upload, rows: cache.Rows) -> None:
    """What is left out or read otherwise."""
    said = [*rows.said, *filter(None, [cache.upload_advice(upload)])]
    if not said:
        return
    with st.container(border=True, key="upload-notes", gap="small"):
        st.markdown("**Good to know**")
        for note in said[:MOST_NOTES]:
            st.text(f"• {note}", width="stretch")
