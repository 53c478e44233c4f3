"""`influence check`: what is wrong with a project, how to mend it, and that it says so before a build fails."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dashboard.cli import main
from tests.dashboard.test_cli import REGRESSION, project_file
from tests.dashboard.test_cli_mistakes import PROJECTS

Found = list[dict[str, str]]


def checked(capsys: pytest.CaptureFixture[str], file: Path | str) -> tuple[int, Found]:
    """Exit code and findings of a project."""
    capsys.readouterr()
    code = main(["check", str(file), "--format", "json"])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    found = json.loads(said.out)
    assert found["would_build"] == (code == 0)
    assert all(re.search(r"[.?]$", finding["sentence"]) for finding in found["findings"])
    return code, found["findings"]


def sentences(found: Found, mark: str) -> list[str]:
    return [finding["sentence"] for finding in found if finding["mark"] == mark]


FLIPPING = """
class Flipping(list):
    def __getitem__(self, i):
        x, y = super().__getitem__(i)
        return (x.flip(0) if torch.rand(1) < 0.5 else x), y
given["train"] = Flipping(given["train"])
"""
CORRUPT = """
import io
from PIL import Image
class Pictures(list):
    def __getitem__(self, i):
        if i == 9:
            Image.open(io.BytesIO(b"no picture"))
        return super().__getitem__(i)
given["train"] = Pictures(given["train"])
"""
DROPPING = """
class Dropping(torch.nn.Linear):
    def forward(self, x):
        return torch.nn.functional.dropout(super().forward(x), 0.5)
given["model"] = Dropping(3, 2).double().eval()
"""
SADDLE = """
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double().eval()
for k, p in enumerate(model.parameters()):
    p.data = torch.linspace(-1, 1, p.numel(), dtype=torch.float64).reshape(p.shape) / (k + 1)
given |= dict(model=model, task=ClassificationTask(2))
"""
PROBLEMS = {
    "label": ("given['train'][3] = (inputs[3], 7)", [r"Row 3 of the train data has label 7; labels run from 0 to 1"]),
    "NaN": ("given['test'][2] = (inputs[2] * float('nan'), 0)", [r"Row 2 of the test data holds NaN .*; drop it"]),
    "NaN weight": ("given['model'].weight.data[0, 0] = float('nan')", [r"parameter 'weight' holds NaN"]),
    "train mode": ("given['model'].train()", [r"train mode, .*; call model\.eval\(\)"]),
    "augmentation": (FLIPPING, [r"\d+ of 16 train rows .* changed in between, .*; switch off random augmentation"]),
    "dropout": (DROPPING, [r"outputs for the same rows change by .* from one call to the next; take what is random"]),
    "frozen": (
        "given['model'].requires_grad_(False)",
        [r"No parameter of the model requires a gradient, .*; unfreeze"],
    ),
    "outputs": (
        "given |= dict(task=ClassificationTask(3), model=torch.nn.Linear(3, 1).double().eval())",
        [r"The task has 3 classes, but .* have shape \(\d+, 1\)"],
    ),
    "texts": (
        "given |= dict(train=[('a text', 0)] * 5, test=[('another', 1)] * 5)",
        [r"train inputs are texts and a model takes numbers; .*view=TextView"],
    ),
    "corrupt": (CORRUPT, [r"Row 9 cannot be read \(UnidentifiedImageError: .*\); mend it or leave it out"]),
    "none": ("given |= dict(train=[], test=[])", [r"The train set is empty", r"The test set is empty"]),
    "saddle": (SADDLE, [r"lowest eigenvalue is -.*; use damping of at least .*--damping X"]),
    "three": (
        "given['model'].train(); given['train'][3] = (inputs[3], 7); given['test_keys'] = ['one']",
        [r"1 test keys for 14 examples", r"train mode", r"Row 3 of the train data has label 7"],
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems_are_all_listed_and_say_how_to_mend_them(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, expected = PROBLEMS[name]
    file = project_file(tmp_path, change + "\n")
    code, found = checked(capsys, file)
    problems = sentences(found, "problem")
    assert code == 2
    assert len(problems) == len(expected), problems
    for pattern in expected:
        assert any(re.search(pattern, sentence) for sentence in problems), problems
    assert main(["build", str(file), "--out", str(tmp_path / "w")]) == 2  # and not our fault
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(set(PROJECTS) - {"raises", "is no Python", "leaves"}))
def test_whatever_stops_a_build_is_found(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, sentence = PROJECTS[name]
    code, found = checked(capsys, project_file(tmp_path, change + "\n"))
    assert code == 2
    assert any(re.search(sentence, problem) for problem in sentences(found, "problem"))


WARNINGS = {
    "weight decay": (
        "given['task'] = ClassificationTask(2, weight_decay=0.4)",
        r"gradient .* has norm 0\.\d+, .*fit weight_decay=0\.1, not 0\.4 as the task says",
    ),
    "no weight decay": ("given['task'] = ClassificationTask(2)", r"fit weight_decay=0\.1, not 0 as the task says"),
    "early": (
        "given['model'].weight.data[0] += torch.tensor([0.5, 0, 0])",
        r"has norm 0\.\d+, \d+ % of an average row's.* training stopped early",
    ),
    "untrained": ("given['model'].weight.data *= -1", r"loss is .*no better than guessing .*load the trained weights"),
    "rows of features": ("", r"'feature 0', 'feature 1' and so on; give view=TableView"),
    "absent class": (
        "given |= dict(task=ClassificationTask(3, 0.1), model=torch.nn.Linear(3, 3).double().eval())",
        r"No training row is of class 2",
    ),
    "keys": ("given['train_keys'] = ['a', 'b'] * 20", r"38 keys are there more than once, such as 'a'"),
    "empty texts": (
        "from influence_core import TextView\n"
        "given['view'] = TextView(['words', '', ' '] + ['more'] * 37, ['words'] * 14)",
        r"2 of 40 train texts are empty, the first of them row 1",
    ),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_what_may_mislead_is_a_warning(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, sentence = WARNINGS[name]
    code, found = checked(capsys, project_file(tmp_path, change + "\n"))
    assert code == 0
    assert any(re.search(sentence, warning) for warning in sentences(found, "warning")), found


def test_the_gradient_that_is_told_is_the_objectives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With weight decay 0.4 in place of 0.1, what is left of the gradient is 0.3 times the weights."""
    from dashboard.services.projects import load_project  # noqa: PLC0415  (beside its one use)

    file = project_file(tmp_path, "given['task'] = ClassificationTask(2, weight_decay=0.4)\n")
    _, found = checked(capsys, file)
    told = re.search(r"has norm (0\.\d+)", " ".join(sentences(found, "warning")))
    assert told is not None
    square = sum(float(p.detach().square().sum()) for p in load_project(str(file)).model.parameters())
    assert float(told[1]) == pytest.approx(0.3 * square**0.5, rel=0.01)


@pytest.mark.parametrize("change", ["", REGRESSION])
def test_a_good_project(change: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = project_file(tmp_path, change)
    assert main(["check", str(file)]) == 0
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == f"Next: `influence build {file} --out my-workspace`"
    assert "a line of the user's own" in said.err
    assert "a line of the user's own" not in said.out
    assert "the model is at its optimum" in said.out
    assert "100 % of parameters are attributed" in said.out
    assert "auto takes exact, in closed form" in said.out
    assert "A build would work; 1 warning." in said.out


WIDE = """
wide = torch.nn.Linear(3, 3000).double().eval()
given |= dict(model=wide, task=ClassificationTask(3000, weight_decay=0.1))
"""
EMBEDDED = """
class Deep(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk, self.head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)
    def forward(self, x):
        return self.head(torch.tanh(self.trunk(x)))
torch.manual_seed(0)
given |= dict(model=Deep().double().eval(), attributed=("head.*",))
"""


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        (
            WIDE,
            ["12,000 attributed parameters: more than the 10,000 of exact, so that auto takes cg", "not checked"],
        ),
        (EMBEDDED, [r"38 % of parameters are attributed \(10 of 26\); what training rows", "24 refits of the layer"]),
    ],
)
def test_what_a_build_would_do_is_told(
    change: str, facts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = checked(capsys, project_file(tmp_path, change))
    assert code == 0
    for fact in facts:
        assert any(re.search(fact, sentence) for sentence in sentences(found, "ok")), found


def test_a_demo_is_at_its_optimum(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = checked(capsys, "breast-cancer")
    assert code == 0
    assert not sentences(found, "warning")


def test_a_file_that_holds_no_project_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = project_file(tmp_path, "raise ValueError('no data today')\n")
    assert main(["check", str(file)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "raised ValueError: no data today." in said.err.splitlines()[-1]
