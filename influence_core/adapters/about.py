"""What a user may say of a project beyond its model and its data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import pandas as pd

from influence_core.project import Fit
from influence_core.views import View


class About(TypedDict, total=False):
    """Fields of the project that are not read off the model and the data; see ``Project``."""

    title: str
    description: str
    class_names: tuple[str, ...]
    view: View
    train_keys: Sequence[str]
    test_keys: Sequence[str]
    train_metadata: pd.DataFrame
    test_metadata: pd.DataFrame
    fit: Fit
    test_first: Sequence[int]
    notes: Sequence[str]
