"""Models of transformers and peft as projects: the numbers by autograd through the user's own module, and mistakes."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from influence_core import Exact, RegressionTask, Workspace, build, from_huggingface
from influence_core.errors import ProjectError
from influence_core.methods import ConjugateGradients
from influence_core.project import Project, Stacked
from tests import oracles
from tests.influence_core import tiny_transformers as tiny

HEAD = ("bert.pooler*", "classifier*")


def reviews(model: Any = None, **given: Any) -> Project:
    given = {"train": tiny.text_rows(24), "test": tiny.text_rows(5, seed=1), "weight_decay": 0.02, **given}
    return from_huggingface(model or tiny.bert(), tiny.tokenizer(), given.pop("train"), given.pop("test"), **given)


def lora(model: Any) -> PeftModel:
    torch.manual_seed(2)
    config = LoraConfig(task_type=TaskType.SEQ_CLS, r=2, target_modules=["query", "value"], init_lora_weights=False)
    return get_peft_model(model, config)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_scores_of_a_whole_bert_are_those_of_plain_autograd(attention: str) -> None:
    project = tiny.settle(reviews(tiny.bert(attention)))
    before = tiny.state(project.model)
    expected = oracles.damped_gauss_newton_scores(project, 0.1, range(5))
    found = Exact(damping=0.1, curvature="gauss-newton").fit(project).scores(range(5))
    assert oracles.relative(found.values, expected) < 1e-8
    by_cg = ConjugateGradients(damping=0.1, tolerance=1e-10, precision="float64").fit(project).scores(range(5))
    assert oracles.relative(by_cg.values, expected) < 1e-7
    assert tiny.same(before, tiny.state(project.model))


@pytest.mark.slow
def test_the_hessian_of_a_whole_bert_is_that_of_plain_autograd() -> None:
    project = tiny.settle(reviews(tiny.bert("eager", num_hidden_layers=1), train=tiny.text_rows(8)))
    expected = oracles.damped_hessian_scores(project, 5.0, range(5))
    found = Exact(damping=5.0).fit(project).scores(range(5))
    assert oracles.relative(found.values, expected) < 1e-8


def test_of_a_lora_model_the_adapter_and_its_saved_modules_are_attributed(tmp_path: Path) -> None:
    project = tiny.settle(reviews(lora(tiny.bert()).eval()))
    before = tiny.state(project.model)
    expected = oracles.damped_gauss_newton_scores(project, 0.1, range(5))
    method = Exact(damping=0.1, curvature="gauss-newton")
    fitted = method.prepare(project)
    assert {name.split(".")[-3] for name in fitted.model.vector.names} == {"lora_A", "lora_B", "modules_to_save"}
    assert oracles.relative(method.fit(project).scores(range(5)).values, expected) < 1e-8
    assert tiny.same(before, tiny.state(project.model))
    report = build(project, tmp_path / "workspace", method).run().report
    assert report.parameters_attributed == 2 * 2 * (2 * 8 + 8 * 2) + 3 * 8 + 3
    assert 0 < report.coverage < 0.2


def test_a_model_in_train_mode_is_left_so_and_a_copy_is_explained() -> None:
    model = lora(tiny.bert())
    assert model.training
    before = tiny.state(model)
    project = reviews(model)
    Exact(damping=1.0, curvature="gauss-newton").fit(project).scores([0])
    assert tiny.same(before, tiny.state(model))
    assert not project.model.training
    resting = tiny.bert()
    assert reviews(resting).model is resting


@pytest.mark.parametrize("method", [
    Exact(damping=0.1, curvature="gauss-newton"),
    ConjugateGradients(damping=0.1, tolerance=1e-10, precision="float64"),
], ids=["exact", "cg"])  # fmt: skip
def test_padding_batch_size_and_order_change_no_score(method: Any) -> None:
    project = tiny.settle(reviews())
    base = method.fit(project).scores(range(5)).values
    longer = replace(project, train=padded(project.train, 3), test=padded(project.test, 3))
    assert oracles.relative(method.fit(longer).scores(range(5)).values, base) < 1e-8
    order = torch.randperm(24)
    permuted = Stacked({name: column[order] for name, column in project.train.batch.items()}, 24)
    found = method.fit(replace(project, train=permuted)).scores(range(5)).values
    assert oracles.relative(found, base[:, order]) < 1e-8
    if isinstance(method, ConjugateGradients):
        found = replace(method, rows=7).fit(project).scores(range(5)).values
        assert oracles.relative(found, base) < 1e-8


def padded(rows: Stacked, more: int) -> Stacked:
    """Every row with more padding behind it."""
    wide = {name: torch.nn.functional.pad(c, (0, more)) if c.dim() == 2 else c for name, c in rows.batch.items()}
    return Stacked(wide, len(rows))


def test_a_model_a_tokenizer_and_data_from_local_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    tiny.bert().save_pretrained(tmp_path / "model")
    tiny.tokenizer().save_pretrained(tmp_path / "model")
    datasets.Dataset.from_list(tiny.text_rows(24)).save_to_disk(tmp_path / "rows")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    rows = datasets.load_from_disk(tmp_path / "rows")
    project = from_huggingface(model, tokenizer, rows, tiny.text_rows(5, seed=1), name="reviews", title="Reviews")
    assert project.class_names == tiny.CLASSES
    assert (project.name, project.title) == ("reviews", "Reviews")
    assert project.train_keys[3] == "review 0-3"
    assert list(project.train_metadata.columns) == ["stars"]
    assert project.view.train[0] == rows[0]["text"]
    assert set(project.train[0]) == {"input_ids", "attention_mask", "labels"}
    assert tiny.CLASSES[int(project.train[0]["labels"])] == rows[0]["label"]
    with torch.no_grad():
        alone = model(**tokenizer(rows[0]["text"], return_tensors="pt")).logits[0]
        item = {name: value[None] for name, value in project.train[0].items() if name != "labels"}
        assert torch.allclose(model(**item).logits[0], alone)


def test_a_built_workspace_shows_texts_names_and_keys(tmp_path: Path) -> None:
    build(reviews(attributed=HEAD), tmp_path / "workspace", Exact(damping=1.0, curvature="gauss-newton"))
    workspace = Workspace(tmp_path / "workspace")
    shown = workspace.test[2]
    assert (shown.text, shown.key) == (tiny.text_rows(5, seed=1)[2]["text"], "review 1-2")
    assert shown.metadata["stars"] in range(1, 6)
    assert tuple(workspace.manifest.class_names) == tiny.CLASSES


def test_a_pair_of_texts_is_one_input() -> None:
    rows = [{"claim": "good film", "reply": "not good", "same": i % 3} for i in range(4)]
    project = reviews(train=rows, test=rows, columns=("claim", "reply", "same"))
    assert project.train[0]["input_ids"].tolist() == [2, 4, 6, 3, 9, 4, 3]
    assert project.view.train[0] == "claim: good film\n\nreply: not good"


def test_one_output_is_a_regression() -> None:
    rows = [{**row, "label": float(row["stars"])} for row in tiny.text_rows(12)]
    project = tiny.settle(reviews(tiny.bert(num_labels=1), train=rows, test=rows[:3]))
    assert isinstance(project.task, RegressionTask)
    assert project.class_names == ()
    assert Exact(damping=1.0, curvature="gauss-newton").fit(project).scores([0]).unit == "squared label units"


def test_names_that_only_the_data_set_declares() -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["a", "b", "c"])}
    )
    rows = datasets.Dataset.from_list([{"text": "good", "label": i % 3} for i in range(4)], features=features)
    generic = {f"LABEL_{i}": i for i in range(3)}
    model = tiny.bert(id2label={i: name for name, i in generic.items()}, label2id=generic)
    assert reviews(model, train=rows, test=rows).class_names == ("a", "b", "c")


def test_pictures_with_their_processor(tmp_path: Path) -> None:
    rows = tiny.image_rows(14)
    project = from_huggingface(
        tiny.vit(), tiny.image_processor(), rows[:10], rows[10:], columns=("image", "label"), weight_decay=0.05
    )
    tiny.settle(project, steps=20)
    assert project.train[0]["pixel_values"].shape == (3, 8, 8)
    expected = oracles.damped_gauss_newton_scores(project, 0.5, range(4))
    found = Exact(damping=0.5, curvature="gauss-newton").fit(project).scores(range(4)).values
    assert oracles.relative(found, expected) < 1e-8
    workspace = build(project, tmp_path / "workspace", Exact(damping=0.5, curvature="gauss-newton"))
    assert workspace.train[0].image.startswith(b"\x89PNG")


def test_pictures_beyond_memory_are_read_when_they_are_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = tiny.image_rows(8)
    for i, row in enumerate(rows):
        row["image"].save(tmp_path / f"{i}.png")
    paths = [{"image": str(tmp_path / f"{i}.png"), "label": i % 2} for i in range(8)]
    held = from_huggingface(tiny.vit(), tiny.image_processor(), rows, paths, columns=("image", "label"))
    monkeypatch.setattr("influence_core.adapters.pictures.STACKED_BYTES", 1000)
    lazy = from_huggingface(tiny.vit(), tiny.image_processor(), rows, paths, columns=("image", "label"))
    assert isinstance(held.train, Stacked)
    assert not isinstance(lazy.train, Stacked)
    for i in range(8):
        assert torch.equal(held.train[i]["pixel_values"], lazy.test[i]["pixel_values"])


MISTAKES = {
    "missing column": (
        lambda: reviews(columns=("body", "label")),
        "The train data have no column 'body'; they have 'text', 'label', 'id', 'stars': name yours with "
        "columns=(...).",
    ),
    "label out of range": (
        lambda: reviews(test=[{"text": "good", "label": 3}]),
        "Row 0 of the test data has label 3; the model has classes 0 to 2.",
    ),
    "unknown label": (
        lambda: reviews(test=[{"text": "good", "label": "Praise"}]),
        "Row 0 of the test data has label 'Praise'; model.config.label2id knows 'praise', 'neither', 'blame'.",
    ),
    "no label": (
        lambda: reviews(test=[{"text": "good", "label": None}]),
        "Row 0 of the test data has label None; one class number or name is needed.",
    ),
    "no text": (
        lambda: reviews(test=[{"text": None, "label": 0}]),
        "Row 0 of the test data has nothing in 'text'; a text is needed.",
    ),
    "several splits": (
        lambda: reviews(train={"train": tiny.text_rows(3), "valid": tiny.text_rows(3)}),
        "The train data are a dict of train, valid; give one of its data sets.",
    ),
    "a stream": (
        lambda: reviews(train=iter(tiny.text_rows(3))),
        "The train data have no length; give a datasets.Dataset or a list of dicts instead of a stream.",
    ),
    "too long": (lambda: reviews(max_length=20), "max_length is 20; the model reads 1 to 16 tokens."),
    "one class for several labels": (
        lambda: reviews(tiny.bert(problem_type="multi_label_classification")),
        "Row 0 of the train data has label 'blame'; a list of 3 numbers is needed.",
    ),
    "no model": (
        lambda: reviews(torch.nn.Linear(2, 2)),
        "The model is a Linear; give a sequence or image classifier of transformers.",
    ),
    "loaded for inference": (
        lambda: reviews(lora(tiny.bert()).requires_grad_(False)),
        "No parameter of the adapter requires a gradient, as it was loaded for inference; load it with "
        "PeftModel.from_pretrained(..., is_trainable=True).",
    ),
}


@pytest.mark.parametrize("problem", ["multi_label_classification", "regression"])
def test_several_labels_or_values_a_row_have_the_models_own_loss(problem: str) -> None:
    """The mean of our losses is the loss that transformers itself returns."""
    model = tiny.bert(problem_type=problem)
    rows = [{"text": "good film", "label": [1.0, 0.0, 1.0]}, {"text": "bad", "label": [0.0, 0.0, 1.0]}]
    project = reviews(model, train=rows, test=rows)
    batch = {name: column.clone() for name, column in project.train.batch.items()}  # type: ignore[attr-defined]
    batch["labels"] = batch["labels"].to(next(model.parameters()).dtype)
    with torch.no_grad():
        theirs = model(**batch)
    assert torch.allclose(project.task.losses(theirs.logits, batch).mean(), theirs.loss)
    assert project.task.kind == ("multilabel" if problem.startswith("multi") else "multioutput")
    assert len(project.class_names) == 3


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence(mistake: str) -> None:
    make, sentence = MISTAKES[mistake]
    with pytest.raises(ProjectError) as raised:
        make()
    assert str(raised.value) == sentence


def test_a_tokenizer_without_a_pad_token_is_refused() -> None:
    tokenizer = tiny.tokenizer()
    tokenizer.pad_token = None
    with pytest.raises(ProjectError, match=r"^The tokenizer has no pad token, .* as in training\.$"):
        from_huggingface(tiny.bert(), tokenizer, tiny.text_rows(3), tiny.text_rows(3))


def test_a_corrupt_picture_is_named_by_its_row() -> None:
    rows = tiny.image_rows(3)
    rows[2]["image"] = b"\x89PNG no picture"
    with pytest.raises(
        ProjectError, match=r"^The image of row 2 of the train data cannot be read \(.+\); replace the "
    ):
        from_huggingface(tiny.vit(), tiny.image_processor(), rows, rows, columns=("image", "label"))


def test_long_and_empty_texts_are_told(caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"text": text, "label": 0} for text in (50_000 * "x ", "", "good " * 14, "good " * 13)]
    with caplog.at_level(logging.WARNING):
        project = reviews(train=rows, test=tiny.text_rows(3))
    assert project.train[0]["input_ids"].shape == (16,)
    said = (
        "1 of the 4 train texts are longer than 16 tokens and are cut there; 1 of the 4 train texts are empty, the "
        "first of them in row 1."
    )
    assert caplog.messages == [said]
    assert project.description.endswith(said)
    assert project.view.train[1] == "[This text is empty.]"
    assert len(project.view.train[0]) == 100_000


def test_the_users_tokenizer_is_left_as_it_was() -> None:
    tokenizer = tiny.tokenizer()
    before = tokenizer.backend_tokenizer.to_str()
    from_huggingface(tiny.bert(), tokenizer, tiny.text_rows(3), tiny.text_rows(3))
    assert tokenizer.backend_tokenizer.to_str() == before
