"""Project files to start from: one a source of models and a kind of examples.

Nothing here imports torch, so that ``influence init`` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from influence_core.errors import ProjectError, UnwritableWorkspaceError

FOLDER = Path(__file__).parents[1] / "templates"
MODALITIES = {
    "torch": ("image", "text", "table"),
    "huggingface": ("text", "image"),
    "sklearn": ("table", "text", "image"),
}
"""The kinds of examples that a source has a template for, the usual one first."""
SOURCES = {"torch": "PyTorch", "huggingface": "Hugging Face", "sklearn": "scikit-learn"}
IMPORTED = ("datasets", "influence_core", "numpy", "pandas", "peft", "sklearn", "torch", "transformers")


@dataclass(frozen=True)
class Template:
    """A project file that runs as it stands.

    Attributes:
        source: ``torch``, ``huggingface`` or ``sklearn``.
        modality: ``image``, ``text`` or ``table``.
    """

    source: str
    modality: str

    @classmethod
    def choose(cls, source: str, modality: str | None) -> Template:
        """The template of a source; without a modality that of the usual one.

        Raises:
            ProjectError: If there is none.
        """
        offered = MODALITIES[source]
        if modality is not None and modality not in offered:
            others = " or ".join(f"--from {name}" for name in MODALITIES if modality in MODALITIES[name])
            msg = (
                f"There is no template of a {modality} project from {SOURCES[source]}; use {others}, or --modality "
                f"{' or '.join(offered)}."
            )
            raise ProjectError(msg)
        return cls(source, modality or offered[0])

    @property
    def words(self) -> str:
        """What it holds."""
        shown = {"image": "images", "text": "texts", "table": "table rows"}[self.modality]
        return f"{shown} and a {SOURCES[self.source]} model"

    @property
    def path(self) -> Path:
        """Of the template."""
        return FOLDER / f"{self.source}_{self.modality}.py"

    def write(self, file: Path) -> None:
        """Copy it to a new file; one that is there is never written over.

        Raises:
            ProjectError: If the name cannot be a project file's.
            UnwritableWorkspaceError: If the file exists, or its folder does not.
        """
        if file.suffix != ".py":
            msg = f"{file} does not end in .py; a project file is a Python file, such as my_project.py."
            raise ProjectError(msg)
        if file.stem in IMPORTED:
            msg = f"A file called {file.name} would hide the library of that name; choose another name."
            raise ProjectError(msg)
        text = self.path.read_text(encoding="utf-8")
        try:
            with file.open("x", encoding="utf-8") as new:
                new.write(text)
        except FileExistsError as error:
            msg = f"{file} exists and is left as it is; choose another name, or move it away first."
            raise UnwritableWorkspaceError(msg) from error
        except (FileNotFoundError, NotADirectoryError) as error:
            msg = f"There is no folder {file.parent}; make it first, or choose another place."
            raise UnwritableWorkspaceError(msg) from error
