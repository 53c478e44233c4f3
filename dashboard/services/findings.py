"""What a look at a project found: sentences with a mark, for a terminal and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeVar

from rich.console import Group
from rich.table import Table
from rich.text import Text

from dashboard.services.wording import count
from influence_core.errors import InfluenceError

T = TypeVar("T")
Mark = Literal["ok", "warning", "problem"]
ICONS: dict[Mark, tuple[str, str]] = {"ok": ("✔", "green"), "warning": ("!", "yellow"), "problem": ("✖", "red")}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        mark: ``problem`` if a build would fail, ``warning`` if its scores may mislead, else ``ok``.
        about: In a word or two.
        sentence: What was found; of a problem also how to mend it.
    """

    mark: Mark
    about: str
    sentence: str


def attempt(about: str, make: Callable[[], T]) -> T | Finding:
    """What ``make`` returns, or the problem that it ran into."""
    try:
        return make()
    except InfluenceError as error:
        return Finding("problem", about, str(error))


@dataclass(frozen=True)
class Checked:
    """All findings of a project, in the order in which they were looked at.

    Attributes:
        name: Of the project.
        findings: In order.
    """

    name: str
    findings: Sequence[Finding]

    @property
    def would_build(self) -> bool:
        """Whether no problem was found."""
        return not self.marked("problem")

    @property
    def verdict(self) -> str:
        """One sentence."""
        problems, warnings = len(self.marked("problem")), len(self.marked("warning"))
        notes = f"{count(warnings, 'warning', 'warnings')}"
        if problems:
            return f"{count(problems, 'problem', 'problems')} to mend before a build, {notes}."
        return f"A build would work; {notes}."

    def marked(self, mark: Mark) -> list[Finding]:
        """Those of one mark."""
        return [finding for finding in self.findings if finding.mark == mark]

    def as_json(self) -> str:
        """For another program."""
        kept = {"name": self.name, "would_build": self.would_build, "findings": [asdict(f) for f in self.findings]}
        return json.dumps(kept, indent=2, ensure_ascii=False)

    def as_table(self) -> Group:
        """For a terminal."""
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column()
        for finding in self.findings:
            icon, colour = ICONS[finding.mark]
            table.add_row(Text(icon, colour), Text(finding.about), Text(f"{_named(finding.mark)}{finding.sentence}"))
        return Group(table, Text(), Text(self.verdict))


def _named(mark: Mark) -> str:
    """A mark is a word too: colours and signs do not reach everyone."""
    return "" if mark == "ok" else f"{mark.capitalize()}: "
