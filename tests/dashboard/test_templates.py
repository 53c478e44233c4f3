"""`influence init`: every template is there, is refused in a sentence where there is none, and builds as it stands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from dashboard.cli import main
from dashboard.services import templates
from dashboard.services.projects import load_project
from influence_core.store import Workspace
from influence_core.store.describe import fingerprint
from tests.dashboard.test_cli_mistakes import refused

ALL = [(source, modality) for source, offered in templates.MODALITIES.items() for modality in offered]


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project of every template."""
    folder = tmp_path_factory.mktemp("started")
    for source, modality in ALL:
        arguments = ["--from", source, "--modality", modality]
        assert main(["init", str(folder / f"my_{source}_{modality}.py"), *arguments]) == 0
    return folder


def test_every_template_is_offered_and_every_offer_has_a_template() -> None:
    assert {f"{source}_{modality}.py" for source, modality in ALL} == {p.name for p in templates.FOLDER.glob("*.py")}


@pytest.mark.parametrize(("source", "modality"), ALL)
def test_a_template_says_what_to_replace(source: str, modality: str, started: Path) -> None:
    text = (started / f"my_{source}_{modality}.py").read_text(encoding="utf-8")
    assert [text.count(f"# --- {title}") for title in ("1. Your data", "2. Your model", "3. The project")] == [1, 1, 1]
    assert text.count("# Replace ") >= 2
    assert len(text.splitlines()) < 140


def test_the_usual_template(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for source, usual in (("torch", "image"), ("huggingface", "text"), ("sklearn", "table")):
        file = tmp_path / f"{source} project.py"
        assert main(["init", str(file), "--from", source]) == 0
        assert file.read_bytes() == (templates.FOLDER / f"{source}_{usual}.py").read_bytes()
        assert capsys.readouterr().err.splitlines()[-1] == f"Next: `influence check '{file}'`"


def test_what_init_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("precious = 1\n")
    assert "exists and is left as it is" in refused(capsys, "init", str(mine))
    assert mine.read_text() == "precious = 1\n"
    assert "does not end in .py" in refused(capsys, "init", str(tmp_path / "mine.txt"))
    assert "There is no folder" in refused(capsys, "init", str(tmp_path / "absent" / "mine.py"))
    assert "There is no folder" in refused(capsys, "init", str(mine / "mine.py"))
    assert "would hide the library" in refused(capsys, "init", str(tmp_path / "torch.py"))
    said = refused(capsys, "init", str(tmp_path / "new.py"), "--from", "huggingface", "--modality", "table")
    assert "use --from torch or --from sklearn, or --modality text or image" in said
    assert not (tmp_path / "new.py").exists()


@pytest.mark.parametrize("modality", ["image", "table", "text"])
def test_a_torch_template_trains_once_and_ends_in_the_same_weights_whatever_the_threads(
    modality: str, started: Path, tmp_path: Path
) -> None:
    threads, prints = torch.get_num_threads(), []
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        file = Path(shutil.copy(started / f"my_torch_{modality}.py", folder))
        torch.set_num_threads(count)
        try:
            first = load_project(str(file))
            kept = file.with_suffix(".pt").read_bytes()
            assert fingerprint(load_project(str(file))) == fingerprint(first)
        finally:
            torch.set_num_threads(threads)
        assert file.with_suffix(".pt").read_bytes() == kept
        prints.append([p.detach().numpy().tobytes() for p in first.model.parameters()])
    assert prints[0] == prints[1]


@pytest.mark.parametrize(("source", "modality"), ALL)
def test_a_template_passes_its_check_and_builds_as_it_stands(
    source: str, modality: str, started: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = str(started / f"my_{source}_{modality}.py"), tmp_path / "w"
    assert main(["check", file, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [finding for finding in found if finding["mark"] != "ok"] == []
    assert main(["build", file, "--out", str(out)]) == 0
    workspace = Workspace(out)
    run = workspace.run()
    assert workspace.manifest.modality == modality
    assert len(run.solved) == workspace.manifest.n_test
    assert workspace.test.frame()["correct"].mean() > 0.65
    assert run.report.gradient_norm < 1e-3
    if (source, modality) != ("torch", "table"):  # a whole network; all others are linear heads
        assert run.check is not None
        assert run.check.state == "checked"
        assert run.check.slope == pytest.approx(1, abs=0.5)
