"""The method that serves a model: exact for small ones, conjugate gradients preconditioned by EK-FAC beyond."""

from __future__ import annotations

from influence_core.methods.conjugate_gradients import ConjugateGradients
from influence_core.methods.exact import LARGEST, Exact
from influence_core.parameters import ParameterVector
from influence_core.project import Project


def auto(project: Project) -> Exact | ConjugateGradients:
    """Choose by the number of attributed parameters.

    Raises:
        ProjectError: If no parameter can be attributed.
    """
    size = ParameterVector.of(project.model, project.attributed).size
    return Exact() if size <= LARGEST else ConjugateGradients()
