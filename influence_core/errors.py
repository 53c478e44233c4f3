"""What can go wrong, in the user's words.

Every message is one sentence that says what is wrong, how much, and what to do::

    InfluenceError
    ├── ProjectError          the model, its data and its task do not fit together
    ├── TargetError           the question cannot be asked of this prediction
    ├── MethodError           the method cannot serve this model
    │   └── CurvatureError    the curvature cannot be inverted under this damping
    ├── UnknownNameError      no demo, run, class or example of that name
    ├── NotSolvedError        this prediction has not been solved yet
    └── WorkspaceError        the folder on disk
        ├── MissingWorkspaceError
        ├── DamagedWorkspaceError
        ├── NewerWorkspaceError
        ├── UnfinishedWorkspaceError
        └── UnwritableWorkspaceError    read-only, or the disk is full
"""


class InfluenceError(Exception):
    """A mistake or a limit that the user can do something about."""


class ProjectError(InfluenceError):
    """The model, its data and its task do not fit together."""


class TargetError(InfluenceError):
    """The question cannot be asked of this prediction."""


class MethodError(InfluenceError):
    """The method cannot serve this model."""


class CurvatureError(MethodError):
    """The curvature cannot be inverted under this damping."""


class UnknownNameError(InfluenceError):
    """No demo, run, class or example has that name."""


class NotSolvedError(InfluenceError):
    """This prediction has not been solved yet."""


class WorkspaceError(InfluenceError):
    """A workspace folder cannot be used as it is."""


class MissingWorkspaceError(WorkspaceError):
    """There is no workspace at that path."""


class DamagedWorkspaceError(WorkspaceError):
    """A file of the workspace is truncated or was altered."""


class NewerWorkspaceError(WorkspaceError):
    """The workspace was written by a newer version of this program."""


class UnfinishedWorkspaceError(WorkspaceError):
    """The build was stopped before its first run was complete."""


class UnwritableWorkspaceError(WorkspaceError):
    """The folder is read-only or the disk is full."""
