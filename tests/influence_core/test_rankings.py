"""Second rankings: equal to their formulas by brute force, and outliers no longer come first everywhere."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import demo_models
from influence_core.errors import MethodError
from influence_core.gradients import FunctionalModel
from influence_core.methods import ConjugateGradients, Ekfac, Exact, GradDot
from influence_core.project import Project, batches
from influence_core.rankings import EXPLAINED, RANKS, Norms
from influence_core.store import Run, Workspace, build
from influence_core.target import Target
from tests import oracles
from tests.influence_core import samples

DAMPING = 0.05


def dense(project: Project) -> tuple[Tensor, Tensor, Tensor]:
    """Softmax regression by hand: loss gradients of both splits ``(n, p)``, and ``H + damping I``, bias included."""
    weight, bias = project.model.weight.double(), project.model.bias.double()
    w = torch.cat([weight, bias[:, None]], dim=1).detach()
    parts, curvature = [], (project.task.weight_decay + DAMPING) * torch.eye(w.numel())
    for split in ("train", "test"):
        _, (x, y) = next(batches(project.split(split), len(project.split(split))))  # type: ignore[arg-type]
        x = torch.cat([x.double(), torch.ones(len(x), 1)], dim=1)
        p = (x @ w.mT).softmax(dim=1)
        hot = torch.eye(len(w))[y]
        residuals = p * (1 - hot) - (p * (1 - hot)).sum(dim=1, keepdim=True) * hot  # not p - 1, which is rounding
        parts.append((residuals[:, :, None] * x[:, None, :]).flatten(1))
        if split == "train":
            for row, probabilities in zip(x, p, strict=True):
                block = torch.diag(probabilities) - torch.outer(probabilities, probabilities)
                curvature += torch.kron(block, torch.outer(row, row)) / len(x)
    return parts[0], parts[1], curvature


@pytest.fixture(scope="module")
def tumours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Run]:
    """Breast cancer by the exact method, with some damping."""
    torch.set_default_dtype(torch.float32)
    project = demo_models.load("breast-cancer")
    folder = tmp_path_factory.mktemp("tumours")
    return project, build(project, folder, Exact(damping=DAMPING)).run()


def test_every_ranking_is_its_formula(tumours: tuple[Project, Run]) -> None:
    project, run = tumours
    train, test, curvature = dense(project)
    n, steps = len(train), torch.linalg.solve(curvature, train.mT).mT
    own = (train * steps).sum(dim=1) / n
    for test_id in (0, 7, 40):
        scores = test[test_id] @ steps.mT / n
        solved = torch.linalg.solve(curvature, test[test_id])
        cosine = train @ solved / (solved.norm() * train.norm(dim=1))
        expected = {
            "effect": scores,
            "relative": scores / own.sqrt(),
            "relative-theta": scores / steps.norm(dim=1),
            "cosine": cosine / cosine.abs().max(),
        }
        found = run.scores(test_id)
        for rank, numbers in expected.items():
            assert oracles.relative(run.numbers(found, test_id, rank), numbers) < 1e-5, rank


def test_a_frame_is_ordered_by_the_ranking_and_keeps_the_scores(tumours: tuple[Project, Run]) -> None:
    _, run = tumours
    plain, by_cosine = run.frame(7), run.frame(7, rank="cosine")
    assert set(by_cosine.columns) == {*plain.columns, "ranking"}
    aligned = plain.set_index("train_id").loc[by_cosine["train_id"]]
    for column in ("score", "share", "direction", "key", "label"):
        assert (aligned[column].to_numpy() == by_cosine[column].to_numpy()).all(), column
    assert by_cosine["ranking"].is_monotonic_decreasing
    assert (np.sign(by_cosine["ranking"]) == np.sign(by_cosine["score"])).all()
    assert list(plain["train_id"]) != list(by_cosine["train_id"])
    assert by_cosine["rank"].iloc[0] == by_cosine["rank"].iloc[-1] == 1
    assert by_cosine["ranking"].abs().max() == 1
    assert len(run.frame(7, k=3, rank="relative")) == 6


def test_outliers_no_longer_come_first_everywhere(tmp_path: Path) -> None:
    """RelatIF's claim, measured on all predictions of the digits: how many predictions share a first example."""
    torch.set_default_dtype(torch.float32)
    run = build(demo_models.load("digits"), tmp_path, Exact()).run()
    most, firsts = {}, {}
    for rank in ("effect", "relative", "cosine"):
        found = [run.numbers(run.scores(i), i, rank).topk(5).indices.tolist() for i in range(run.manifest.n_test)]
        counted = Counter(i for ids in found for i in ids)
        most[rank], firsts[rank] = counted.most_common(1)[0][1], len(counted)
    assert most["relative"] < 0.5 * most["effect"]
    assert firsts["relative"] > 1.5 * firsts["effect"]
    assert most["cosine"] < 0.5 * most["effect"]


def test_an_example_without_a_gradient_keeps_its_zero() -> None:
    scores, some = torch.tensor([2.0, 0.0, -1.0]), torch.tensor([4.0, 0.0, 1.0])
    norms = Norms(self_influence=some, gradient_norms=some, step_norms=some)
    assert norms.by("relative", scores).tolist() == [1.0, 0.0, -1.0]
    assert norms.by("relative-theta", scores).tolist() == [0.5, 0.0, -1.0]
    assert norms.by("cosine", scores).tolist() == [0.5, 0.0, -1.0]
    assert norms.by("cosine", torch.zeros(3)).tolist() == [0.0, 0.0, 0.0]
    assert norms.by("effect", scores) is scores


def test_every_ranking_is_explained() -> None:
    assert set(EXPLAINED) == set(RANKS)
    assert all(said.endswith(".") for said in EXPLAINED.values())


def test_the_sign_of_a_score_is_kept_for_any_target(tumours: tuple[Project, Run]) -> None:
    _, run = tumours
    found = run.scores(3, Target("logit", 1))
    numbers = run.numbers(found, 3, "relative")
    assert torch.equal(numbers.sign(), found.of(3).double().sign())


# --- what is not known ------------------------------------------------------------------------------------


def test_an_iterative_run_ranks_by_cosine_and_says_what_it_lacks(tmp_path: Path) -> None:
    project = samples.sample("mlp")
    method = ConjugateGradients(damping=0.5, tolerance=1e-9, precision="float64", preconditioner="none")
    run = build(project, tmp_path, method, test_limit=2).run()
    assert run.norms.ranks == ("effect", "cosine")
    test_id = int(run.solved[0])
    exact = build(project, tmp_path, Exact(damping=0.5, curvature="gauss-newton")).run()
    assert exact.norms.ranks == RANKS
    assert exact.norms.gradient_norms is not None
    assert run.norms.gradient_norms is not None
    assert oracles.relative(run.norms.gradient_norms, exact.norms.gradient_norms) < 1e-10
    cosines = [one.numbers(one.scores(test_id), test_id, "cosine") for one in (run, exact)]
    assert oracles.relative(*cosines) < 1e-6
    with pytest.raises(MethodError, match="cg gives no self-influence to rank by relative; rank by effect or cosine"):
        run.frame(test_id, rank="relative")
    with pytest.raises(MethodError, match="cg gives no length of the examples' steps"):
        run.frame(test_id, rank="relative-theta")


def test_a_preconditioned_run_ranks_relative_to_the_self_influence_of_ekfac(tmp_path: Path) -> None:
    project = samples.sample("mlp")
    method = ConjugateGradients(damping=0.5, precision="float64", preconditioner="ekfac")
    run = build(project, tmp_path, method, test_limit=2).run()
    first = build(project, tmp_path, Ekfac(damping=0.5, precision="float64")).run()
    assert (run.norms.ranks, first.norms.ranks) == (("effect", "relative", "cosine"), RANKS)
    assert (run.self_influence_by, first.self_influence_by) == ("ekfac", "ekfac")
    test_id = int(run.solved[0])
    scores, own = run.scores(test_id).of(test_id).double(), first.self_influence()
    assert own is not None
    expected = scores / torch.from_numpy(own).sqrt()
    assert oracles.relative(run.numbers(run.scores(test_id), test_id, "relative"), expected) < 1e-6
    with pytest.raises(MethodError, match="cg gives no length of the examples' steps"):
        run.frame(test_id, rank="relative-theta")


def test_a_baselines_own_numbers_are_its_own(tmp_path: Path) -> None:
    run = build(samples.sample("mlp"), tmp_path, GradDot()).run()
    assert run.self_influence_by == "grad-dot"


def test_a_gradient_product_ranked_relative_is_its_cosine_up_to_a_factor(tmp_path: Path) -> None:
    project = samples.sample("mlp")
    run = build(project, tmp_path, GradDot(precision="float64")).run()
    model = FunctionalModel.of(project)
    _, batch = next(model.batches(project.train, 30))
    train = model.loss_gradients(batch)
    numbers = run.numbers(run.scores(1), 1, "relative")
    expected = run.scores(1).of(1).double() / train.norm(dim=1)
    assert torch.nn.functional.cosine_similarity(numbers, expected, dim=0) > 1 - 1e-9


def test_an_older_run_says_how_it_gets_its_norms(tmp_path: Path) -> None:
    project = samples.sample("head")
    build(project, tmp_path, Exact(damping=0.5), test_limit=2)
    folder = Workspace(tmp_path).run().folder
    (folder / "norms.safetensors").unlink()
    sums = folder / "SHA256SUMS"
    sums.write_text("".join(line for line in sums.read_text().splitlines(keepends=True) if "norms" not in line))
    run = Workspace(tmp_path).run()
    assert run.norms.ranks == ("effect", "relative")
    with pytest.raises(MethodError, match="the same `influence build` adds it; rank by effect or relative"):
        run.frame(int(run.solved[0]), rank="cosine")
    again = build(project, tmp_path, Exact(damping=0.5), test_limit=2).run()
    assert again.norms.ranks == RANKS
