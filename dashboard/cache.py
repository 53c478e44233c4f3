"""The only home of caching, and the pages' way to the services.

Keys are a folder's path and stamp (which changes with its content) and ids: large arrays are never hashed. Every
cache is bounded, and what visitors share is only read. One lock keeps two visitors from solving at the same time.
"""

from __future__ import annotations

import atexit
import os
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.services import cards as card_service
from dashboard.services import (
    catalogue,
    influence,
    listing,
    performance,
    pictures,
    projects,
    runs,
    solving,
    start,
    training,
)
from dashboard.services import compare as compare_service
from dashboard.services import distribution as distribution_service
from dashboard.services import metadata as metadata_service
from dashboard.services import refit as refit_service
from dashboard.services import slices as slice_service
from dashboard.services import trust as trust_service
from dashboard.services.cards import Card
from dashboard.services.compare import LARGEST, Comparison, drawn, first_rank
from dashboard.services.distribution import Distribution, cumulative, within
from dashboard.services.faults import Fault
from dashboard.services.faults import describe as describe_fault
from dashboard.services.filters import Condition, Filters, in_words
from dashboard.services.influence import Explanation, sentence
from dashboard.services.jobs import Asked, Jobs
from dashboard.services.jobs import State as Solve
from dashboard.services.labels import is_right, said
from dashboard.services.listing import PAGE, errors, neighbours, page_of
from dashboard.services.listing import table as list_table
from dashboard.services.metadata import Column, facts
from dashboard.services.metadata import names as column_names
from dashboard.services.opened import Example, Folder, NotSolvedError, Project, Run, Workspace, given_project
from dashboard.services.opened import find as find_folder
from dashboard.services.opened import names as workspace_names
from dashboard.services.performance import MOST_CLASSES, confused_pairs
from dashboard.services.ranking import as_csv as ranking_csv
from dashboard.services.ranking import group_sentence
from dashboard.services.ranking import table as ranking_table
from dashboard.services.refit import MOST as MOST_REMOVED
from dashboard.services.refit import RefitResult
from dashboard.services.runs import setting
from dashboard.services.slices import Slice, checked_name
from dashboard.services.start import Harm, has_verdicts
from dashboard.services.table_rows import SHOWN as COLUMNS_SHOWN
from dashboard.services.table_rows import Difference, differences
from dashboard.services.targets import choices, parse
from dashboard.services.texts import segments, words
from dashboard.services.training import Reach
from dashboard.services.trust import Trust
from dashboard.services.turns import Turns
from dashboard.services.uploads import building, preparing, proposal, reading, showing
from dashboard.services.uploads.building import Order
from dashboard.services.uploads.limits import said_of_the_limits
from dashboard.services.uploads.preparing import Rows
from dashboard.services.uploads.proposal import Choices
from dashboard.services.uploads.reading import Upload
from dashboard.services.wording import count, number, percent, plain, signed, time_left

__all__ = [
    "COLUMNS_SHOWN",
    "LARGEST",
    "MOST_CLASSES",
    "MOST_REMOVED",
    "PAGE",
    "Asked",
    "Card",
    "Choices",
    "Column",
    "Comparison",
    "Difference",
    "Distribution",
    "Example",
    "Explanation",
    "Fault",
    "Folder",
    "Harm",
    "NotSolvedError",
    "Order",
    "Reach",
    "RefitResult",
    "Rows",
    "Run",
    "Slice",
    "Solve",
    "Trust",
    "Upload",
    "Workspace",
    "checked_name",
    "choices",
    "column_names",
    "confused_pairs",
    "count",
    "cumulative",
    "describe_fault",
    "differences",
    "drawn",
    "errors",
    "facts",
    "find_folder",
    "first_rank",
    "given_project",
    "group_sentence",
    "has_verdicts",
    "is_right",
    "list_table",
    "neighbours",
    "number",
    "page_of",
    "parse",
    "percent",
    "plain",
    "ranking_csv",
    "ranking_table",
    "said",
    "said_of_the_limits",
    "segments",
    "sentence",
    "setting",
    "signed",
    "time_left",
    "within",
    "words",
    "workspace_names",
]

SOLVING = Turns()
JOBS: Jobs[Asked] = Jobs()
TRAINING: Jobs[Order] = Jobs()
for _jobs in (JOBS, TRAINING):
    atexit.register(_jobs.close)


@st.cache_resource(max_entries=4, show_spinner="Opening the workspace …")
def workspace(folder: Folder) -> Workspace:
    """An opened workspace; memory-mapped, so that it costs little to keep."""
    return Workspace(folder.path)


@st.cache_resource(max_entries=8, show_spinner=False)
def frame(folder: Folder, split: str) -> pd.DataFrame:
    """The cheap columns of all training or all test examples."""
    opened = workspace(folder)
    return (opened.train if split == "train" else opened.test).frame()


@st.cache_resource(max_entries=8, show_spinner=False)
def metadata(folder: Folder, split: str) -> pd.DataFrame:
    """The user's own columns of all training or all test examples."""
    opened = workspace(folder)
    return (opened.train if split == "train" else opened.test).metadata()


@st.cache_resource(max_entries=8, show_spinner=False)
def columns(folder: Folder, split: str) -> list[Column]:
    """What each of the user's own columns holds."""
    return metadata_service.describe(metadata(folder, split))


@st.cache_resource(max_entries=16, show_spinner=False)
def listed(folder: Folder, **filters: Any) -> list[int]:
    """Test ids that pass the filters, in order."""
    opened, chosen = workspace(folder), Filters(**filters)
    found = opened.test.search(chosen.search.strip()) if chosen.search.strip() else None
    known = metadata(folder, "test") if chosen.where else None
    return listing.matching(frame(folder, "test"), opened.manifest.kind, chosen, found, known)


@st.cache_data(max_entries=16, show_spinner=False)
def trained_on(folder: Folder, where: list[dict[str, Any]]) -> np.ndarray:
    """Which training examples pass conditions on their metadata."""
    return listing.where(metadata(folder, "train"), [Condition(**one) for one in where])


def filters_said(folder: Folder, **filters: Any) -> str:
    """Filters in words; empty if nothing is asked."""
    return in_words(Filters(**filters), workspace(folder).manifest.class_names)


@st.cache_resource(max_entries=4, show_spinner=False)
def explanation(folder: Folder, run_id: str, test_id: int, target: str) -> Explanation:
    """The scores of one prediction."""
    opened = workspace(folder)
    run, wanted = opened.run(run_id), parse(target, opened.manifest.kind, len(opened.manifest.names))
    with SOLVING if influence.is_computed(run, wanted) else nullcontext():
        return influence.explain(opened, run, test_id, wanted)


def trust(folder: Folder, run_id: str, shown: Explanation | None = None) -> Trust:
    """How far to trust a run, or one prediction of it."""
    return trust_service.trust(workspace(folder).run(run_id), shown)


@st.cache_data(max_entries=4, show_spinner=False)
def flags(folder: Folder, run_id: str) -> dict[int, str]:
    """What is unusual about some training examples, in words."""
    values = workspace(folder).run(run_id).self_influence()
    return {} if values is None else card_service.flags_of(values)


@st.cache_data(max_entries=16, show_spinner=False)
def cards(folder: Folder, run_id: str, asked: tuple[int, str], side: str, shown: tuple[int, int]) -> list[Card]:
    """Example cards of one side of a prediction; ``asked`` is test id and target, ``shown`` a range of ranks."""
    found = explanation(folder, run_id, *asked)
    ids = found.ranked[side][slice(*shown)].tolist()
    return card_service.score_cards(workspace(folder), found, side, ids, flags(folder, run_id))


@st.cache_data(max_entries=64, show_spinner=False)
def picture(folder: Folder, split: str, example_id: int, side: int) -> bytes | None:
    """The picture of an example as PNG; None if it has none."""
    opened = workspace(folder)
    image = (opened.train if split == "train" else opened.test)[example_id].image
    return pictures.fitted(image, side) if image else None


@st.cache_resource(max_entries=4, show_spinner=False)
def distribution(folder: Folder, run_id: str, test_id: int, target: str) -> Distribution:
    """The distribution of the scores over the training set."""
    opened = workspace(folder)
    example = opened.test[test_id]
    names = opened.manifest.class_names
    first = [int(example.label), int(example.prediction)] if names else []
    labels = frame(folder, "train")["label"].to_numpy()
    return distribution_service.distribution(explanation(folder, run_id, test_id, target), labels, names, first)


@st.cache_resource(max_entries=4, show_spinner=False)
def comparison(folder: Folder, run_ids: tuple[str, str], test_id: int, target: str) -> Comparison:
    """What two runs say about one prediction."""
    here, there = (explanation(folder, run_id, test_id, target) for run_id in run_ids)
    return compare_service.compare(here, there)


def run_names(folder: Folder) -> dict[str, str]:
    """Run id -> what tells it apart from the workspace's other runs; the newest first."""
    return runs.names(workspace(folder))


def command_for_another_run(folder: Folder, run_id: str) -> str:
    """What to type to have a second run to compare with."""
    opened = workspace(folder)
    return runs.another(opened, opened.run(run_id))


def command_for_closer_run(folder: Folder, run_id: str) -> str:
    """What to type where a run does not reach an answer."""
    opened = workspace(folder)
    return runs.closer(opened, opened.run(run_id))


@st.cache_data(max_entries=4, show_spinner=False)
def figures(folder: Folder) -> list[performance.Figure]:
    """The headline numbers of the test set."""
    manifest = workspace(folder).manifest
    return performance.figures(frame(folder, "test"), manifest.kind, manifest.label_unit)


@st.cache_data(max_entries=4, show_spinner=False)
def classes(folder: Folder) -> pd.DataFrame:
    """Recall and counts of every class."""
    names = workspace(folder).manifest.class_names
    return performance.classes(frame(folder, "test"), frame(folder, "train"), names)


@st.cache_data(max_entries=4, show_spinner=False)
def confusion(folder: Folder) -> np.ndarray:
    """Counts, true label by predicted class."""
    return performance.confusion(frame(folder, "test"), len(workspace(folder).manifest.class_names))


@st.cache_data(max_entries=4, show_spinner=False)
def surprising(folder: Folder, run_id: str) -> list[Card]:
    """The most surprising wrong predictions."""
    opened = workspace(folder)
    return start.surprising(opened, opened.run(run_id), frame(folder, "test"))


@st.cache_data(max_entries=4, show_spinner="Adding up the harm to the wrong predictions …")
def harmful(folder: Folder, run_id: str) -> Harm:
    """Training examples that harm the wrong predictions most."""
    opened = workspace(folder)
    return start.harmful(opened, opened.run(run_id), frame(folder, "test"))


def first_test(folder: Folder, run_id: str) -> int | None:
    """The prediction that a visitor sees first."""
    opened = workspace(folder)
    return start.first_test(opened.run(run_id), frame(folder, "test"), opened.manifest.kind)


@st.cache_data(max_entries=16, show_spinner=False)
def reach(folder: Folder, run_id: str, train_id: int) -> Reach:
    """Which predictions a training example moves."""
    opened = workspace(folder)
    return training.reach(opened, opened.run(run_id), train_id)


@st.cache_resource(max_entries=1, show_spinner=False)
def code(folder: Folder, given: str) -> Project | None:
    """The code behind a workspace: what the user gave, or a bundled demo; None if there is neither."""
    return projects.of_workspace(workspace(folder), given)


@st.cache_resource(max_entries=1, show_spinner="Loading the project …")
def project(folder: Folder, given: str) -> Project | None:
    """The code, with a word on the page while it loads."""
    return code(folder, given)


def obstacle_to_refit(folder: Folder, run_id: str) -> str:
    """Why a refit is not on offer, and what turns it on; empty if it is."""
    opened = workspace(folder)
    run = opened.run(run_id)
    found = project(folder, given_project()) if run.is_linear_head else None  # not loaded to be told no
    return refit_service.obstacle(opened, run, found)


@st.cache_data(max_entries=16, show_spinner="Refitting without the ticked examples …")
def refit(folder: Folder, run_id: str, asked: tuple[int, str], removed: tuple[int, ...]) -> RefitResult:
    """The change that was predicted beside the change after refitting; ``asked`` is test id and target."""
    found, code = explanation(folder, run_id, *asked), project(folder, given_project())
    with SOLVING:
        return refit_service.refit(workspace(folder), code, found, removed)


# --- solving on demand ------------------------------------------------------------------------------------------------


@st.cache_resource(max_entries=2, show_spinner=False)
def solver(folder: Folder, run_id: str, given: str) -> solving.Solver:
    """What solves predictions of a run that are not stored; made on the worker's thread, as it takes seconds."""
    opened = workspace(folder)
    return solving.solver(opened.manifest, opened.run(run_id), lambda: code(folder, given), SOLVING)


def can_solve(folder: Folder) -> bool:
    """Whether there may be code to solve with; whether it is the right one is known once it is loaded."""
    return solving.is_promised(workspace(folder).manifest, given_project())


def asked(folder: Folder, run_id: str, test_id: int, target: str) -> Asked:
    """What a page asks to be solved."""
    opened = workspace(folder)
    wanted = parse(target, opened.manifest.kind, len(opened.manifest.names))
    return solving.asked(folder.path, opened.run(run_id), test_id, wanted)


def solve(folder: Folder, wanted: Asked, session: str) -> None:
    """Begin to solve a prediction, unless that is under way."""
    given = given_project()
    work = solving.work(lambda: solver(folder, wanted.run_id, given), wanted, SOLVING)
    JOBS.start(wanted, work, session)


def solve_state(wanted: Asked, session: str) -> Solve | None:
    """How far a solve is; None if this session did not ask for it."""
    return JOBS.state(wanted, session)


def cancel_solve(wanted: Asked, session: str) -> None:
    """Stop a solve."""
    JOBS.cancel(wanted, session)


def marks(folder: Folder, run_id: str, test_ids: list[int]) -> list[str]:
    """Whether each prediction of the list is solved, in words; empty if all are."""
    opened = workspace(folder)
    return solving.marks(opened.run(run_id), test_ids, can_solve=can_solve(folder))


# --- slices -----------------------------------------------------------------------------------------------------------


def slices(folder: Folder) -> list[Slice]:
    """All slices by name; looked up anew each time, as another browser may have saved one."""
    return slice_service.listed(workspace(folder), columns(folder, "test"))


@st.cache_data(max_entries=512, show_spinner=False)
def _size(folder: Folder, filters: str) -> int:
    return len(listed(folder, **Filters.model_validate_json(filters).model_dump()))


def slice_size(folder: Folder, one: Slice) -> int | None:
    """How many predictions a slice holds; None if it does not fit the workspace."""
    return None if one.filters is None else _size(folder, one.filters.model_dump_json())


def slice_filters(folder: Folder, name: str) -> dict[str, Any]:
    """The filters of a slice."""
    found = slice_service.named(slices(folder), name).filters
    return found.model_dump() if found else {}


def shows(one: Slice, filters: dict[str, Any]) -> bool:
    """Whether filters are those of a slice, in whatever order the list is."""
    return one.filters == Filters(**{**filters, "sort": Filters().sort})


def obstacle_to_slices(folder: Folder) -> str:
    """Why no slice can be saved, in a sentence; empty if one can."""
    return slice_service.table(workspace(folder)).records.obstacle


def save_slice(folder: Folder, name: str, filters: dict[str, Any]) -> None:
    """Keep filters under a name."""
    opened = workspace(folder)
    slice_service.table(opened).add(name, slice_service.definition(Filters(**filters), opened.manifest))


def redefine_slice(folder: Folder, old: Slice, filters: dict[str, Any]) -> None:
    """Keep other filters under the name of a slice."""
    opened = workspace(folder)
    slice_service.table(opened).redefine(old.saved, slice_service.definition(Filters(**filters), opened.manifest))


def rename_slice(folder: Folder, old: Slice, name: str) -> None:
    """Call a slice otherwise."""
    slice_service.table(workspace(folder)).rename(old.saved, name)


def delete_slice(folder: Folder, old: Slice) -> None:
    """Remove a slice."""
    slice_service.table(workspace(folder)).delete(old.saved)


def restore_slice(folder: Folder, name: str, definition: str) -> None:
    """Put back a slice that was deleted."""
    slice_service.table(workspace(folder)).add(name, definition)


# --- uploads ----------------------------------------------------------------------------------------------------------


def obstacle_to_uploads(host: str | None) -> str:
    """Why nothing can be uploaded, in a sentence; empty if it can."""
    return showing.obstacle(host, os.environ)


def uploads_home() -> str:
    """The folder in which uploads are kept."""
    return str(building.home())


@st.cache_resource(max_entries=2, show_spinner="Reading the file …")
def upload(file_id: str, name: str, _data: Any) -> Upload:  # noqa: ARG001  (the key: another one for each upload)
    """A file that was uploaded, under the id that Streamlit gave it."""
    return reading.read(name, _data.getvalue())


_BY_DIGEST: dict[str | type[Any], Any] = {Upload: lambda given: (given.digest, given.file)}


@st.cache_resource(max_entries=2, show_spinner=False, hash_funcs=_BY_DIGEST)
def proposed(given: Upload) -> tuple[Choices, showing.Options]:
    """The choices that the page begins with, and what else can be chosen."""
    return proposal.propose(given), showing.options(given)


@st.cache_resource(max_entries=4, show_spinner="Looking at the rows …", hash_funcs=_BY_DIGEST)
def prepared(given: Upload, choices: str) -> Rows:
    """What would be trained on; ``choices`` as JSON."""
    return preparing.prepare(given, Choices.model_validate_json(choices))


@st.cache_data(max_entries=2, show_spinner=False, hash_funcs=_BY_DIGEST)
def first_pictures(given: Upload) -> list[tuple[str, bytes]]:
    """A picture of each of the first classes."""
    return showing.first_pictures(given)


def first_rows(given: Upload) -> pd.DataFrame:
    """The beginning of a table."""
    return showing.first_rows(given)


def upload_classes(rows: Rows) -> pd.DataFrame:
    """How many rows of each class train and test."""
    return showing.classes(rows)


def upload_plan(given: Upload, choices: Choices, rows: Rows) -> str:
    """What training would do, in words."""
    return showing.plan(given, choices, rows)


def upload_advice(given: Upload) -> str:
    """What would make the model better."""
    return showing.advice(given)


def train(given: Upload, order: Order, session: str) -> None:
    """Begin to train, unless that is under way."""
    TRAINING.start(order, building.work(given, order, SOLVING), session)


def training_state(order: Order, session: str) -> Solve | None:
    """How far it is; None if this session did not ask for it."""
    return TRAINING.state(order, session)


def cancel_training(order: Order, session: str) -> None:
    """Stop it; nothing of it stays."""
    TRAINING.cancel(order, session)


def dismiss_training(order: Order) -> None:
    """Forget how it ended."""
    TRAINING.dismiss(order)


def trained(order: Order) -> tuple[str, str] | None:
    """Name of the workspace that was made of an upload, and how good its model is; None if there is none."""
    folder = building.find(order)
    if folder is None:
        return None
    return catalogue.register(folder), Workspace(folder).manifest.description
