"""The small JSON files of a workspace and what they may say."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from influence_core.errors import DamagedWorkspaceError, NewerWorkspaceError
from influence_core.evaluation.agreement import Check
from influence_core.project import SGD
from influence_core.report import FitReport
from influence_core.store.files import write_text
from influence_core.target import Kind, Measure, Of, Target

FORMAT_VERSION = 1
DEMO = "demo:"  # begins the reference of a bundled demo
UPLOAD = "upload"  # the reference of a model that the dashboard trained on rows which the workspace itself keeps


class Record(BaseModel):
    """A frozen JSON record; unknown fields mean that something else wrote it."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Column(Record):
    """One column of a table project; mean and standard deviation over the training rows, numeric columns only."""

    name: str
    numeric: bool
    mean: float | None
    std: float | None


class Manifest(Record):
    """The project of a workspace, without its code."""

    format_version: int = FORMAT_VERSION
    name: str
    title: str
    description: str
    modality: Literal["image", "text", "table"]
    kind: Kind
    link: Literal["softmax", "one-vs-rest"] = "softmax"  # from logits to class probabilities
    label_unit: str
    class_names: list[str]  # of the one class an example has; empty for every other kind of task
    target_names: list[str] = []  # of the labels or values an example has several of
    n_train: int
    n_test: int
    parameters_attributed: int
    parameters_total: int
    columns: list[Column]
    weight_decay: float | None = None  # None too where groups of parameters have their own
    is_linear_head: bool
    can_refit: bool
    notes: list[str] = []
    fingerprint: str
    project_ref: str

    @property
    def names(self) -> list[str]:
        """What a target may name by number: classes, labels or values."""
        return self.class_names or self.target_names

    @property
    def demo(self) -> str:
        """Name of the bundled demo that it is; empty for a user's own project."""
        return self.project_ref.removeprefix(DEMO) if self.project_ref.startswith(DEMO) else ""

    @property
    def is_upload(self) -> bool:
        """Whether the dashboard trained the model, and can again, on rows that the workspace's folder keeps."""
        return self.project_ref == UPLOAD

    @property
    def called(self) -> str:
        """What a command calls the project: a demo's name, or a placeholder for the user's own file or folder."""
        return self.demo or "PROJECT"


class RunRecord(Record):
    """One method with its hyperparameters and its measurement."""

    method: str
    hyperparameters: dict[str, float | int | str | bool]
    measure: Measure
    of: Of
    order: list[int]
    libraries: dict[str, str]
    recipe: SGD | None = None  # of the training, where the damping goes by it

    @property
    def target(self) -> Target:
        """The measurement that is stored."""
        return Target(self.measure, self.of)


class ReportRecord(Record):
    """Written last: its presence makes a run complete."""

    fit: FitReport
    solved: int
    check: Check | None


R = TypeVar("R", bound=Record)


def write_record(path: Path, record: Record) -> None:
    """Write a record as JSON."""
    write_text(path, record.model_dump_json(indent=2) + "\n")


def read_record(path: Path, kind: type[R]) -> R:
    """Read a record.

    Raises:
        NewerWorkspaceError: If a newer version of this program wrote it.
        DamagedWorkspaceError: If it is not whole or not such a record.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path.name} in {path.parent} cannot be read; copy the workspace again, or build it again."
        raise DamagedWorkspaceError(msg) from error
    _check_version(path, text)
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        msg = f"{path.name} in {path.parent} is truncated or was altered; copy the workspace again, or build it again."
        raise DamagedWorkspaceError(msg) from error


class _Version(BaseModel):
    format_version: int = FORMAT_VERSION


def _check_version(path: Path, text: str) -> None:
    try:
        version = _Version.model_validate_json(text).format_version
    except ValidationError:
        return  # not JSON at all: the caller names it
    if version > FORMAT_VERSION:
        msg = (
            f"{path.parent} was written in format {version} and this program reads up to {FORMAT_VERSION}; "
            "upgrade influence-dashboard."
        )
        raise NewerWorkspaceError(msg)
