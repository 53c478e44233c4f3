"""Baselines: equal to their formulas written out with plain autograd, and never said to predict a refit."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import demo_models
from influence_core.checkpoint import Checkpoint
from influence_core.errors import MethodError, ProjectError
from influence_core.methods import (
    BASELINES,
    Exact,
    GradCosine,
    GradDot,
    RandomOrder,
    Similarity,
    TracIn,
    TrainingLoss,
    baseline,
    directions,
)
from influence_core.project import Project, batches
from influence_core.scores import words
from influence_core.store import Workspace, build
from influence_core.target import Target
from influence_core.task import ClassificationTask
from tests import oracles
from tests.influence_core import samples

EXACTLY = {"precision": "float64"}


def gradients(project: Project, split: str, target: Target | None = None) -> Tensor:
    """Loss or measurement gradients by one plain backward pass a row through the user's own module, ``(n, p)``."""
    task, parameters = project.task, [p for p in project.model.parameters() if p.requires_grad]
    rows = []
    for _, batch in batches(project.split(split), 1):  # type: ignore[arg-type]
        outputs = task.outputs(project.model, batch)
        of = task.losses(outputs, batch) if target is None else task.measurements(outputs, batch, target)
        found = torch.autograd.grad(of.sum(), parameters, allow_unused=True)
        rows.append(torch.cat([(0 * p if g is None else g).flatten() for g, p in zip(found, parameters, strict=True)]))
    return torch.stack(rows)


def with_checkpoints(project: Project, count: int = 3) -> Project:
    """Copies of the model's parameters moved at random, with different learning rates."""
    torch.manual_seed(5)
    checkpoints = []
    for i in range(1, count + 1):
        model = copy.deepcopy(project.model)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1 * i)
        checkpoints.append(Checkpoint(0.5 / i, model.state_dict()))
    return replace(project, checkpoints=checkpoints)


@pytest.mark.parametrize("name", samples.NAMES)
def test_grad_dot_and_cosine_are_their_formulas(name: str) -> None:
    project = samples.sample(name)
    train, test = gradients(project, "train"), gradients(project, "test", Target())
    dots = GradDot(**EXACTLY).fit(project)
    assert oracles.relative(dots.scores(range(6)).values, test @ train.mT / 30) < 1e-10
    own = dots.self_influence()
    assert own is not None
    assert oracles.relative(own, train.square().sum(dim=1) / 30) < 1e-10
    cosines = GradCosine().fit(project)
    unit_length = torch.nn.functional.normalize
    assert oracles.relative(cosines.scores(range(6)).values, unit_length(test) @ unit_length(train).mT) < 1e-10
    assert cosines.self_influence() is None


@pytest.mark.parametrize("name", ["mlp", "tied", "normed", "dict", "regression"])  # buffers too
def test_tracin_sums_over_the_checkpoints(name: str) -> None:
    project = with_checkpoints(samples.sample(name))
    expected, own = torch.zeros(6, 30), torch.zeros(30)
    trained = {k: v.clone() for k, v in project.model.state_dict().items()}
    for checkpoint in project.checkpoints:
        project.model.load_state_dict(checkpoint.load())
        train, test = gradients(project, "train"), gradients(project, "test", Target())
        expected += checkpoint.learning_rate * test @ train.mT
        own += checkpoint.learning_rate * train.square().sum(dim=1)
    project.model.load_state_dict(trained)
    fitted = TracIn(**EXACTLY).fit(project)
    assert oracles.relative(fitted.scores(range(6)).values, expected) < 1e-10
    assert oracles.relative(fitted.self_influence(), own) < 1e-10
    assert all(torch.equal(v, trained[k]) for k, v in project.model.state_dict().items())


def test_tracin_predicts_what_a_gradient_step_does() -> None:
    """Value, sign and slope: one small step on each example alone, and the test loss before and after."""
    project = samples.sample("mlp")
    rate = 1e-5
    found = TracIn(**EXACTLY).fit(replace(project, checkpoints=[Checkpoint(rate, project.model.state_dict())]))
    values = found.scores(range(6)).values
    before = _losses(project.model, project)
    lowered = []
    for row in gradients(project, "train"):
        moved = samples.mlp()
        moved.load_state_dict(project.model.state_dict())
        flat = nn.utils.parameters_to_vector(moved.parameters()) - rate * row
        nn.utils.vector_to_parameters(flat, moved.parameters())
        lowered.append(before - _losses(moved, project))
    actual = torch.stack(lowered, dim=1).detach()
    assert oracles.relative(values, actual) < 1e-3
    assert float((values * actual).sum() / values.square().sum()) == pytest.approx(1, abs=1e-3)


def _losses(model: nn.Module, project: Project) -> Tensor:
    inputs = torch.stack([x for x, _ in project.test])  # type: ignore[attr-defined]
    labels = torch.tensor([y for _, y in project.test])  # type: ignore[attr-defined]
    return nn.functional.cross_entropy(model(inputs), labels, reduction="none")


def test_larger_is_better_turns_the_sign() -> None:
    """A step on an example that raises a logit supports it; the formula's gradient of the logit is negated."""
    project = with_checkpoints(samples.sample("mlp"), 1)
    project = replace(project, checkpoints=[replace(project.checkpoints[0], state=project.model.state_dict())])
    train, test = gradients(project, "train"), gradients(project, "test", Target("logit", 1))
    for method, expected in (
        (GradDot(**EXACTLY), -test @ train.mT / 30),
        (GradCosine(), -nn.functional.normalize(test) @ nn.functional.normalize(train).mT),
        (TracIn(**EXACTLY), -0.5 * test @ train.mT),
    ):
        found = method.fit(project).scores(range(6), Target("logit", 1))
        assert oracles.relative(found.values, expected) < 1e-10


def test_similarity_is_the_cosine_of_the_last_layers_inputs() -> None:
    project = samples.sample("mlp")
    first, act, _ = project.model
    features = [torch.stack([act(first(x)) for x, _ in project.split(split)]) for split in ("train", "test")]  # type: ignore[attr-defined]
    train, test = (nn.functional.normalize(part.detach()) for part in features)
    found = Similarity().fit(project).scores(range(6))
    assert oracles.relative(found.values, test @ train.mT) < 1e-6
    assert torch.equal(found.values, Similarity().fit(project).scores(range(6), Target("margin", 2)).values)


def test_similarity_on_a_convolution_and_on_tokens_runs_the_last_layer() -> None:
    for name in ("convolved", "attention"):
        project = samples.sample(name)
        captured: list[Tensor] = []
        hook = project.model.out.register_forward_pre_hook(lambda _, args, kept=captured: kept.append(args[0]))
        for split in ("train", "test"):
            for _, batch in batches(project.split(split), 1):  # type: ignore[arg-type]
                project.task.outputs(project.model, batch)
        hook.remove()
        rows = nn.functional.normalize(torch.cat(captured).detach())
        assert oracles.relative(Similarity().fit(project).scores(range(6)).values, rows[30:] @ rows[:30].mT) < 1e-5


def test_a_model_without_linear_layers_has_no_last_features() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scores = nn.Embedding(7, 3)

        def forward(self, tokens: Tensor) -> Tensor:
            return self.scores(tokens)

    rows = [(torch.tensor(i % 7), i % 3) for i in range(12)]
    project = Project("table", Table().eval(), ClassificationTask(3, weight_decay=0.1), rows, rows[:3])
    with pytest.raises(MethodError, match=r"no linear or convolutional layer .* grad-cosine"):
        Similarity().fit(project)


def test_loss_ranks_by_the_training_loss_for_every_prediction() -> None:
    project = samples.sample("mlp")
    model = project.model
    losses = torch.stack([nn.functional.cross_entropy(model(x), torch.tensor(y)) for x, y in project.train]).detach()  # type: ignore[attr-defined]
    found = TrainingLoss().fit(project).scores(range(6))
    assert oracles.relative(found.values, (losses - losses.mean()).expand(6, 30)) < 1e-12
    assert found.top(0, 1)[0].train_id == int(losses.argmax())


def test_random_numbers_depend_on_the_seed_and_the_row_alone() -> None:
    project = samples.sample("mlp")
    together = RandomOrder(seed=4).fit(project).scores([0, 3, 5]).values
    alone = RandomOrder(seed=4).fit(samples.sample("dict")).scores([3]).values
    assert torch.equal(together[1], alone[0])
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(RandomOrder(seed=5).fit(project).scores([3]).values, alone)
    assert -1 < float(together.min()) < 0 < float(together.max()) < 1
    with pytest.raises(MethodError, match="seed is -1; it must be 0 or more"):
        RandomOrder(seed=-1).fit(project)


def every_baseline(project: Project) -> dict[str, Any]:
    """All of them in float64, as far as they have a choice."""
    exact = {"grad-dot": GradDot(**EXACTLY), "tracin": TracIn(**EXACTLY)}
    return {name: exact.get(name, kind()) for name, kind in BASELINES.items()}


@pytest.mark.parametrize("kind", BASELINES)
def test_rows_in_memory_order_and_companions_change_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    project = with_checkpoints(samples.sample("convolved"))
    method = every_baseline(project)[kind]
    plain = method.fit(project).scores(range(6)).values
    monkeypatch.setattr(directions, "BLOCK_BYTES", 4 * 8 * 40)
    monkeypatch.setattr(baseline, "PRODUCTS", 9)
    if hasattr(method, "rows"):
        method = replace(method, rows=7)
    in_parts, error = method.fit(project), 1e-6 if kind == "similarity" else 1e-10  # features are kept in float32
    assert oracles.relative(torch.cat([in_parts.scores([i]).values for i in range(6)]), plain) < error
    if kind == "random":
        return  # its numbers belong to places, not to examples
    order = torch.randperm(30).tolist()
    shuffled = replace(project, train=[project.train[i] for i in order])
    assert oracles.relative(method.fit(shuffled).scores(range(6)).values, plain[:, order]) < error


@pytest.mark.parametrize("kind", BASELINES)
def test_the_users_model_is_never_modified(kind: str) -> None:
    project = with_checkpoints(samples.sample("normed"))
    before = {name: value.clone() for name, value in project.model.state_dict().items()}
    hooks = [len(layer._forward_pre_hooks) for layer in project.model.modules()]
    every_baseline(project)[kind].fit(project).scores(range(6))
    assert all(torch.equal(value, before[name]) for name, value in project.model.state_dict().items())
    assert [len(layer._forward_pre_hooks) for layer in project.model.modules()] == hooks


def test_a_recurrent_model_has_products_but_no_cosines() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRU(2, 3, batch_first=True)
            self.out = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.cell(x)[0][:, -1])

    torch.manual_seed(2)
    task, shape = ClassificationTask(3, weight_decay=0.1), (4, 2)
    project = Project("gru", Recurrent().eval(), task, samples.rows(8, shape), samples.rows(3, shape))
    train, test = gradients(project, "train"), gradients(project, "test", Target())
    dots = GradDot(**EXACTLY).fit(project)
    assert oracles.relative(dots.scores(range(3)).values, test @ train.mT / 8) < 1e-10
    assert dots.self_influence() is None
    with pytest.raises(MethodError, match="does not give every example's gradient by itself"):
        GradCosine().fit(project)


# --- checkpoints ------------------------------------------------------------------------------------------


def test_tracin_without_checkpoints_names_the_field() -> None:
    with pytest.raises(MethodError, match=r"give Project\(checkpoints=\[Checkpoint\(learning_rate, state_dict\)"):
        TracIn().fit(samples.sample("mlp"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda one: replace(one, learning_rate=0.0), "Checkpoint 1 has the learning rate 0; it must be above 0"),
        (lambda one: replace(one, state={"x": torch.zeros(1)}), "Checkpoint 1 cannot be loaded into the model"),
        (
            lambda one: replace(one, state={k: v * torch.nan for k, v in one.load().items()}),
            "Checkpoint 1 holds NaN or infinity",
        ),
    ],
)
def test_a_checkpoint_that_cannot_be_is_named(change: Callable[[Checkpoint], Checkpoint], sentence: str) -> None:
    project = with_checkpoints(samples.sample("mlp"), 2)
    first, second = project.checkpoints
    with pytest.raises(ProjectError, match=sentence):
        TracIn().fit(replace(project, checkpoints=[first, change(second)]))


def test_a_checkpoint_may_be_loaded_when_it_is_needed() -> None:
    project = with_checkpoints(samples.sample("mlp"), 1)
    one = project.checkpoints[0]
    lazily = replace(project, checkpoints=[replace(one, state=one.load)])
    assert torch.equal(TracIn().fit(project).scores([0]).values, TracIn().fit(lazily).scores([0]).values)


# --- what is said, and what a workspace keeps -------------------------------------------------------------


@pytest.mark.parametrize("kind", BASELINES.values(), ids=BASELINES)
def test_no_baseline_claims_an_effect(kind: Any) -> None:
    reading = kind.reading
    assert reading.sentence.startswith("A baseline: ")
    assert "no prediction of a refit" in kind.limits
    effect = words(Target(), "classification", ("a", "b"), label=1, prediction=0)
    said = reading.words(effect, Target())
    assert ("removed" in said.meaning or "without" in said.meaning) is False
    assert said.is_neutral == (kind.name in {"similarity", "loss", "random"})
    assert (said.positive == "helpful") == (not said.is_neutral)
    assert said.measured == effect.measured
    assert reading.unit_of("nats") != "nats"


def test_products_of_gradients_help_or_support_by_a_step() -> None:
    effect = words(Target("logit", 0), "classification", ("a", "b"), label=1, prediction=0)
    said = GradDot.reading.words(effect, Target("logit", 0))
    assert (said.positive, said.negative) == ("supports a", "opposes a")
    assert said.meaning.endswith("a gradient step on this training example would raise the logit of a.")
    assert GradDot.reading.unit_of("logits") == "logits per unit of learning rate"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    torch.set_default_dtype(torch.float64)
    folder = tmp_path_factory.mktemp("baselines")
    project = with_checkpoints(samples.sample("mlp"))
    for method in every_baseline(project).values():
        build(project, folder, method)
    return Workspace(folder)


@pytest.mark.parametrize("kind", BASELINES)
def test_a_run_answers_without_the_users_code(kind: str, workspace: Workspace) -> None:
    run = next(one for one in workspace.runs if one.method == kind)
    project = with_checkpoints(samples.sample("mlp"))
    expected = every_baseline(project)[kind].fit(project)
    found = run.scores(2)
    assert found.converged
    assert oracles.relative(found.values, expected.scores([2]).values) < 1e-6
    assert found.unit == expected.scores([2]).unit == run.unit()
    assert run.reading is BASELINES[kind].reading
    assert run.check is None
    assert set(run.frame(2)["direction"]) <= {run.words(2, run.target).positive, run.words(2, run.target).negative}
    own = expected.self_influence()
    assert (run.self_influence() is None) == (own is None)
    assert run.norms.gradient_norms is None
    with pytest.raises(MethodError, match="are no effects that could be ranked by cosine; rank by effect"):
        run.frame(2, rank="cosine")
    with pytest.raises(MethodError, match="inverts nothing, so it has no damping"):
        run.scores(2, damping=1.0)


@pytest.mark.parametrize("kind", ["similarity", "loss", "random"])
def test_what_does_not_depend_on_the_target_answers_any(kind: str, workspace: Workspace) -> None:
    run = next(one for one in workspace.runs if one.method == kind)
    assert torch.equal(run.scores(1, Target("margin", 2)).values, run.scores(1).values)
    assert run.solve_for(Target("margin", 2)) == run.target


def test_changed_checkpoints_are_noticed(tmp_path: Path) -> None:
    project = with_checkpoints(samples.sample("mlp"))
    build(project, tmp_path, TracIn(), test_limit=2)
    with pytest.raises(ProjectError, match="checkpoints are not those that this run was built with"):
        build(with_checkpoints(samples.sample("mlp"), 2), tmp_path, TracIn())


def test_on_a_real_table_products_order_like_the_exact_answer_and_random_numbers_do_not() -> None:
    torch.set_default_dtype(torch.float32)
    project = demo_models.load("breast-cancer")
    ids = range(0, 100, 10)
    exact = Exact().fit(project).scores(ids).values
    agreement = {}
    for method in (GradDot(), RandomOrder()):
        values = method.fit(project).scores(ids).values
        found = [stats.spearmanr(a, b).statistic for a, b in zip(values, exact, strict=True)]
        agreement[method.name] = sum(found) / len(found)
    assert agreement["grad-dot"] > 0.5
    assert abs(agreement["random"]) < 0.1
