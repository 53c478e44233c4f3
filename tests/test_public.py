"""What the documents promise is what runs: the README's code, the public names, the changelog."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import influence_core

ROOT = Path(__file__).parents[1]


def blocks(document: str, language: str) -> list[str]:
    """The fenced code blocks of a document."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)


def test_the_readme_code_runs(tmp_path: Path) -> None:
    """In a fresh process and an empty folder, one block after the other, as a newcomer would paste them."""
    first, notebook = blocks("README.md", "python")
    assert len(first.strip().splitlines()) <= 20
    assert len(notebook.strip().splitlines()) <= 10
    done = subprocess.run(
        [sys.executable, "-c", first + notebook],
        cwd=tmp_path,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "helpful" in done.stdout
    assert re.search(r"train_id +score +rank +share +direction +key", done.stdout)
    assert {"my-workspace", "strongest.html", "distribution.html"} == {path.name for path in tmp_path.iterdir()}


def test_the_readme_names_the_two_commands_and_the_score() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "pip install -e '.[demo]' && influence demo" in text
    assert "pip install -e '.[demo,test]' && pytest" in text
    assert "Positive = helpful" in text
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
        assert (ROOT / picture).is_file(), picture


def test_every_public_name_exists_and_is_documented() -> None:
    for name in influence_core.__all__:
        assert getattr(influence_core, name).__doc__ or name == "METHODS"
    assert not hasattr(influence_core, "nothing")


def test_importing_the_package_loads_no_torch() -> None:
    code = "import sys, influence_core.errors; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=_environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
