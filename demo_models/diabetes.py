"""Diabetes progression: ridge regression on ten measurements of a patient, shipped by scikit-learn."""

from __future__ import annotations

import pandas as pd
import torch
from sklearn.datasets import load_diabetes

from demo_models.heads import Rows, linear_fit, split_rows, standardised, train_head
from influence_core.project import Project
from influence_core.task import RegressionTask
from influence_core.views import TableView

TITLE = "Diabetes progression"
SUMMARY = "442 patients with 10 measurements each: how far will the disease have come in a year?"
DESCRIPTION = (
    "For 442 people with diabetes a doctor noted age, sex, body mass index, blood pressure and six blood "
    "values, and one year later scored how far the disease had progressed, from 25 to 346 points. The model, "
    "ridge regression, predicts that score as a weighted sum of the ten measurements; it learned from 353 "
    "patients and is tested on the other 89. A typical prediction misses by some 40 points. Worth asking: "
    "which patients it learned from pull this prediction up or down, and does the forecast hang on one or "
    "two unusual people?"
)
TEST_SIZE = 89
WEIGHT_DECAY = 0.1
UNIT = "points of disease progression"
COLUMNS = {
    "age": "age (years)",
    "sex": "sex (coded 1 or 2)",
    "bmi": "body mass index",
    "bp": "mean blood pressure",
    "s1": "total cholesterol",
    "s2": "LDL cholesterol",
    "s3": "HDL cholesterol",
    "s4": "total to HDL cholesterol",
    "s5": "log of triglycerides",
    "s6": "blood sugar",
}


def load() -> Project:
    """The diabetes project; the intercept is not penalised, so that the mean is not shrunk towards zero."""
    data = load_diabetes(scaled=False)
    raw, labels = torch.from_numpy(data.data), torch.from_numpy(data.target)
    train, test = split_rows(len(labels), TEST_SIZE)
    inputs = standardised(raw, train)
    frame = pd.DataFrame(data.data, columns=[COLUMNS[name] for name in data.feature_names])
    task = RegressionTask(weight_decay=WEIGHT_DECAY, penalise_intercept=False, unit=UNIT)
    return Project(
        name="diabetes",
        model=train_head(inputs[train], labels[train], task),
        task=task,
        train=Rows(inputs[train], labels[train]),
        test=Rows(inputs[test], labels[test]),
        view=TableView(frame.iloc[train].reset_index(drop=True), frame.iloc[test].reset_index(drop=True)),
        title=TITLE,
        description=DESCRIPTION,
        train_keys=[f"patient {row:03d}" for row in train],
        test_keys=[f"patient {row:03d}" for row in test],
        fit=linear_fit(task),
    )
