"""The commands that need no server, on a project file: what they print, where, and in which form."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from dashboard.cli import main
from dashboard.services.answer_forms import as_json
from dashboard.services.explanation import Question, explain
from influence_core.methods import BASELINES, METHODS
from influence_core.store import Workspace

CLASSES = ("[bold]no[/bold]", "=HYPERLINK()")
KEYS = ("plain", "-1+1", "@sum", "\x1b[31mred", "\u202ereversed", ":smile:", "<script>alert(1)</script>", "+5", "a,b")
KEYS_OF_AN_ANSWER = (
    "test_id key label prediction target measure run method damping damping_rule unit n_train residual outside "
    "is_first validated predicts_refit positive negative ranked_by helpful harmful"
)
PROJECT = """
import torch
from influence_core.project import Project
from influence_core.removal.head_fit import fit_head
from influence_core.task import ClassificationTask, RegressionTask

print("a line of the user's own")
inputs = torch.randn(54, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
labels = (inputs @ torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64) > 0).long()
task = ClassificationTask(2, weight_decay=0.1)
given = dict(
    name="tiny",
    model=fit_head(inputs[:40], labels[:40], task),
    task=task,
    train=[(x, int(y)) for x, y in zip(inputs[:40], labels[:40])],
    test=[(x, int(y)) for x, y in zip(inputs[40:], labels[40:])],
)
"""
MARKED = f"given |= dict(class_names={CLASSES!r}, train_keys=[*{KEYS!r}, *map(str, range(100, 131))])\n"
REGRESSION = """
values = inputs @ torch.tensor([[1.0], [2.0], [-1.0]], dtype=torch.float64) - 3
task = RegressionTask(weight_decay=0.1, unit="mm")
given |= dict(
    task=task,
    model=fit_head(inputs[:40], values[:40, 0], task),
    train=[(x, float(y)) for x, y in zip(inputs[:40], values[:40])],
    test=[(x, float(y)) for x, y in zip(inputs[40:], values[40:])],
)
"""
END = "project = Project(**given)\n"


def project_file(folder: Path, change: str = "") -> Path:
    """A small project; ``change`` are lines of Python before it is put together."""
    file = folder / "tiny_project.py"
    file.write_text(PROJECT + change + END, encoding="utf-8")
    return file


def built(folder: Path, change: str = "", *options: str) -> Path:
    """The workspace of a small project."""
    out = folder / "workspace"
    assert main(["build", str(project_file(folder, change)), "--out", str(out), *options]) == 0
    return out


@pytest.fixture(scope="session")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose names are hostile."""
    return built(tmp_path_factory.mktemp("marked"), MARKED)


@pytest.fixture(scope="session")
def partly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A regression's workspace with 4 of 14 predictions solved."""
    return built(tmp_path_factory.mktemp("partly"), REGRESSION, "--test-limit", "4")


# --- build and info ---------------------------------------------------------------------------------------


def test_a_build_prints_only_messages_and_the_next_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = built(tmp_path)
    said = capsys.readouterr()
    assert said.out == ""
    assert "a line of the user's own" in said.err
    assert "Curvature" in said.err
    assert f"{out} is ready: 14 of 14 test predictions are solved." in said.err
    assert said.err.splitlines()[-1] == f"Next: `influence open {out}`"


def test_the_attribute_and_the_damping_are_the_ones_asked_for(tmp_path: Path) -> None:
    file = project_file(tmp_path)
    file.write_text(file.read_text().replace("project = ", "other = "))
    assert main(["build", f"{file}:other", "--out", str(tmp_path / "w"), "--method", "exact", "--damping", "0.25"]) == 0
    assert Workspace(tmp_path / "w").run().damping == 0.25


def test_a_demo_is_a_demo_even_where_a_folder_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(digits, tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    assert main(["build", "digits", "--out", "digits"]) == 0
    assert Workspace("digits").manifest.project_ref == "demo:digits"
    assert "360 of 360" in capsys.readouterr().err


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default demo's workspace."""
    out = tmp_path_factory.mktemp("digits") / "workspace"
    assert main(["build", "digits", "--out", str(out)]) == 0
    return out


def test_info_says_what_a_workspace_holds(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(digits)]) == 0
    said = capsys.readouterr()
    for text in ("digits (Handwritten digits)", "image, classification", "10: 0, 1, 2", "1,437 to train, 360 to test"):
        assert text in said.out
    for text in ("650 of 650 covered (100 %)", "MB", "exact", "checked", "360 of 360", Workspace(digits).run().id):
        assert text in said.out
    assert said.err == ""


def test_info_counts_what_is_solved_and_what_is_unfinished(
    partly: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(partly, tmp_path / "copy")
    (copy / "runs" / "half").mkdir()
    (copy / "runs" / "half" / "run.json").write_text("{}")
    assert main(["info", str(copy)]) == 0
    said = capsys.readouterr().out
    assert "4 of 14" in said
    assert "1 run; the same `influence build` goes on" in said


# --- explain ----------------------------------------------------------------------------------------------


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["explain", *arguments]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


def test_json_is_one_object_with_these_keys(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = json.loads(asked(capsys, str(digits), "--test", "5", "--top", "3", "--format", "json"))
    assert " ".join(answer) == KEYS_OF_AN_ANSWER
    example = Workspace(digits).test[5]
    expected = {"test_id": 5, "key": example.key, "target": "true", "measure": "loss", "method": "exact", "damping": 0}
    assert {name: answer[name] for name in expected} == expected
    assert (answer["label"], answer["prediction"]) == (str(example.label), str(example.prediction))
    assert (answer["unit"], answer["n_train"], answer["validated"]) == ("nats", 1437, True)
    scores = Workspace(digits).run().scores(5).values[0]
    for name, sign in (("helpful", 1), ("harmful", -1)):
        best = (sign * scores).sort(descending=True)
        assert [row["rank"] for row in answer[name]] == [1, 2, 3]
        assert [row["train_id"] for row in answer[name]] == best.indices[:3].tolist()
        assert [row["score"] for row in answer[name]] == [sign * float(v) for v in best.values[:3]]
        assert set(answer[name][0]) == {"train_id", "key", "score", "label", "rank", "ranking"}
        assert [row["ranking"] for row in answer[name]] == [row["score"] for row in answer[name]]


def test_a_list_ends_where_the_sign_does(marked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = json.loads(asked(capsys, str(marked), "--test", "0", "--top", "500", "--format", "json"))
    assert all(row["score"] > 0 for row in answer["helpful"])
    assert all(row["score"] < 0 for row in answer["harmful"])
    assert 0 < len(answer["helpful"]) + len(answer["harmful"]) <= 40


def test_a_regression_has_numbers_for_labels_and_explains_its_value(
    partly: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = str(Workspace(partly).run().solved[0])
    answer = json.loads(asked(capsys, str(partly), "--test", test, "--measure", "value", "--format", "json"))
    assert isinstance(answer["label"], float)
    assert isinstance(answer["helpful"][0]["label"], float)
    assert (answer["unit"], answer["validated"]) == ("mm", False)
    table = asked(capsys, str(partly), "--test", test, "--measure", "value")
    assert "Raises the value" in table
    assert "Lowers the value" in table
    assert "elpful" not in table


@pytest.mark.parametrize("options", [["--damping", "0.5"], ["--target", "predicted"], ["--measure", "margin"]])
def test_only_the_stored_scores_are_validated(
    digits: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert json.loads(asked(capsys, str(digits), "--test", "0", *options, "--format", "json"))["validated"] is False
    assert "○ not checked" in asked(capsys, str(digits), "--test", "0", *options)


def test_damping_is_used_as_written(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = (
        json.loads(asked(capsys, str(digits), "--test", "0", "--damping", damping, "--format", "json"))
        for damping in ("0.5", "1")
    )
    assert (one["damping"], other["damping"]) == (0.5, 1.0)
    assert one["helpful"][0]["score"] > other["helpful"][0]["score"]


def test_the_table_says_what_the_sign_means_and_how_far_to_trust_it(
    digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = " ".join(asked(capsys, str(digits), "--test", "5").split())
    assert "without this training example the loss of this prediction would rise" in said
    assert "✔ checked: 24 refits" in said
    assert "residual" in said


@pytest.mark.parametrize("rank", ["relative", "relative-theta", "cosine"])
def test_a_second_ranking_orders_by_its_number_and_keeps_the_scores(
    rank: str, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked_by = ("--test", "5", "--rank", rank, "--top", "4")
    answer = json.loads(asked(capsys, str(digits), *asked_by, "--format", "json"))
    run = Workspace(digits).run()
    expected = run.frame(5, rank=rank)
    assert answer["ranked_by"] == rank
    assert [row["train_id"] for row in answer["helpful"]] == expected["train_id"].head(4).tolist()
    assert [row["ranking"] for row in answer["helpful"]] == expected["ranking"].head(4).tolist()
    assert [row["score"] for row in answer["helpful"]] == expected["score"].head(4).tolist()
    assert [row["train_id"] for row in answer["harmful"]] == expected["train_id"].iloc[::-1].head(4).tolist()
    assert f"Ranked by {rank}: By the score over" in asked(capsys, str(digits), *asked_by)
    assert main(["scores", str(digits), "--rank", rank, "--out", str(tmp_path / "s.npy")]) == 0
    assert f"360 x 1,437 numbers to rank by {rank}; every row is solved" in capsys.readouterr().err
    row = np.load(tmp_path / "s.npy", mmap_mode="r", allow_pickle=False)[5]
    assert np.allclose(row, run.numbers(run.scores(5), 5, rank).numpy(), rtol=1e-6)


def test_another_damping_has_no_self_influence_to_rank_by(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = ("explain", str(digits), "--test", "5", "--damping", "0.5", "--rank")
    assert main([*other, "relative"]) == 2
    assert "under its own damping 0, so scores under damping 0.5 cannot be ranked by" in capsys.readouterr().err
    assert main([*other, "cosine"]) == 0


@pytest.mark.parametrize("method", ["grad-dot", "similarity", "loss", "random"])
def test_a_baseline_says_in_every_form_that_it_predicts_no_refit(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(built(tmp_path, "", "--method", method))
    reading = BASELINES[method].reading
    answer = json.loads(asked(capsys, out, "--test", "0", "--format", "json"))
    assert (answer["predicts_refit"], answer["validated"], answer["residual"]) == (False, False, None)
    assert answer["unit"] == reading.unit_of("nats")
    assert answer["positive"] == (reading.positive or "helpful")
    table = " ".join(asked(capsys, out, "--test", "0").split())
    assert f"○ not checked: {reading.sentence}" in table
    assert ("elpful" in table) == (method == "grad-dot")
    lists = {row["list"] for row in csv.DictReader(io.StringIO(asked(capsys, out, "--test", "0", "--format", "csv")))}
    assert lists <= {answer["positive"], answer["negative"]}
    assert main(["scores", out, "--out", str(tmp_path / "s.npy")]) == 0
    assert reading.sentence in capsys.readouterr().err
    assert main(["info", out]) == 0


def test_a_key_and_a_class_name_work_like_ids(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = Workspace(digits).test[7].key
    by_key = asked(capsys, str(digits), "--test", key, "--target", "3", "--measure", "logit", "--format", "json")
    by_id = asked(capsys, str(digits), "--test", "7", "--target", "3", "--measure", "logit", "--format", "json")
    assert by_key == by_id
    assert json.loads(by_id)["target"] == "3"


def test_a_class_index_serves_where_no_class_has_that_name(marked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_index, by_name = (
        json.loads(asked(capsys, str(marked), "--test", "0", "--target", target, "--format", "json"))
        for target in ("1", CLASSES[1])
    )
    assert by_index == by_name
    assert by_index["target"] == CLASSES[1]


def test_csv_has_a_line_an_example_and_no_formula(marked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = asked(capsys, str(marked), "--test", "0", "--top", "40", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(said)))
    assert list(rows[0]) == ["list", "rank", "train_id", "key", "score", "label", "ranking"]
    assert {row["list"] for row in rows} <= {"helpful", "harmful"}
    keys = {int(row["train_id"]): row["key"] for row in rows}
    assert (keys[1], keys[2], keys[7], keys[8]) == ("'-1+1", "'@sum", "'+5", "a,b")
    assert {row["label"] for row in rows} == {"[bold]no[/bold]", "'=HYPERLINK()"}
    assert not [
        cell
        for row in rows
        for name, cell in row.items()
        if name not in ("score", "ranking") and cell[:1] in ("=", "+", "-", "@")
    ]


def test_other_targets_support_and_oppose(marked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = asked(capsys, str(marked), "--test", "0", "--target", "predicted", "--measure", "logit", "--format", "csv")
    assert re.search(r"^supports ", said, re.MULTILINE)
    assert "helpful" not in said


def test_names_are_shown_as_they_are_and_never_obeyed(marked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = asked(capsys, str(marked), "--test", "0", "--top", "40")
    for text in ("[bold]no[/bold]", ":smile:", "[31mred", "reversed", "<script>alert(1)</script>"):
        assert text in table
    assert "\x1b" not in table
    assert "\u202e" not in table
    answer = json.loads(asked(capsys, str(marked), "--test", "0", "--top", "40", "--format", "json"))
    keys = {row["train_id"]: row["key"] for row in [*answer["helpful"], *answer["harmful"]]}
    assert keys == {i: key for i, key in enumerate([*KEYS, *map(str, range(100, 131))]) if i in keys}


def test_no_number_that_is_none_gets_into_json(digits: Path) -> None:
    run = Workspace(digits).run()
    workspace = Workspace(digits)
    workspace.runs[0].__dict__["_report"] = run._report.model_copy(
        update={"fit": type(run.report)(**{**vars(run.report), "residual": float("nan")})}
    )
    explained = explain(workspace, Question("0"))
    answer = json.loads(as_json(explained.answer), parse_constant=pytest.fail)
    assert (answer["residual"], answer["validated"]) == (None, False)
    assert (answer["helpful"], answer["harmful"]) == ([], [])
    assert "do not rely" in explained.trust


# --- scores and methods -----------------------------------------------------------------------------------


def test_scores_are_float32_and_count_what_is_not_solved(
    partly: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scores", str(partly), "--out", str(tmp_path / "s.npy")]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "14 x 40 scores in squared mm; 10 rows are NaN" in said.err
    scores = np.load(tmp_path / "s.npy", allow_pickle=False)
    assert (scores.dtype, scores.shape) == (np.float32, (14, 40))
    solved = sorted(Workspace(partly).run().solved)
    assert np.flatnonzero(np.isfinite(scores).all(axis=1)).tolist() == solved
    assert np.isnan(scores).any(axis=1).sum() == 10
    assert [path.name for path in tmp_path.iterdir()] == ["s.npy"]


def test_scores_in_blocks_are_those_of_the_run(digits: Path, tmp_path: Path) -> None:
    run = Workspace(digits).run()
    assert main(["scores", str(digits), "--run", run.id, "--out", str(tmp_path / "s.npy")]) == 0
    scores = np.load(tmp_path / "s.npy", mmap_mode="r", allow_pickle=False)
    for test in (0, 127, 128, 359):
        assert np.array_equal(scores[test], run.scores(test).values[0].numpy())


def test_newton_is_built_and_explained_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "w"
    assert main(["build", str(project_file(tmp_path)), "--out", str(out), "--method", "newton"]) == 0
    assert "14 of 14 test predictions are solved" in capsys.readouterr().err
    answer = json.loads(asked(capsys, str(out), "--test", "3", "--target", "predicted", "--format", "json"))
    assert answer["method"] == "newton"
    table = asked(capsys, str(out), "--test", "3")
    assert "first order" in table
    assert re.search(r"\d % too (small|large)", table)


def test_methods(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [method["name"] for method in listed] == list(METHODS)
    assert set(listed[0]) == {"name", "title", "cost", "limits"}
    assert main(["methods"]) == 0
    assert "Exact" in capsys.readouterr().out


def test_what_can_be_set_of_a_method(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "cg"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Conjugate gradients" in said
    assert "Most passes over the data" in said
    assert "--method cg --set NAME=VALUE" in said
    assert main(["methods", "cg", "--format", "json"]) == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    assert settings[0] == {
        "setting": "damping",
        "value": "a number",
        "default": "0.01",
        "meaning": "Added to the curvature once, as written.",
    }
    assert main(["methods", "nonsense"]) == 2
    assert "There is no method 'nonsense'; choose one of exact, " in capsys.readouterr().err


def test_settings_are_set_and_damping_has_a_short_form(tmp_path: Path) -> None:
    file, out = str(project_file(tmp_path)), str(tmp_path / "w")
    command = ["build", file, "--out", out, "--method", "cg", "--test-limit", "1"]
    assert main([*command, "--set", "damping=0.25", "--set", "steps=300", "--set", "precision=float64"]) == 0
    first = Workspace(out).run()
    assert (first.damping, first.hyperparameters["steps"], first.hyperparameters["precision"]) == (0.25, 300, "float64")
    assert main([*command, "--damping", "0.25", "--set", "steps=300", "--set", "precision=float64"]) == 0
    assert [run.id for run in Workspace(out).runs] == [first.id]


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    said = capsys.readouterr()
    for command in ("demo", "build", "open", "info", "explain", "sweep", "scores", "methods"):
        assert command in said.out
        assert main([command, "--help"]) == 0
    assert main(["--version"]) == 0
