"""What a stored run says of itself: its method, its settings, how far it got, and how to read its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from influence_core.evaluation.agreement import Check
from influence_core.methods import BASELINES, METHODS
from influence_core.readings import Reading
from influence_core.report import FitReport
from influence_core.scores import unit
from influence_core.solvers.damping import AUTO
from influence_core.store.files import check_sum
from influence_core.store.manifest import Manifest, ReportRecord, RunRecord, read_record
from influence_core.target import Target


@dataclass(frozen=True)
class RunFacts:
    """The facts of a complete run, read from its folder on first use.

    Attributes:
        folder: Of the run.
        manifest: Of its project.
    """

    folder: Path
    manifest: Manifest

    @property
    def id(self) -> str:
        """Hash of the method, its hyperparameters, its measurement and the project."""
        return self.folder.name

    @cached_property
    def record(self) -> RunRecord:
        """Method, hyperparameters and measurement."""
        check_sum(self.folder / "run.json")
        return read_record(self.folder / "run.json", RunRecord)

    @cached_property
    def _report(self) -> ReportRecord:
        return read_record(self.folder / "report.json", ReportRecord)

    @property
    def report(self) -> FitReport:
        """How the method was fitted and how far it got."""
        return self._report.fit

    @property
    def check(self) -> Check | None:
        """How the scores compare with refits; None if that was not checked."""
        return self._report.check

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.record.method

    @property
    def title(self) -> str:
        """The method in words."""
        kind = METHODS.get(self.method)  # a newer program may have made the run
        return self.method if kind is None else kind.title

    @property
    def is_direct(self) -> bool:
        """Whether any target and any damping is answered by one solve, here and now."""
        kind = METHODS.get(self.method)
        return kind is not None and kind.is_direct

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Of the method."""
        return dict(self.record.hyperparameters)

    @property
    def damping(self) -> float:
        """Of the stored scores: what the user gave, or the method chose; 0 where ``damping_rule`` is a filter."""
        given = self.record.hyperparameters.get("damping", 0.0)
        return float(given if given != AUTO else self.report.damping_used or 0.0)

    @property
    def damping_rule(self) -> str:
        """How the damping was chosen, or what is done in its place, in words; empty if the user gave it."""
        return self.report.damping_rule

    @property
    def curvature(self) -> str:
        """Which curvature was inverted."""
        return str(self.record.hyperparameters.get("curvature", "none"))

    @property
    def reading(self) -> Reading | None:
        """How to read the scores of a baseline; None where they are predicted effects."""
        kind = BASELINES.get(self.method)
        return None if kind is None else kind.reading

    @property
    def target(self) -> Target:
        """The stored measurement."""
        return self.record.target

    @property
    def n_train(self) -> int:
        """Number of training examples."""
        return self.manifest.n_train

    @property
    def is_linear_head(self) -> bool:
        """Whether refits are quick and convex."""
        return self.manifest.is_linear_head

    @property
    def is_filtered(self) -> bool:
        """Whether the curvature's eigenvalues were filtered, so that damping 0 is another question."""
        return bool(self.damping_rule) and self.damping == 0

    @property
    def is_for_any_target(self) -> bool:
        """Whether its scores are the same whatever is measured, as those of some baselines are."""
        return self.reading is not None and self.reading.for_any_target

    def unit(self, target: Target | None = None) -> str:
        """The unit of the scores, in words; of the stored measurement if no target is given."""
        measured = unit(target or self.target, self.manifest.kind, self.manifest.label_unit)
        return measured if self.reading is None else self.reading.unit_of(measured)
