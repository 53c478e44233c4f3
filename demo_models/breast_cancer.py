"""Wisconsin breast cancer: malignant or benign from 30 measurements of cells, shipped by scikit-learn."""

from __future__ import annotations

import pandas as pd
import torch
from sklearn.datasets import load_breast_cancer

from demo_models.heads import Rows, linear_fit, mistakes_first, split_rows, standardised, train_head
from influence_core.project import Project
from influence_core.task import ClassificationTask
from influence_core.views import TableView

TITLE = "Breast cancer diagnosis"
SUMMARY = "569 patients with 30 measurements each: is the tumour malignant or benign?"
DESCRIPTION = (
    "A needle took a few cells from a lump in the breast of each of 569 patients, and 30 measurements "
    "describe the cell nuclei under the microscope: their size, outline and texture, as mean, standard error "
    "and worst value. The model, logistic regression, adds up the measurements with learned weights and says "
    "malignant or benign; it learned from 455 patients and is tested on the other 114. Few diagnoses are "
    "wrong, but calling a malignant tumour benign is the mistake that costs a life. Worth asking: which "
    "earlier patients made the model believe that this tumour was harmless, and would it have said so "
    "without them?"
)
TEST_SIZE = 114
SEED = 4  # of the split; both kinds of mistake are among the test patients
CLASS_NAMES = ("malignant", "benign")
WEIGHT_DECAY = 1e-2  # strong for 30 correlated columns: no single patient can turn the weights round


def load() -> Project:
    """The breast cancer project; malignant tumours called benign come first."""
    data = load_breast_cancer()
    raw, labels = torch.from_numpy(data.data), torch.from_numpy(data.target).long()
    train, test = split_rows(len(labels), TEST_SIZE, labels, seed=SEED)
    inputs = standardised(raw, train)
    frame = pd.DataFrame(data.data, columns=[_readable(name) for name in data.feature_names])
    task = ClassificationTask(n_classes=2, weight_decay=WEIGHT_DECAY)
    model = train_head(inputs[train], labels[train], task)
    test_rows = Rows(inputs[test], labels[test])
    return Project(
        name="breast-cancer",
        model=model,
        task=task,
        train=Rows(inputs[train], labels[train]),
        test=test_rows,
        class_names=CLASS_NAMES,
        view=TableView(frame.iloc[train].reset_index(drop=True), frame.iloc[test].reset_index(drop=True)),
        title=TITLE,
        description=DESCRIPTION,
        train_keys=[f"patient {row:03d}" for row in train],
        test_keys=[f"patient {row:03d}" for row in test],
        train_metadata=_groups(frame, train, train),
        test_metadata=_groups(frame, test, train),
        fit=linear_fit(task),
        test_first=mistakes_first(model, test_rows, order=(0, 1)),
    )


def _groups(frame: pd.DataFrame, rows: list[int], train: list[int]) -> pd.DataFrame:
    """How large and how uneven the nuclei are: thirds of the training patients, and the two measurements themselves."""
    measured = {"size of nuclei": "mean radius", "outline of nuclei": "mean concavity"}
    words = {"size of nuclei": ("small", "medium", "large"), "outline of nuclei": ("smooth", "uneven", "very uneven")}
    groups = {}
    for group, column in measured.items():
        thirds = frame[column].iloc[train].quantile([1 / 3, 2 / 3])
        groups[group] = [words[group][int(n)] for n in thirds.searchsorted(frame[column].iloc[rows])]
    return pd.DataFrame({**groups, "mean radius": frame["mean radius"].iloc[rows].to_numpy()})


def _readable(name: str) -> str:
    """``radius error`` is the standard error of the radius, not a mistake."""
    return f"{name.removesuffix(' error')} (standard error)" if name.endswith(" error") else name
