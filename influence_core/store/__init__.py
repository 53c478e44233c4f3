"""What lasts on disk: build a workspace, open it again without the user's code."""

from influence_core.store.builder import build
from influence_core.store.examples import Example, ExampleTable
from influence_core.store.manifest import Manifest
from influence_core.store.on_demand import OnDemand
from influence_core.store.progress import Progress
from influence_core.store.run import Run
from influence_core.store.workspace import Workspace

__all__ = ["Example", "ExampleTable", "Manifest", "OnDemand", "Progress", "Run", "Workspace", "build"]
