"""The scores of predictions, and what a page makes of them."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import streamlit as st

from dashboard.cache.examples import frame, workspace
from dashboard.services import cards as card_service
from dashboard.services import compare as compare_service
from dashboard.services import distribution as distribution_service
from dashboard.services import (
    first_order,
    influence,
    refining,
    runs,
    training,
)
from dashboard.services import ranks as rank_service
from dashboard.services import trust as trust_service
from dashboard.services.cards import Card
from dashboard.services.compare import Comparison
from dashboard.services.distribution import Distribution
from dashboard.services.influence import Explanation
from dashboard.services.opened import Folder
from dashboard.services.ranks import Rank
from dashboard.services.targets import parse
from dashboard.services.training import Reach
from dashboard.services.trust import Trust
from dashboard.services.turns import Turns

SOLVING = Turns()


@dataclass(frozen=True)
class _Key:
    """What was asked; ``is_first`` changes once a solve has replaced an answer at once, and the key with it."""

    folder: Folder
    run_id: str
    test_id: int
    target: str
    rank: Rank = "effect"
    is_first: bool = False


def _key(folder: Folder, run_id: str, test_id: int, target: str, rank: Rank = "effect") -> _Key:
    return _Key(folder, run_id, test_id, target, rank, is_first(folder, run_id, test_id, target))


def is_first(folder: Folder, run_id: str, test_id: int, target: str) -> bool:
    """Whether the scores of a prediction are an answer at once that waits for its solve."""
    opened = workspace(folder)
    return opened.run(run_id).is_first(test_id, parse(target, opened.manifest.kind, len(opened.manifest.names)))


def explanation(folder: Folder, run_id: str, test_id: int, target: str, rank: Rank = "effect") -> Explanation:
    """The scores of one prediction, ranked."""
    return _explanation(_key(folder, run_id, test_id, target, rank))


@st.cache_resource(max_entries=4, show_spinner=False)
def _explanation(key: _Key) -> Explanation:
    opened = workspace(key.folder)
    run, wanted = opened.run(key.run_id), parse(key.target, opened.manifest.kind, len(opened.manifest.names))
    with SOLVING if influence.is_computed(run, wanted) else nullcontext():
        return influence.explain(run, key.test_id, wanted, key.rank)


@st.cache_data(max_entries=16, show_spinner=False)
def refined(folder: Folder, run_id: str, test_id: int, rank: Rank) -> str:
    """How much the solve has changed of the first answer's order."""
    return refining.refined(workspace(folder).run(run_id), test_id, rank)


@st.cache_data(max_entries=16, show_spinner=False)
def ranks(folder: Folder, run_id: str) -> list[Rank]:
    """What a run's training examples can be ranked by."""
    return rank_service.offered(workspace(folder).run(run_id))


def chosen_rank(folder: Folder, run_id: str, wanted: str) -> Rank:
    """The ranking that a link asks for, as far as the run can make it."""
    return next((rank for rank in ranks(folder, run_id) if rank == wanted), rank_service.EFFECT)


def rank_explained(folder: Folder, run_id: str, rank: Rank) -> str:
    """What a ranking goes by."""
    return rank_service.explained(workspace(folder).run(run_id), rank)


def trust(folder: Folder, run_id: str, shown: Explanation | None = None) -> Trust:
    """How far to trust a run, or one prediction of it."""
    return trust_service.trust(workspace(folder).run(run_id), shown)


@st.cache_data(max_entries=4, show_spinner=False)
def flags(folder: Folder, run_id: str) -> dict[int, str]:
    """What is unusual about some training examples, in words."""
    run = workspace(folder).run(run_id)
    values = run.self_influence()
    unusual = {} if values is None else card_service.flags_of(values, refining.self_influence_named(run))
    off = first_order.flags(run)
    return {i: " · ".join(each[i] for each in (unusual, off) if i in each) for i in {**unusual, **off}}


def cards(folder: Folder, run_id: str, asked: tuple[int, str, Rank], side: str, shown: tuple[int, int]) -> list[Card]:
    """Example cards of one side; ``asked`` is test id, target and ranking, ``shown`` a range of ranks."""
    return _cards(_key(folder, run_id, *asked), side, shown)


@st.cache_data(max_entries=16, show_spinner=False)
def _cards(key: _Key, side: str, shown: tuple[int, int]) -> list[Card]:
    found = _explanation(key)
    ids = found.ranked[side][slice(*shown)].tolist()
    return card_service.score_cards(workspace(key.folder), found, side, ids, flags(key.folder, key.run_id))


def distribution(folder: Folder, run_id: str, test_id: int, target: str) -> Distribution:
    """The distribution of the scores over the training set."""
    return _distribution(_key(folder, run_id, test_id, target))


@st.cache_resource(max_entries=4, show_spinner=False)
def _distribution(key: _Key) -> Distribution:
    opened = workspace(key.folder)
    example = opened.test[key.test_id]
    names = opened.manifest.class_names
    first = [int(example.label), int(example.prediction)] if names else []
    labels = frame(key.folder, "train")["label"].to_numpy()
    return distribution_service.distribution(_explanation(key), labels, names, first)


def comparison(folder: Folder, run_ids: tuple[str, str], test_id: int, target: str) -> Comparison:
    """What two runs say about one prediction."""
    here, there = (_key(folder, run_id, test_id, target) for run_id in run_ids)
    return _comparison(here, there)


@st.cache_resource(max_entries=4, show_spinner=False)
def _comparison(here: _Key, there: _Key) -> Comparison:
    return compare_service.compare(_explanation(here), _explanation(there))


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


@st.cache_data(max_entries=16, show_spinner=False)
def reach(folder: Folder, run_id: str, train_id: int) -> Reach:
    """Which predictions a training example moves."""
    opened = workspace(folder)
    return training.reach(opened, opened.run(run_id), train_id)
