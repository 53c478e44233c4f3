"""Every form of training objective, against torch's own losses, plain double backward and real refits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (the field's name for it)
from scipy.stats import linregress
from torch import Tensor, nn

from influence_core.errors import ProjectError, TargetError
from influence_core.evaluation.leave_one_out import Measured, refitted_scores
from influence_core.methods import Exact
from influence_core.project import Project
from influence_core.removal.head_fit import newton_fit
from influence_core.target import Target
from influence_core.task import ClassificationTask, MultiLabelTask, RegressionTask, Task
from tests import oracles

N, D, TEST = 60, 4, 8
WEIGHTS = (0.5, 2.0, 1.0)
PLAIN = Target()


def focal(outputs: Tensor, labels: Tensor) -> Tensor:
    log_p = outputs.log_softmax(1).gather(1, labels[:, None])[:, 0]
    return -((1 - log_p.exp()) ** 2) * log_p


def huber(outputs: Tensor, labels: Tensor) -> Tensor:
    error = (outputs - labels).abs()  # torch's own huber_loss has no second derivative in forward mode
    return torch.where(error < 0.7, error.square() / 2, 0.7 * (error - 0.35)).sum(dim=1)


def torch_ovr(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, F.one_hot(y, 3).to(z), reduction="none").sum(1)


@dataclass(frozen=True)
class Case:
    """A task, how many outputs its layer has, and the same training loss written with torch's own functions."""

    task: Task
    outputs: int
    loss: Callable[[Tensor, Tensor], Tensor]
    target: Target = PLAIN
    decay: tuple[float, float] = (0.05, 0.05)  # of weight and bias


def each(loss: Callable[..., Tensor], **settings: object) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda z, y: loss(z, y, reduction="none", **settings)


CASES = {
    "class weights": Case(
        ClassificationTask(3, 0.05, class_weights=WEIGHTS),
        3,
        each(F.cross_entropy, weight=torch.tensor(WEIGHTS, dtype=torch.float64)),
    ),
    "label smoothing": Case(
        ClassificationTask(3, 0.05, label_smoothing=0.2), 3, each(F.cross_entropy, label_smoothing=0.2)
    ),
    "one logit": Case(
        ClassificationTask(2, 0.05),
        1,
        lambda z, y: F.binary_cross_entropy_with_logits(z[:, 0], y.to(z), reduction="none"),
    ),
    "one logit, margin": Case(
        ClassificationTask(2, 0.05),
        1,
        lambda z, y: F.binary_cross_entropy_with_logits(z[:, 0], y.to(z), reduction="none"),
        Target("margin", 1),
    ),
    "one against the rest": Case(ClassificationTask(3, 0.05, link="one-vs-rest"), 3, torch_ovr, Target("margin", 2)),
    "focal loss": Case(ClassificationTask(3, 0.5, loss=focal), 3, focal, decay=(0.5, 0.5)),
    "several labels": Case(
        MultiLabelTask(3, 0.05, positive_weights=WEIGHTS),
        3,
        lambda z, y: F.binary_cross_entropy_with_logits(
            z, y.to(z), reduction="none", pos_weight=torch.tensor(WEIGHTS, dtype=torch.float64)
        ).mean(1),
    ),
    "one label of several": Case(
        MultiLabelTask(3, 0.05),
        3,
        lambda z, y: F.binary_cross_entropy_with_logits(z, y.to(z), reduction="none").mean(1),
        Target("logit", 1),
    ),
    "two values": Case(RegressionTask(0.05, n_outputs=2), 2, lambda z, y: F.mse_loss(z, y, reduction="none").mean(1)),
    "one value of two": Case(
        RegressionTask(0.05, n_outputs=2),
        2,
        lambda z, y: F.mse_loss(z, y, reduction="none").mean(1),
        Target("value", 1),
    ),
    "huber loss": Case(
        RegressionTask(0.05, loss=huber), 1, lambda z, y: F.huber_loss(z[:, 0], y, reduction="none", delta=0.7)
    ),
    "decay by name": Case(
        RegressionTask({"*weight": 0.3, "*": 0.02}), 1, lambda z, y: (z[:, 0] - y).square(), decay=(0.3, 0.02)
    ),
}


class Handmade(nn.Module):
    """The same linear map without an ``nn.Linear``: nothing about it is known to be in closed form."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(layer.weight.detach()), nn.Parameter(layer.bias.detach())

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ self.weight.mT + self.bias


def labels_of(case: Case, n: int) -> Tensor:
    kind = case.task.kind
    if kind == "classification":
        return torch.randint(case.task.n_targets, (n,))
    return torch.randint(2, (n, 3)) if kind == "multilabel" else torch.randn(n, case.outputs).squeeze(1)


def project_of(case: Case, *, weighted: bool) -> Project:
    """A linear model that minimises torch's form of the objective to a gradient of about 1e-12."""
    x, y = torch.randn(N + TEST, D), labels_of(case, N + TEST)
    weights = torch.rand(N + TEST) + 0.5 if weighted else torch.ones(N + TEST)
    layer = nn.Linear(D, case.outputs)
    optimiser = torch.optim.LBFGS(
        layer.parameters(), max_iter=500, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = objective(case, layer.weight, layer.bias, (x[:N], y[:N], weights[:N]))
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    rows = [(a, b, w) if weighted else (a, b) for a, b, w in zip(x, y, weights, strict=True)]
    return Project("case", layer.eval(), case.task, rows[:N], rows[N:])


def objective(case: Case, weight: Tensor, bias: Tensor, rows: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """The training objective in torch's own words."""
    x, y, weights = rows
    decayed = case.decay[0] * weight.square().sum() + case.decay[1] * bias.square().sum()
    return (weights * case.loss(x @ weight.mT + bias, y)).mean() + decayed / 2


def stacked(rows: list[tuple[Tensor, ...]]) -> tuple[Tensor, Tensor, Tensor]:
    x, y = torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows])
    return x, y, torch.stack([row[2] for row in rows]) if len(rows[0]) > 2 else torch.ones(len(rows))


@pytest.mark.parametrize("weighted", [False, True], ids=["", "row weights"])
@pytest.mark.parametrize("name", CASES)
def test_scores_equal_double_backward_through_torchs_own_loss(name: str, weighted: bool) -> None:
    case = CASES[name]
    project = project_of(case, weighted=weighted)
    rows, shape = stacked(list(project.train)), (case.outputs, D)  # type: ignore[call-overload]
    theta = torch.cat([p.detach().reshape(-1) for p in project.model.parameters()])

    def split(flat: Tensor) -> tuple[Tensor, Tensor]:
        return flat[: -case.outputs].view(shape), flat[-case.outputs :]

    def one(flat: Tensor, i: int) -> Tensor:
        weight, bias = split(flat)
        return rows[2][i] * case.loss(rows[0][i : i + 1] @ weight.mT + bias, rows[1][i : i + 1])[0]

    hessian = torch.autograd.functional.hessian(lambda flat: objective(case, *split(flat), rows), theta)
    train = torch.stack([torch.autograd.functional.jacobian(lambda flat, i=i: one(flat, i), theta) for i in range(N)])
    test = stacked(list(project.test))  # type: ignore[call-overload]

    def measured(flat: Tensor) -> Tensor:
        weight, bias = split(flat)
        z = test[0] @ weight.mT + bias
        z = torch.cat([-z / 2, z / 2], dim=1) if name.startswith("one logit") else z
        return case.task.measurements(z, test[:2], case.target)

    moved = torch.autograd.functional.jacobian(measured, theta)
    expected = moved @ torch.linalg.pinv(hessian, hermitian=True) @ train.mT / N
    expected = -expected if case.target.larger_is_better else expected
    ids = list(range(TEST))
    head = Exact().fit(project).scores(ids, case.target)
    assert Exact().prepare(project).head is not None
    general = Exact().fit(replace(project, model=Handmade(project.model).eval())).scores(ids, case.target)  # type: ignore[arg-type]
    assert oracles.relative(head.values, expected) < 1e-7
    assert oracles.relative(general.values, expected) < 1e-7


@pytest.mark.parametrize("name", CASES)
def test_the_measured_loss_is_plain(name: str) -> None:
    """Weights, smoothing and a loss of one's own are the training's; a loss that is explained is in nats or units."""
    case = CASES[name]
    y = labels_of(case, 5)
    z = torch.randn(5, case.task.n_targets or 1)
    found = case.task.measurements(z, ((), y, torch.full((5,), 7.0)), Target())
    if case.task.kind == "classification":
        scores = F.logsigmoid(z) if name == "one against the rest" else z
        assert torch.allclose(found, F.cross_entropy(scores, y, reduction="none"))
    elif case.task.kind == "multilabel":
        assert torch.allclose(found, F.binary_cross_entropy_with_logits(z, y.to(z), reduction="none").mean(1))
    else:
        assert torch.allclose(found, (z - y.reshape(z.shape)).square().mean(1))


@pytest.mark.parametrize("name", ["class weights", "one against the rest", "several labels", "two values"])
def test_scores_predict_real_refits(name: str) -> None:
    """Pearson, slope and sign against refitting without each of 20 rows; with 60 rows first order is too small."""
    case = CASES[name]
    project = project_of(case, weighted=True)
    fit = Exact().prepare(project)
    assert fit.head is not None
    seen = fit.head.read(fit.model, project, "train")
    problem = fit.head.problem(seen.inputs, seen.labels, seen.weights)
    start = problem.coefficients(fit.head.layer)
    assert oracles.relative(newton_fit(problem), start) < 1e-6
    removed, ids = list(range(20)), list(range(TEST))
    measured = Measured(fit.tests.read(ids), project.task, case.target)
    actual = refitted_scores(problem, start, measured, removed).reshape(-1)
    predicted = Exact().fit(project).scores(ids, case.target).values[:, removed].mT.reshape(-1)
    fitted = linregress(predicted.numpy(), actual.numpy())
    assert fitted.rvalue > 0.98
    assert 0.95 < fitted.slope < 1.6
    largest = predicted.abs().topk(20).indices
    assert (predicted[largest].sign() == actual[largest].sign()).all()


def test_a_target_of_several_must_be_named() -> None:
    with pytest.raises(TargetError, match="name the one whose logit"):
        Target("logit").check("multilabel", 3)
    with pytest.raises(TargetError, match="There is no value 2; values are numbered from 0 to 1"):
        Target("value", 2).check("multioutput", 2)
    Target("loss", 1).check("multilabel", 3)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ClassificationTask(3, class_weights=(1, 2)), "2 class weights for 3 classes"),
        (lambda: ClassificationTask(3, label_smoothing=1.0), "label smoothing is 1.0"),
        (lambda: ClassificationTask(3, class_weights=(1, 2, 3), loss=focal), "apply these inside the loss"),
        (lambda: ClassificationTask(3, link="one-vs-rest", label_smoothing=0.1), "belongs to the softmax link"),
        (lambda: MultiLabelTask(3, positive_weights=(1,)), "1 positive weights for 3 labels"),
        (lambda: RegressionTask(n_outputs=0), "0 outputs"),
    ],
)
def test_what_does_not_go_together_is_refused(make: Callable[[], Task], sentence: str) -> None:
    with pytest.raises(ProjectError, match=sentence):
        make()


@pytest.mark.parametrize(
    ("task", "outputs", "labels", "sentence"),
    [
        (MultiLabelTask(3), 2, torch.zeros(5, 3), r"model's outputs for .* must be \(3, 3\)"),
        (MultiLabelTask(3), 3, torch.zeros(5, 2), r"train labels for .* must be \(3, 3\)"),
        (MultiLabelTask(3), 3, torch.full((5, 3), 0.5), "neither 0 nor 1"),
        (RegressionTask(), 2, torch.zeros(5), r"set RegressionTask\(n_outputs=2\)"),
        (RegressionTask(n_outputs=2), 2, torch.zeros(5), r"must be \(3, 2\)"),
    ],
)
def test_rows_that_do_not_fit_are_named(task: Task, outputs: int, labels: Tensor, sentence: str) -> None:
    rows = list(zip(torch.randn(5, D), labels, strict=True))
    with pytest.raises(ProjectError, match=sentence):
        Exact().fit(Project("bad", nn.Linear(D, outputs).eval(), task, rows[:3], rows[3:]))
