"""From an upload to a workspace: what is proposed, left out and said, and that the model can be had again."""

from __future__ import annotations

import json
import shutil
import tomllib
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dashboard.services import catalogue
from dashboard.services.address import Address
from dashboard.services.builds import Order as BuildOrder
from dashboard.services.builds import build_order
from dashboard.services.influence import explain
from dashboard.services.inventory import check_files, checked
from dashboard.services.projects import of_workspace, other_demo
from dashboard.services.refit import obstacle, refit
from dashboard.services.runs import another
from dashboard.services.serve import APP, _command
from dashboard.services.turns import Turns
from dashboard.services.uploads import building, features
from dashboard.services.uploads.building import find, home, make
from dashboard.services.uploads.keeping import kept_in
from dashboard.services.uploads.limits import MEGABYTES, UploadError
from dashboard.services.uploads.preparing import Rows, prepare
from dashboard.services.uploads.proposal import Choices, propose
from dashboard.services.uploads.reading import read
from dashboard.services.uploads.showing import obstacle as obstacle_to_uploads
from influence_core.store import Progress, Workspace
from influence_core.store.describe import fingerprint
from influence_core.store.files import write_sums
from influence_core.target import Target
from tests.dashboard.uploaded import (
    cancer,
    csv,
    diabetes,
    folders,
    order_of,
    png,
    reviews,
    trained,
    zipped,
)
from tests.dashboard.uploaded import digits as digit_pictures


def prepared(frame: pd.DataFrame, **changes: object) -> Rows:
    upload = read("table.csv", csv(frame))
    return prepare(upload, Choices(**{**propose(upload).model_dump(), **changes}))


# --- what is proposed -------------------------------------------------------------------------------------------------


def test_a_table_is_proposed_with_its_key_and_its_label() -> None:
    choices = propose(read("cancer.csv", csv(cancer())))
    assert choices == Choices(modality="table", kind="classification", label="target", key="id")


def test_a_column_of_many_numbers_is_a_value() -> None:
    choices = propose(read("diabetes.parquet", diabetes()))
    assert (choices.kind, choices.label) == ("regression", "target")


def test_a_column_of_texts_is_read_and_classes_are_predicted() -> None:
    frame = reviews()[["mood", "review", "year"]]
    choices = propose(read("reviews.csv", csv(frame)))
    assert (choices.modality, choices.text, choices.label) == ("text", "review", "mood")


def test_a_column_of_train_and_test_is_the_split() -> None:
    frame = cancer(60).assign(Split=["train", "Training", "test"] * 20)
    rows = prepared(frame)
    assert rows.is_test.tolist() == [False, False, True] * 20


# --- what is left out and said ----------------------------------------------------------------------------------------


def test_the_test_rows_are_drawn_by_class_and_the_same_every_time() -> None:
    rows, again = prepared(cancer()), prepared(cancer())
    assert rows.is_test.tolist() == again.is_test.tolist()
    for name in ("benign", "malignant"):
        of_class = rows.labels == name
        assert int(rows.is_test[of_class].sum()) == round(0.2 * int(of_class.sum()))


def test_missing_cells_and_constant_columns_are_said() -> None:
    frame = cancer().assign(site="A", town=["Ulm", None] * 100)
    frame.loc[[1, 2, 3], "mean radius"] = np.nan
    frame.loc[[4, 5], "target"] = None
    rows = prepared(frame)
    assert len(rows.labels) == 198
    assert "2 rows have no 'target' and are left out." in rows.said
    assert "Left out, as all rows hold the same: 'site'." not in rows.said  # 'town' holds one word and missing cells
    assert any(said.startswith("Left out, as all rows hold the same: 'site', 'town'") for said in rows.said)
    assert "3 missing cells are read as the mean of the column, in 'mean radius'." in rows.said


def test_missing_words_are_a_word_of_their_own() -> None:
    rows = prepared(cancer().assign(town=["Ulm", "Bern", None, "Graz"] * 50))
    assert "50 missing cells are read as a word of their own, in 'town'." in rows.said
    assert rows.inputs["town"].isna().sum() == 50


def test_a_few_words_that_each_occur_once_are_names() -> None:
    frame = pd.DataFrame({"x": range(30), "who": [f"n{i}" for i in range(30)], "label": ["a", "b"] * 15})
    assert list(prepared(frame).inputs.columns) == ["x"]


def test_ids_dates_and_what_must_not_be_read_are_no_inputs() -> None:
    frame = cancer().assign(code=[f"c{i:05}" for i in range(200)], doctor=["A", "B"] * 100)
    rows = prepared(frame, left_out=("doctor", "mean area"))
    assert not {"id", "code", "doctor", "mean area", "target"} & set(rows.inputs.columns)
    assert "Not read by the model, as they are dates, long texts or nearly all different: 'code'." in rows.said
    assert list(rows.known.columns) == ["doctor", "mean area"] or set(rows.known.columns) == {"doctor", "mean area"}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([f"name {i}" for i in range(200)], "200 different texts in 200 rows, and 100 classes are the most"),
        (["same"] * 200, "holds only the class 'same'; two classes are needed"),
        ([None] * 200, "holds no label at all"),
        ([f"c{i // 2}" for i in range(200)], "100 of 100 classes have fewer than 3 examples"),
    ],
)
def test_labels_that_cannot_be_learnt_are_refused(labels: list[str | None], message: str) -> None:
    with pytest.raises(UploadError, match=message):
        prepared(cancer().assign(target=labels), label="target", kind="classification", key="id")


def test_5000_classes_are_refused() -> None:
    frame = pd.DataFrame({"x": range(10_000), "label": [f"c{i % 5000}" for i in range(10_000)]})
    with pytest.raises(UploadError, match=r"5,000 different texts in 10,000 rows, and 100 classes are the most"):
        prepared(frame)


def test_rare_classes_are_left_out_and_said() -> None:
    frame = cancer()
    frame.loc[[0, 1], "target"] = "odd"
    rows = prepared(frame)
    assert len(rows.labels) == 198
    assert any("too few examples (2 rows in all): the classes 'odd'" in said for said in rows.said)


def test_a_value_needs_numbers() -> None:
    with pytest.raises(UploadError, match="'target' holds words, so no value can be predicted"):
        prepared(cancer(), kind="regression")
    numbered = cancer().assign(target=np.arange(200) * 1.5)
    with pytest.raises(UploadError, match=r"200 different numbers .* predict its value instead"):
        prepared(numbered, kind="classification")


def test_a_table_of_nothing_but_its_label_is_refused() -> None:
    frame = pd.DataFrame({"id": [f"p{i}" for i in range(40)], "label": ["a", "b"] * 20})
    with pytest.raises(UploadError, match="No column is left that the model could learn from"):
        prepared(frame)


def test_empty_texts_are_said_and_nothing_but_empty_ones_refused() -> None:
    frame = reviews()
    frame.loc[[3, 4], "review"] = None
    assert any("2 texts are empty" in said for said in prepared(frame).said)
    with pytest.raises(UploadError, match="All 60 texts of 'review' are empty"):
        prepared(frame.assign(review="  "), modality="text", text="review", label="mood")


# --- trained, kept, and had again -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cancer_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of an upload, outside of any test's own data folder."""
    place = tmp_path_factory.mktemp("uploads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "location", lambda: place / catalogue.FILE_NAME)
        frame = cancer()
        frame.loc[3, "mean radius"] = np.nan
        return trained("breast cancer.csv", csv(frame)).path


@pytest.fixture
def made(cancer_made: Path, tmp_path: Path) -> Workspace:
    return Workspace(shutil.copytree(cancer_made, tmp_path / cancer_made.name))


def test_a_table_becomes_a_workspace(made: Workspace) -> None:
    manifest = made.manifest
    assert made.path.name == "breast-cancer"
    assert (manifest.modality, manifest.kind, manifest.project_ref) == ("table", "classification", "upload")
    assert manifest.class_names == ["benign", "malignant"]
    assert made.test[0].key.startswith("p")
    assert "always saying 'malignant' would be for" in manifest.description
    assert any("1 missing cell" in note for note in manifest.notes)
    frame = made.test.frame()
    assert frame["correct"].mean() > 0.85
    said = f"{100 * frame['correct'].mean():.1f} % of {len(frame)} test examples"
    assert said in manifest.description
    check_files(made.path)
    assert not list(made.path.rglob("*.pkl"))


def test_the_rows_are_shown_as_they_were_uploaded(made: Workspace) -> None:
    frame = cancer().set_index("id")
    example = made.train[5]
    assert example.row is not None
    assert example.row["mean area"] == frame.loc[example.key, "mean area"]
    known = {made.train[i].key: made.train[i] for i in range(len(made.train))} | {
        made.test[i].key: made.test[i] for i in range(len(made.test))
    }
    assert known["p3"].row is not None
    assert known["p3"].row["mean radius"] is None


def test_the_same_upload_gives_the_same_fingerprint(made: Workspace) -> None:
    frame = cancer()
    frame.loc[3, "mean radius"] = np.nan
    again = trained("breast cancer.csv", csv(frame))
    assert again.manifest.fingerprint == made.manifest.fingerprint
    assert again.manifest == made.manifest


def test_after_a_restart_predictions_are_solved_and_refitted(made: Workspace) -> None:
    project = of_workspace(made, "")
    assert project is not None
    assert fingerprint(project) == made.manifest.fingerprint
    run = made.run()
    assert obstacle(made, run, project) == ""
    test_id = int(run.solved[0])
    shown = explain(run, test_id, Target("loss"))
    worst = shown.ranked["negative"][:1].tolist()
    result = refit(made, project, shown, worst)
    assert result.predicted < 0
    assert result.actual < 0
    assert 0.2 < result.predicted / result.actual < 1.2


def test_another_run_is_built_of_the_folder_itself(made: Workspace) -> None:
    command = another(made, made.run())
    assert command.startswith(f"influence build {made.path} --out {made.path}")
    order = BuildOrder(str(made.path), "exact", {"damping": "0.01"})
    again = build_order(order, made.path, lambda progress: None)
    assert len(again.runs) == 2
    assert again.manifest == made.manifest


def test_a_folder_whose_rows_are_gone_or_altered_has_no_code(made: Workspace) -> None:
    rows = made.path / "upload" / "rows.parquet"
    rows.write_bytes(rows.read_bytes()[:-100])
    assert of_workspace(made, "") is None
    assert "upload the file again" in other_demo(made.manifest)
    assert obstacle(made, made.run(), None) == other_demo(made.manifest)
    shutil.rmtree(rows.parent)
    assert of_workspace(made, "") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("strength", -1), ("choices", {"modality": "code"}), ("module", "os"), ("numbers", ["no such column"])],
)
def test_a_strangers_recipe_runs_nothing_but_our_trainer(made: Workspace, name: str, value: object) -> None:
    recipe = made.path / "upload" / "recipe.json"
    recipe.write_text(json.dumps({**json.loads(recipe.read_text()), name: value}))
    write_sums(recipe.parent)
    with pytest.raises(UploadError):
        kept_in(made.path)
    assert of_workspace(made, "") is None


@pytest.mark.parametrize("change", ["classes", "numbers", "no label", "no test rows", "another column"])
def test_a_strangers_rows_are_checked_before_anything_is_trained(made: Workspace, change: str) -> None:
    path = made.path / "upload" / "rows.parquet"
    frame = pd.read_parquet(path)
    changed = {
        "classes": lambda: frame.assign(label=[f"c{i}" for i in range(len(frame))]),
        "numbers": lambda: frame.assign(**{"input: mean area": ["x"] * len(frame)}),
        "no label": lambda: frame.assign(label=[None, *frame["label"][1:]]),
        "no test rows": lambda: frame.assign(test=False),
        "another column": lambda: frame.assign(code=[[1]] * len(frame)),
    }[change]()
    changed.to_parquet(path, index=False)
    write_sums(path.parent)
    with pytest.raises(UploadError, match="upload the file again"):
        kept_in(made.path)
    assert of_workspace(made, "") is None


def test_a_strangers_rows_are_held_to_the_limits(made: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.services.uploads.csv_files.ROWS", 100)
    assert of_workspace(made, "") is None
    with pytest.raises(UploadError, match="200 or more rows and at most 100"):
        kept_in(made.path)


def test_a_workspace_that_claims_to_be_an_upload_and_is_not(digits: Workspace, tmp_path: Path) -> None:
    folder = shutil.copytree(digits.path, tmp_path / "claims")
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace("demo:digits", "upload"))
    assert of_workspace(Workspace(folder), "") is None
    assert checked(folder).manifest.is_upload


def test_texts_become_a_workspace_and_other_columns_filters() -> None:
    made = trained("reviews.csv", csv(reviews()))
    assert made.manifest.modality == "text"
    assert made.test[0].text
    assert list(made.test.metadata().columns) == ["year"]
    assert of_workspace(made, "") is not None


def test_values_become_a_workspace() -> None:
    made = trained("diabetes.parquet", diabetes())
    assert made.manifest.kind == "regression"
    assert "It is off by" in made.manifest.description
    assert of_workspace(made, "") is not None


def test_words_are_coded_and_a_new_one_is_none_of_them() -> None:
    frame = cancer().assign(town=["Ulm", "Bern", "Graz", None] * 50, split=["train"] * 160 + ["test"] * 40)
    frame.loc[180, "town"] = "Nowhere"
    made = trained("towns.csv", csv(frame))
    assert made.manifest.parameters_total == 30 + 4 + 1
    assert of_workspace(made, "") is not None


def test_tiny_pictures_are_read_by_their_pixels() -> None:
    made = trained("digits.zip", zipped(digit_pictures()))
    assert made.manifest.modality == "image"
    assert "made of the 16 × 16 pixels" in made.manifest.description
    assert made.test[0].key.startswith("digits/")
    assert made.test[0].image is not None
    assert made.test.frame()["correct"].mean() > 0.5
    assert of_workspace(made, "") is not None


def test_photographs_are_read_by_the_frozen_network() -> None:
    """Stripes across or along, of 64 pixels a side; the weights come from the package."""
    assert features.has_network()
    lot = np.random.default_rng(0)
    files = {}
    for i in range(40):
        stripes = np.tile((np.arange(64) // 8 % 2 * 200).astype(np.uint8), (64, 1)) + lot.integers(
            0, 50, (64, 64), np.uint8
        )
        files[f"{'across' if i % 2 else 'along'}/{i}.png"] = png(stripes if i % 2 else stripes.T.copy())
    made = trained("stripes.zip", zipped(files))
    assert "EfficientNet-Lite0, frozen" in made.manifest.description
    assert made.test.frame()["correct"].all()
    project = of_workspace(made, "")
    assert project is not None


def test_without_the_network_all_pictures_are_read_by_their_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "PACKAGES", ("no_such_package",))
    assert features.reader_of([500, 600]) == features.PIXELS


def test_a_picture_that_turns_out_corrupt_is_left_out() -> None:
    """Its header and check sums are whole: only decoding tells."""
    files = digit_pictures()
    lot = np.random.default_rng(0)
    whole = png(lot.integers(0, 255, (64, 64), np.uint8))
    cut = bytearray(whole)
    at = cut.index(b"IDAT") + 4
    broken = b"not zlib at all" + bytes(cut[at + 15 : -16])
    length = int.from_bytes(cut[at - 8 : at - 4], "big")
    chunk = b"IDAT" + broken[:length].ljust(length, b"\0")
    bad = bytes(cut[: at - 4]) + chunk + zlib.crc32(chunk).to_bytes(4, "big") + b"\0\0\0\0IEND\xaeB`\x82"
    made = trained("digits.zip", zipped(files | {"digits/3/bad.png": bad}))
    assert any(
        "1 picture cannot be decoded and is left out: 'digits/3/bad.png'" in note for note in made.manifest.notes
    )
    assert made.manifest.n_train + made.manifest.n_test == len(files)


# --- the job ----------------------------------------------------------------------------------------------------------


def test_the_job_registers_its_workspace_and_tells_its_stages() -> None:
    upload = read("cancer.csv", csv(cancer()))
    order, stages = order_of(upload), []
    building.work(upload, order, Turns())(lambda progress: stages.append(progress.stage))
    assert catalogue.recent()[0].path == str(find(order))
    for stage in ("Choosing the penalty by cross-validation", "Fitting the model", "Check by refitting"):
        assert stage in stages
    building.work(upload, order, Turns())(lambda progress: None)  # a second time opens the first
    assert folders(home()) == ["cancer"]


def test_two_uploads_of_one_name_are_two_workspaces() -> None:
    first, second = trained("a.csv", csv(cancer())), trained("a.csv", csv(cancer(150)))
    assert (first.path.name, second.path.name) == ("a", "a-2")


@pytest.mark.parametrize("stage", ["Choosing the penalty by cross-validation", "Curvature", "Self-influence"])
def test_what_is_stopped_leaves_nothing_behind(stage: str) -> None:
    class StopError(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.stage == stage:
            raise StopError

    upload = read("cancer.csv", csv(cancer()))
    with pytest.raises(StopError):
        make(upload, order_of(upload), stop)
    assert folders(home()) == []


def test_a_data_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    upload = read("cancer.csv", csv(cancer()))
    with pytest.raises(UploadError, match="cannot be written to"):
        make(upload, order_of(upload), lambda progress: None)


def test_streamlit_takes_what_the_page_promises() -> None:
    settings = tomllib.loads((APP.parent / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert settings["server"]["maxUploadSize"] == MEGABYTES


def test_a_server_for_others_takes_no_large_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamlit takes files in whether a page asks for them or not, and keeps them in memory."""
    monkeypatch.delenv("INFLUENCE_UPLOADS", raising=False)
    assert "--server.maxUploadSize" not in _command(Address("127.0.0.1", 1))
    open_to_all = _command(Address("10.0.0.7", 1))
    assert open_to_all[open_to_all.index("--server.maxUploadSize") + 1] == "1"
    monkeypatch.setenv("INFLUENCE_UPLOADS", "allow")
    assert "--server.maxUploadSize" not in _command(Address("10.0.0.7", 1))


@pytest.mark.parametrize(
    ("host", "allowed", "is_off"),
    [
        ("127.0.0.1", "", False),
        ("localhost", "", False),
        ("::1", "", False),
        ("0.0.0.0", "", True),  # noqa: S104  (a name, not a bind)
        (None, "", True),
        ("10.0.0.7", "", True),
        ("10.0.0.7", "allow", False),
    ],
)
def test_uploads_are_off_where_others_can_reach_them(host: str | None, allowed: str, is_off: bool) -> None:
    assert bool(obstacle_to_uploads(host, {"INFLUENCE_UPLOADS": allowed})) == is_off
