"""The only home of caching, and the pages' way to the services.

Keys are a folder's path and stamp (which changes with its content) and ids: large arrays are never hashed. Every
cache is bounded, and what visitors share is only read. One lock keeps two visitors from solving at the same time.
"""

from __future__ import annotations

from dashboard.cache.building import (
    BUILDS,
    build_run,
    build_state,
    cancel_build,
    dismiss_build,
    obstacle_to_builds,
)
from dashboard.cache.examples import columns, filters_said, frame, listed, metadata, picture, trained_on, workspace
from dashboard.cache.model import classes, confusion, figures, first_test, harmful, surprising
from dashboard.cache.named_slices import (
    delete_slice,
    obstacle_to_slices,
    redefine_slice,
    rename_slice,
    restore_slice,
    save_slice,
    shows,
    slice_filters,
    slice_size,
    slices,
)
from dashboard.cache.scores import (
    SOLVING,
    cards,
    chosen_rank,
    command_for_another_run,
    command_for_closer_run,
    comparison,
    distribution,
    explanation,
    flags,
    is_first,
    rank_explained,
    ranks,
    reach,
    refined,
    run_names,
    trust,
)
from dashboard.cache.uploads import (
    TRAINING,
    cancel_training,
    dismiss_training,
    first_pictures,
    first_rows,
    obstacle_to_uploads,
    prepared,
    proposed,
    train,
    trained,
    training_state,
    upload,
    upload_advice,
    upload_classes,
    upload_plan,
    uploads_home,
)
from dashboard.cache.with_code import (
    JOBS,
    asked,
    can_solve,
    cancel_solve,
    code,
    marks,
    obstacle_to_refit,
    project,
    refit,
    solve,
    solve_state,
    solver,
)
from dashboard.services.cards import Card
from dashboard.services.compare import LARGEST, Comparison, drawn, first_rank
from dashboard.services.distribution import Distribution, cumulative, within
from dashboard.services.faults import Fault
from dashboard.services.faults import describe as describe_fault
from dashboard.services.influence import Explanation, sentence
from dashboard.services.jobs import Asked
from dashboard.services.jobs import State as Solve
from dashboard.services.labels import is_right, said
from dashboard.services.listing import PAGE, errors, neighbours, page_of
from dashboard.services.listing import table as list_table
from dashboard.services.metadata import Column, facts
from dashboard.services.metadata import names as column_names
from dashboard.services.opened import Example, Folder, NotSolvedError, Run, Workspace, given_project
from dashboard.services.opened import find as find_folder
from dashboard.services.opened import names as workspace_names
from dashboard.services.performance import MOST_CLASSES, confused_pairs
from dashboard.services.ranking import as_csv as ranking_csv
from dashboard.services.ranking import group_sentence
from dashboard.services.ranking import table as ranking_table
from dashboard.services.ranks import EFFECT, Rank
from dashboard.services.refining import COMMAND as OPEN_WITH_CODE
from dashboard.services.refining import FIRST, first_answer, spoken
from dashboard.services.refit import MOST as MOST_REMOVED
from dashboard.services.refit import RefitResult
from dashboard.services.run_builds import Entry, RunOrder, words_of
from dashboard.services.run_builds import made as built_run
from dashboard.services.run_builds import menu as method_menu
from dashboard.services.run_builds import order as run_order
from dashboard.services.runs import setting
from dashboard.services.slices import Slice, checked_name
from dashboard.services.start import Harm, has_verdicts
from dashboard.services.table_rows import SHOWN as COLUMNS_SHOWN
from dashboard.services.table_rows import Difference, differences
from dashboard.services.targets import choices, parse
from dashboard.services.texts import segments, words
from dashboard.services.training import Reach
from dashboard.services.trust import Trust
from dashboard.services.uploads.building import Order
from dashboard.services.uploads.limits import said_of_the_limits
from dashboard.services.uploads.preparing import Rows
from dashboard.services.uploads.proposal import Choices
from dashboard.services.uploads.reading import Upload
from dashboard.services.wording import count, number, percent, plain, signed, time_left

__all__ = [
    "BUILDS",
    "COLUMNS_SHOWN",
    "EFFECT",
    "FIRST",
    "JOBS",
    "LARGEST",
    "MOST_CLASSES",
    "MOST_REMOVED",
    "OPEN_WITH_CODE",
    "PAGE",
    "SOLVING",
    "TRAINING",
    "Asked",
    "Card",
    "Choices",
    "Column",
    "Comparison",
    "Difference",
    "Distribution",
    "Entry",
    "Example",
    "Explanation",
    "Fault",
    "Folder",
    "Harm",
    "NotSolvedError",
    "Order",
    "Rank",
    "Reach",
    "RefitResult",
    "Rows",
    "Run",
    "RunOrder",
    "Slice",
    "Solve",
    "Trust",
    "Upload",
    "Workspace",
    "asked",
    "build_run",
    "build_state",
    "built_run",
    "can_solve",
    "cancel_build",
    "cancel_solve",
    "cancel_training",
    "cards",
    "checked_name",
    "choices",
    "chosen_rank",
    "classes",
    "code",
    "column_names",
    "columns",
    "command_for_another_run",
    "command_for_closer_run",
    "comparison",
    "confused_pairs",
    "confusion",
    "count",
    "cumulative",
    "delete_slice",
    "describe_fault",
    "differences",
    "dismiss_build",
    "dismiss_training",
    "distribution",
    "drawn",
    "errors",
    "explanation",
    "facts",
    "figures",
    "filters_said",
    "find_folder",
    "first_answer",
    "first_pictures",
    "first_rank",
    "first_rows",
    "first_test",
    "flags",
    "frame",
    "given_project",
    "group_sentence",
    "harmful",
    "has_verdicts",
    "is_first",
    "is_right",
    "list_table",
    "listed",
    "marks",
    "metadata",
    "method_menu",
    "neighbours",
    "number",
    "obstacle_to_builds",
    "obstacle_to_refit",
    "obstacle_to_slices",
    "obstacle_to_uploads",
    "page_of",
    "parse",
    "percent",
    "picture",
    "plain",
    "prepared",
    "project",
    "proposed",
    "rank_explained",
    "ranking_csv",
    "ranking_table",
    "ranks",
    "reach",
    "redefine_slice",
    "refined",
    "refit",
    "rename_slice",
    "restore_slice",
    "run_names",
    "run_order",
    "said",
    "said_of_the_limits",
    "save_slice",
    "segments",
    "sentence",
    "setting",
    "shows",
    "signed",
    "slice_filters",
    "slice_size",
    "slices",
    "solve",
    "solve_state",
    "solver",
    "spoken",
    "surprising",
    "time_left",
    "train",
    "trained",
    "trained_on",
    "training_state",
    "trust",
    "upload",
    "upload_advice",
    "upload_classes",
    "upload_plan",
    "uploads_home",
    "within",
    "words",
    "words_of",
    "workspace",
    "workspace_names",
]
