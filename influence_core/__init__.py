"""The influence engine: which training examples made a prediction, and how far to trust the answer.

The public names are loaded when they are first used, so that ``import influence_core`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from influence_core.adapters.hugging_face import from_huggingface as from_huggingface
    from influence_core.adapters.scikit_learn import from_sklearn as from_sklearn
    from influence_core.combination import Combination as Combination
    from influence_core.combination import Term as Term
    from influence_core.errors import InfluenceError as InfluenceError
    from influence_core.methods import METHODS as METHODS
    from influence_core.methods import Exact as Exact
    from influence_core.methods import Newton as Newton
    from influence_core.methods import combined as combined
    from influence_core.methods.group_removal import remove_group as remove_group
    from influence_core.project import SGD as SGD
    from influence_core.project import Project as Project
    from influence_core.store import Workspace as Workspace
    from influence_core.store import build as build
    from influence_core.target import Target as Target
    from influence_core.task import ClassificationTask as ClassificationTask
    from influence_core.task import MultiLabelTask as MultiLabelTask
    from influence_core.task import RegressionTask as RegressionTask
    from influence_core.task import Task as Task
    from influence_core.views import ImageView as ImageView
    from influence_core.views import TableView as TableView
    from influence_core.views import TextView as TextView

_HOMES = {
    "ClassificationTask": "task",
    "Combination": "combination",
    "Exact": "methods",
    "ImageView": "views",
    "InfluenceError": "errors",
    "METHODS": "methods",
    "Newton": "methods",
    "MultiLabelTask": "task",
    "Project": "project",
    "RegressionTask": "task",
    "SGD": "project",
    "TableView": "views",
    "Target": "target",
    "Task": "task",
    "Term": "combination",
    "TextView": "views",
    "Workspace": "store",
    "build": "store",
    "combined": "methods",
    "remove_group": "methods.group_removal",
    "from_sklearn": "adapters.scikit_learn",
    "from_huggingface": "adapters.hugging_face",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605  (a list of the names above)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module 'influence_core' has no attribute '{name}'"
        raise AttributeError(msg)
    return getattr(import_module(f"influence_core.{_HOMES[name]}"), name)
