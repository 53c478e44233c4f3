"""The influence on the chosen prediction: one sentence, how far to trust it, and two columns of examples."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard import cache, state
from dashboard.components import cards, legend, steady, trust
from dashboard.components.labels import safe
from dashboard.views import refining
from dashboard.views.shell import Screen

SIZES = (6, 12, 24)
HEAD, DECKS = "answer-head", "decks"
RANKED = (
    "effect: the score itself. relative: the score for what the example does to itself (RelatIF). cosine: direction "
    "alone. The last two keep a few odd examples from coming first for every prediction."
)


def draw(screen: Screen) -> cache.Explanation | None:
    """Draw it; returns the scores, or None if there is no ranking to show."""
    if screen.test_id is None:
        return None
    shown = cache.explanation(screen.folder, screen.run.id, screen.test_id, screen.target, screen.rank)
    strip = cache.trust(screen.folder, screen.run.id, shown)
    if shown.is_stalled:
        trust.draw(strip)
        st.text("This adds a run that is likely to get there; it then is in the menu above:", width="stretch")
        st.code(cache.command_for_closer_run(screen.folder, screen.run.id), language=None, wrap_lines=True)
        return None
    with st.container(key=HEAD):
        st.markdown(f"#### {safe(cache.sentence(shown), 300)}")
        refining.draw(screen, shown)
        said = shown.words
        legend.draw(cache.plain(said.positive), cache.plain(said.negative), cache.plain(said.meaning, 300))
        trust.draw(strip)
    with st.container(key=DECKS):
        _decks(screen, shown)
    if screen.run.has_first:
        name = f"{screen.run.id}-{shown.test_id}-{screen.target}-{screen.rank}-{state.cards_page()}-{_size()}"
        steady.hold(name, [HEAD, DECKS])
    return shown


def _decks(screen: Screen, shown: cache.Explanation) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="cards-pages"):
        size, page = _pages(shown)
    _rank_by(screen)
    ranks = ((page - 1) * size, page * size)
    for column, side in zip(st.columns(2, gap="medium"), ("positive", "negative"), strict=True):
        with column:
            _deck(screen, shown, side, ranks)


def _rank_by(screen: Screen) -> None:
    """The rankings that the run can make, and what the chosen one means; the scores stay what they are."""
    offered = cache.ranks(screen.folder, screen.run.id)
    if len(offered) > 1:
        control = state.control("rank-by", screen.rank)
        st.segmented_control("Rank by", offered, key=control, required=True, on_change=_choose_rank, help=RANKED)
    wanted = state.place().rank
    if wanted and wanted != screen.rank:
        st.text(f"This run cannot rank by {cache.plain(wanted)}, so its order is that of the effect.", width="stretch")
    elif screen.rank != cache.EFFECT:
        st.caption(cache.rank_explained(screen.folder, screen.run.id, screen.rank))


def _choose_rank() -> None:
    chosen = state.value_of("rank-by")
    state.go(rank="" if chosen == cache.EFFECT else chosen)


def _size() -> int:
    size: int = state.value_of("cards-size") or SIZES[0]
    return size


def _pages(shown: cache.Explanation) -> tuple[int, int]:
    size = _size()
    longest = max(len(ids) for ids in shown.ranked.values())
    n_pages = max(1, -(-longest // size))
    page = min(state.cards_page(), n_pages)
    control = state.control("cards-size", size)
    st.segmented_control(
        "Cards a column",
        SIZES,
        key=control,
        required=True,
        label_visibility="collapsed",
        on_change=partial(state.set_cards_page, 1),
        format_func=lambda n: f"{n} cards",
    )
    if n_pages > 1:
        control = state.control("cards-page-control", page)
        st.pagination(n_pages, key=control, max_visible_pages=5, on_change=_turn)
    return size, page


def on_screen(shown: cache.Explanation) -> dict[str, list[int]]:
    """Side -> ids of the training examples whose cards are on screen."""
    size = _size()
    first = (state.cards_page() - 1) * size
    return {side: ids[first : first + size].tolist() for side, ids in shown.ranked.items()}


def _turn() -> None:
    state.set_cards_page(state.value_of("cards-page-control"))


def _deck(screen: Screen, shown: cache.Explanation, side: str, ranks: tuple[int, int]) -> None:
    asked = (shown.test_id, screen.target, screen.rank)
    word = shown.words.positive if side == "positive" else shown.words.negative
    deck = cards.Deck(
        title=cache.plain(word)[:1].upper() + cache.plain(word)[1:],
        note=cache.count(len(shown.ranked[side]), "example", "examples"),
        cards=cache.cards(screen.folder, screen.run.id, asked, side, ranks),
        empty="No training example here." if not len(shown.ranked[side]) else "No more examples on this page.",
        side=side,
    )
    key = f"deck-{side}"
    cards.draw(deck, key, partial(open_card, key), partial(_tick, key), state.picked())


def open_card(key: str) -> None:
    """Open the training example whose card was clicked."""
    train_id = state.component(key, "open")
    if train_id is not None:
        state.open_training(int(train_id))


def _tick(key: str) -> None:
    ticks = state.component(key, "ticks") or {"shown": [], "picked": []}
    for train_id in ticks["shown"]:
        state.toggle_pick(int(train_id), on=train_id in ticks["picked"])
