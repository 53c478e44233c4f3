"""The numbers of the trust strip: which are there for each method, and that each is explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.services import influence
from dashboard.services.trust import trust
from influence_core.methods import (
    Arnoldi,
    ConjugateGradients,
    Ekfac,
    Exact,
    GradDot,
    Lissa,
    Logra,
    Newton,
    TrainingLoss,
)
from influence_core.store import Workspace, build
from tests.influence_core import samples

KINDS = {
    "exact": (Exact(damping=0.5), {"Method", "Damping", "Residual", "Covered"}),
    "gauss-newton": (
        Exact(damping=0.5, curvature="gauss-newton"),
        {"Method", "Damping", "Residual", "Curvature", "Covered"},
    ),
    "newton": (Newton(), {"Method", "Damping", "Residual", "Curvature", "Covered"}),
    "cg": (ConjugateGradients(damping=0.5), {"Method", "Damping", "Residual", "Curvature", "Covered"}),
    "lissa": (Lissa(damping=0.5), {"Method", "Damping", "Residual", "Curvature", "Covered"}),
    "ekfac": (Ekfac(), {"Method", "Damping", "Residual", "Curvature", "Covered"}),
    "arnoldi": (
        Arnoldi(kept=5, krylov=20),
        {"Method", "Damping", "Residual", "Curvature", "Covered", "Kept", "Outside"},
    ),
    "logra": (Logra(rank=2), {"Method", "Damping", "Residual", "Curvature", "Covered", "Kept", "Outside"}),
    "grad-dot": (GradDot(), {"Method", "Covered"}),
    "loss": (TrainingLoss(), {"Method"}),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_number_of_a_method_is_explained(name: str, tmp_path: Path) -> None:
    method, expected = KINDS[name]
    run = build(samples.sample("mlp"), tmp_path / "w", method, test_limit=2).run()
    strip = trust(run, influence.explain(run, int(run.record.order[0]), run.target))
    lines = strip.meanings.splitlines()
    assert {line.partition(":")[0].removeprefix("- **") for line in lines} == expected
    assert len(lines) == len(strip.facts), strip.facts
    assert not any("none curvature" in fact or "missing" in fact for fact in strip.facts)


def test_a_checked_run_names_correlation_and_slope(digits: Workspace) -> None:
    said = trust(digits.run()).meanings
    assert "**Pearson:**" in said
    assert "**Slope:**" in said
