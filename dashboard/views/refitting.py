"""Check by refitting: fit again without the ticked examples and compare."""

from __future__ import annotations

import streamlit as st

from dashboard import cache, state
from dashboard.components import bars
from dashboard.views.shell import Screen


def draw(screen: Screen, shown: cache.Explanation) -> None:
    """What it does, the button, and the result for exactly what is on screen."""
    with st.container(border=True, key="refitting"):
        st.markdown("**Check by refitting**")
        reason = cache.obstacle_to_refit(screen.folder, screen.run.id)
        if reason:
            st.text(reason, width="stretch")
            return
        picked = state.picked()
        keys = cache.frame(screen.folder, "train")["key"].iloc[picked[: cache.MOST_REMOVED]]
        st.text(_invitation(picked, [cache.plain(key) for key in keys]), width="stretch")
        can = 0 < len(picked) <= cache.MOST_REMOVED
        st.button(
            "Refit without them",
            shortcut="F",
            type="primary",
            disabled=not can,
            on_click=state.ask_refit,
            key="refit-button",
        )
        if can and state.is_refit_asked():
            _result(screen, shown, tuple(picked))


def _invitation(picked: list[int], keys: list[str]) -> str:
    if not picked:
        return "Tick training examples on their cards; the model is then fitted again without them."
    if len(picked) > cache.MOST_REMOVED:
        return f"{len(picked)} examples are ticked; at most {cache.MOST_REMOVED} can be left out at once. Untick some."
    ticked = cache.count(len(picked), "example is", "examples are")
    them = "it" if len(picked) == 1 else "all of them at once"
    return f"{ticked} ticked: {', '.join(keys)}. Fit the model again without {them}."


def _result(screen: Screen, shown: cache.Explanation, removed: tuple[int, ...]) -> None:
    result = cache.refit(screen.folder, screen.run.id, (shown.test_id, screen.target), removed)
    largest = max(abs(result.predicted), abs(result.actual)) or 1.0
    rows = [
        bars.Bar(
            name=name,
            value=cache.signed(value, result.unit),
            width=abs(value) / largest,
            strong=False,
            side="positive" if value > 0 else "negative",
        )
        for name, value in (("predicted change", result.predicted), ("actual change", result.actual))
    ]
    st.text(
        f"The {cache.plain(shown.words.measured)} of this prediction, refitted in {result.seconds:.1f} s:",
        width="stretch",
    )
    bars.draw(rows, "Predicted and actual change", key="refit-bars")
    st.text(
        _verdict(result, cache.plain(shown.words.positive), cache.plain(shown.words.negative)),
        width="stretch",
    )


def _verdict(result: cache.RefitResult, positive: str, negative: str) -> str:
    if result.predicted * result.actual <= 0:
        return "The refit went the other way: do not rely on this score."
    word = positive if result.actual > 0 else negative
    ratio = result.predicted / result.actual
    return f"Same direction ({word}): the prediction was {cache.percent(ratio)} of the actual change."
