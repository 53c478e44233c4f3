"""What every demo promises, checked against independent arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.utils.data import Subset, default_collate

import demo_models
from demo_models.heads import Rows
from influence_core.checks import check_project
from influence_core.errors import UnknownNameError
from influence_core.project import Project, batches
from influence_core.task import RegressionTask, inputs_and_labels

SIZES = {
    "digits": (1437, 360, (64,)),
    "breast-cancer": (455, 114, (30,)),
    "diabetes": (353, 89, (10,)),
    "spam": (4841, 1205, (1500,)),
    "mnist-cnn": (4000, 1000, (1, 28, 28)),
    "spam-transformer": (160, 60, (48,)),
}
PARAMETERS = {"digits": 650, "breast-cancer": 62, "diabetes": 11, "spam": 3002, "mnist-cnn": 28_874}
PARAMETERS["spam-transformer"] = 22_713_986
ACCURACY = {"digits": 0.96, "breast-cancer": 0.97, "spam": 0.98, "mnist-cnn": 0.96}
ACCURACY["spam-transformer"] = 0.8  # on the few mails of these tests


def arrays(project: Project) -> tuple[np.ndarray, np.ndarray]:
    """Training inputs with a column of ones, and labels, through the items that anyone sees."""
    inputs, labels = default_collate([project.train[i] for i in range(len(project.train))])
    return np.column_stack([inputs.numpy(), np.ones(len(inputs))]), labels.numpy()


def tensors(project: Project, split: str) -> dict[str, torch.Tensor]:
    """Inputs and labels of a split by name, as the demo keeps them."""
    rows = project.split(split)
    return {"inputs": rows.inputs, "labels": rows.labels} if isinstance(rows, Rows) else rows.batch


def coefficients(model: torch.nn.Module) -> np.ndarray:
    """Shape ``(outputs, d + 1)``, the intercept last."""
    weight, bias = (p.detach().numpy() for p in model.parameters())
    return np.column_stack([weight, bias])


def independent_fit(project: Project, weights: np.ndarray) -> np.ndarray:
    """Coefficients at the weighted optimum, by scikit-learn; ridge regression in closed form."""
    x, y = arrays(project)
    n, decay = len(x), project.task.weight_decay
    if isinstance(project.task, RegressionTask):
        penalty = decay * np.eye(x.shape[1])
        penalty[-1, -1] = 0.0
        normal = 2 / n * x.T @ (weights[:, None] * x) + penalty
        return np.linalg.solve(normal, 2 / n * x.T @ (weights * y))[None]
    # two classes share one vector w = w1 - w0 there: ||w0||^2 + ||w1||^2 = ||w||^2 / 2
    halved = 2 if project.task.n_classes == 2 else 1
    model = LogisticRegression(C=halved / (n * decay), fit_intercept=False, tol=1e-10, max_iter=5000)
    found = model.fit(x, y, sample_weight=weights).coef_
    return np.concatenate([-found, found]) / 2 if halved == 2 else found


def test_it_hangs_together(project: Project) -> None:
    check_project(project)
    n_train, n_test, shape = SIZES[project.name]
    assert (len(project.train), len(project.test)) == (n_train, n_test)
    assert sum(p.numel() for p in project.model.parameters()) == PARAMETERS[project.name]
    assert project.view is not None
    assert len(project.view.train) == n_train
    assert len(project.view.test) == n_test
    inputs, label = inputs_and_labels(project.train[0])
    value = inputs["input_ids"] if isinstance(inputs, dict) else inputs
    assert value.shape == shape
    assert not torch.as_tensor(label).is_floating_point() or not project.class_names
    _, batch = next(batches(project.train, 1))
    assert project.task.outputs(project.model, batch).shape == (1, len(project.class_names) or 1)


def test_no_example_is_in_both_parts(project: Project) -> None:
    keys = [*project.keys("train"), *project.keys("test")]
    assert len(set(keys)) == len(keys)


def test_it_is_described_in_words(project: Project) -> None:
    demo = demo_models.DEMOS[project.name]
    assert demo.name == project.name
    assert demo.title == project.title
    assert demo.modality == project.view.modality
    assert "Worth asking" in project.description
    assert "\n" not in project.description + demo.summary


def test_two_loads_are_the_same_bit_for_bit_whatever_the_threads(project: Project) -> None:
    torch.set_num_threads(3)
    again = demo_models.load(project.name)
    assert torch.get_num_threads() == 3
    for one, two in zip(project.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, two)
    for split in ("train", "test"):
        ours, theirs = tensors(project, split), tensors(again, split)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert project.keys(split) == again.keys(split)
    assert project.test_first == again.test_first


def test_the_gradient_of_the_objective_vanishes(linear: Project) -> None:
    x, y = arrays(linear)
    theta = coefficients(linear.model)
    outputs = x @ theta.T
    if isinstance(linear.task, RegressionTask):
        residuals = 2 * (outputs - y[:, None])
    else:
        exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        residuals = exponentials / exponentials.sum(axis=1, keepdims=True) - np.eye(theta.shape[0])[y]
    penalty = linear.task.weight_decay * theta
    if not linear.task.penalise_intercept:
        penalty[:, -1] = 0.0
    assert np.linalg.norm(residuals.T @ x / len(x) + penalty) < 1e-8


def test_it_predicts_well_but_not_perfectly(project: Project) -> None:
    _, batch = next(batches(project.test, len(project.test)))
    outputs, labels = project.task.outputs(project.model, batch).detach(), tensors(project, "test")["labels"]
    if not project.class_names:
        missed = (outputs[:, 0] - labels).square().mean()
        assert 0.25 < 1 - missed / labels.var(correction=0) < 0.6
        return
    accuracy = float((outputs.argmax(dim=1) == labels).double().mean())
    assert ACCURACY[project.name] <= accuracy < 1


def test_refitting_with_all_weights_one_gives_the_model(linear: Project) -> None:
    refit = linear.fit(linear.train, torch.ones(len(linear.train)), 1)
    np.testing.assert_allclose(coefficients(refit), coefficients(linear.model), rtol=0, atol=1e-9)


def test_refitting_without_a_row_is_an_independent_fit_without_it(linear: Project) -> None:
    outputs = linear.model(linear.train.inputs.double()).detach()
    weights = torch.ones(len(linear.train))
    weights[linear.task.losses(outputs, (None, linear.train.labels)).argmax()] = 0.0
    refit = coefficients(linear.fit(linear.train, weights, 0))
    assert np.abs(refit - coefficients(linear.model)).max() > 1e-3
    expected = independent_fit(linear, weights.numpy())
    # compared on the training data, where the small eigenvalues of spam's curvature do not blow up rounding
    x, _ = arrays(linear)
    np.testing.assert_allclose(x @ refit.T, x @ expected.T, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("name", ["digits", "breast-cancer", "diabetes"])
def test_any_data_set_of_such_items_can_be_fitted(name: str) -> None:
    project = demo_models.load(name)
    chosen = list(range(0, len(project.train), 2))
    items = [project.train[i] for i in chosen]
    subset = Subset(project.train, chosen)
    rows = Rows(project.train.inputs[chosen], project.train.labels[chosen])
    models = [project.fit(data, torch.ones(len(chosen)), 0) for data in (items, subset, rows)]
    for model in models[1:]:
        np.testing.assert_allclose(coefficients(model), coefficients(models[0]), rtol=0, atol=1e-12)


def test_changing_the_label_of_a_row_changes_the_fit() -> None:
    project = demo_models.load("digits")
    labels = project.train.labels.clone()
    labels[0] = (labels[0] + 1) % 10
    changed = project.fit(Rows(project.train.inputs, labels), torch.ones(len(labels)), 0)
    assert np.abs(coefficients(changed) - coefficients(project.model)).max() > 1e-3


def test_an_unknown_name_is_answered_with_the_names() -> None:
    with pytest.raises(UnknownNameError) as raised:
        demo_models.load("digit")
    assert str(raised.value) == (
        "There is no demo 'digit'; choose one of digits, breast-cancer, diabetes, spam, mnist-cnn, spam-transformer."
    )


def test_malignant_tumours_called_benign_come_first() -> None:
    project = demo_models.load("breast-cancer")
    predicted = project.model(project.test.inputs).argmax(dim=1)
    kinds = [(int(project.test.labels[i]), int(predicted[i])) for i in project.test_first]
    assert kinds == [(0, 1), (0, 1), (1, 0)]


def test_tables_are_shown_in_human_units() -> None:
    cancer, diabetes = demo_models.load("breast-cancer"), demo_models.load("diabetes")
    assert 6 < cancer.view.train["mean radius"].mean() < 30
    assert "radius (standard error)" in cancer.view.train.columns
    assert 18 < diabetes.view.test["age (years)"].min() < diabetes.view.test["age (years)"].max() < 80
    row = int(diabetes.keys("test")[3].removeprefix("patient "))
    assert diabetes.test.labels[3] == _diabetes_target()[row]


def _diabetes_target() -> np.ndarray:
    from sklearn.datasets import load_diabetes  # noqa: PLC0415  (the raw data are wanted here alone)

    return load_diabetes().target


def test_breast_cancer_groups_are_thirds_of_the_training_patients() -> None:
    project = demo_models.load("breast-cancer")
    train, test = project.train_metadata, project.test_metadata
    assert train is not None
    assert test is not None
    for column in ("size of nuclei", "outline of nuclei"):
        assert train[column].value_counts().between(151, 152).all()
        assert set(test[column]) == set(train[column])
    largest = train.groupby("size of nuclei")["mean radius"].max()
    assert largest["small"] < largest["medium"] < largest["large"]
