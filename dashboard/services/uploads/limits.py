"""How large an upload may be, and the error that says why one is refused."""

from __future__ import annotations

from influence_core.errors import InfluenceError

MEGABYTES = 50  # of the file; also Streamlit's own limit in .streamlit/config.toml
ROWS = 50_000
FEWEST_ROWS = 20
COLUMNS = 500
CELLS = 5_000_000
CHARACTERS = 1_000_000  # of one cell
UNPACKED_MEGABYTES = 500  # of a zip's files or a Parquet file's columns in memory
RATIO = 100  # of a zip's unpacked size to its own: pictures hardly shrink, bombs do
FILES = 10_000  # in a zip
PICTURES = 4_000
PIXELS = 25_000_000  # of one picture
CLASSES = 100
FEWEST_OF_CLASS = 3
TEST_SHARE = 0.2
MOST_TEST = 2_000
PARAMETERS = (
    2_500  # of the head; the exact method takes four times as many, but a check by 24 refits then takes minutes
)
INPUTS = 2_000  # columns that the head reads
DESIGN_CELLS = 60_000_000  # rows times the columns that the head reads: 480 MB in float64


class UploadError(InfluenceError):
    """A file cannot be taken as it is; the sentence says what, how much, and what to do."""


def said_of_the_limits() -> str:
    """The limits in one sentence."""
    return (
        f"Up to {MEGABYTES} MB: a table of {ROWS:,} rows, {COLUMNS} columns and {CLASSES} classes, or "
        f"{PICTURES:,} pictures of {PIXELS // 1_000_000} megapixels."
    )


def listed(names: list[str], most: int = 3) -> str:
    """The first names in quotes, and how many more there are."""
    first = ", ".join(f"'{name[:60]}'" for name in names[:most])
    return first if len(names) <= most else f"{first} and {len(names) - most:,} more"
