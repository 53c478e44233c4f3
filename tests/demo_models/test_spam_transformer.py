"""The language model's demo: near the optimum of its attributed layers, and the same scores however it is computed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import demo_models
from demo_models import spam_transformer
from demo_models.fine_tuning import Recipe
from influence_core.methods import ConjugateGradients, auto
from influence_core.project import Project, Stacked
from influence_core.store import build
from tests import oracles

ATTRIBUTED = 384 * 384 + 384 + 2 * 384 + 2
TIGHT = ConjugateGradients(damping=0.01, tolerance=1e-11, precision="float64", rows=64)
TESTED = (0, 7, 21)


def gradient_norm(project: Project) -> float:
    """Of the objective by the attributed parameters, through the user's own model by plain autograd."""
    parameters = [p for p in project.model.parameters() if p.requires_grad]
    assert sum(p.numel() for p in parameters) == ATTRIBUTED
    batch, n = project.train.batch, len(project.train)
    total = [torch.zeros_like(p) for p in parameters]
    for rows in torch.split(torch.arange(n), 40):
        tokens, mask, labels = (batch[name][rows] for name in ("input_ids", "attention_mask", "labels"))
        logits = project.model(input_ids=tokens, attention_mask=mask).logits
        losses = nn.functional.cross_entropy(logits, labels, reduction="sum") / n
        total = [a + b for a, b in zip(total, torch.autograd.grad(losses, parameters), strict=True)]
    decayed = [g + project.task.weight_decay * p.detach() for g, p in zip(total, parameters, strict=True)]
    return float(torch.cat([g.flatten() for g in decayed]).norm())


def padded(rows: Stacked, length: int) -> Stacked:
    """Every mail with padding up to that length."""
    more = length - rows.batch["input_ids"].shape[1]
    wide = {name: nn.functional.pad(c, (0, more)) if c.dim() == 2 else c for name, c in rows.batch.items()}
    return Stacked(wide, len(rows))


def chosen(rows: Stacked, some: Tensor) -> Stacked:
    return Stacked({name: column[some] for name, column in rows.batch.items()}, len(some))


@pytest.fixture(scope="module")
def mails(transformer: Project) -> Project:
    """Forty training mails, in a model that was tuned on four times as many."""
    return replace(
        transformer, train=chosen(transformer.train, torch.arange(40)), train_metadata=None, view=None, train_keys=()
    )


@pytest.fixture(scope="module")
def base(mails: Project) -> Tensor:
    return TIGHT.fit(mails).scores(TESTED).values


def test_the_attributed_layers_are_at_their_optimum(transformer: Project) -> None:
    assert gradient_norm(transformer) < 3e-5  # the model is float32


@pytest.mark.slow
def test_padding_changes_no_score(mails: Project, base: Tensor) -> None:
    for length in (64, 96):
        wider = replace(mails, train=padded(mails.train, length), test=padded(mails.test, length))
        assert oracles.relative(TIGHT.fit(wider).scores(TESTED).values, base) < 1e-5


@pytest.mark.slow
def test_rows_at_once_change_no_score(mails: Project, base: Tensor) -> None:
    assert oracles.relative(replace(TIGHT, rows=16).fit(mails).scores(TESTED).values, base) < 1e-5


@pytest.mark.slow
def test_permuted_mails_have_permuted_scores(mails: Project, base: Tensor) -> None:
    order = torch.randperm(40)
    permuted = replace(mails, train=chosen(mails.train, order))
    assert oracles.relative(TIGHT.fit(permuted).scores(TESTED).values, base[:, order]) < 1e-5


@pytest.mark.slow
def test_a_refit_with_all_weights_one_is_the_model_and_without_a_mail_another(transformer: Project) -> None:
    weights = torch.ones(len(transformer.train))
    same = transformer.fit(transformer.train, weights, 0)
    assert not same.training
    ours, theirs = dict(transformer.model.named_parameters()), dict(same.named_parameters())
    moved = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert set(moved) <= {name for name, p in ours.items() if p.requires_grad}
    assert oracles.relative(flat(same), flat(transformer.model)) < 1e-3
    weights[torch.arange(0, 160, 4)] = 0
    less = transformer.fit(transformer.train, weights, 0)
    assert oracles.relative(flat(less), flat(transformer.model)) > 1e-2
    other = transformer.fit(chosen(transformer.train, torch.arange(160)), weights, 0)
    assert oracles.relative(flat(other), flat(less)) < 1e-3


def flat(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad])


def test_what_the_model_reads_names_no_collector(transformer: Project) -> None:
    tokenizer = spam_transformer.minilm.tokenizer()
    read = [tokenizer.decode(row, skip_special_tokens=True) for row in transformer.train.batch["input_ids"]]
    assert len({text for text in read if text}) > 100
    assert not any(word in text for text in read for word in ("spamassassin", "jmason", "netnoteinc"))


def test_how_many_mails_are_cut_is_said(transformer: Project) -> None:
    assert "of the 160 train texts are longer than 48 tokens and are cut there" in transformer.description


@pytest.fixture
def _full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spam_transformer, "RECIPE", Recipe())
    torch.set_num_threads(2)


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.usefixtures("_full")
def test_the_whole_demo_is_tuned_and_built_in_twenty_minutes(tmp_path: Path) -> None:
    started = time.perf_counter()
    project = demo_models.load("spam-transformer")
    workspace = build(project, tmp_path / "workspace", auto(project), test_limit=spam_transformer.TEST_LIMIT)
    assert time.perf_counter() - started < 1200
    run = workspace.run()
    assert (len(project.train), len(run.solved)) == (2000, 24)
    assert run.report.residual <= 0.01
    assert run.report.gradient_norm < 1e-5
    assert workspace.test.frame()["correct"].mean() > 0.95
