"""The slice that the address names becomes the filters of the list."""

from __future__ import annotations

from dashboard import cache, state


def follow(folder: cache.Folder) -> None:
    """Show the slice of a link, or leave the one that the browser's Back left; what is wrong is said by its menu."""
    name = state.slice_to_apply()
    if name is None:
        return
    if not name:
        state.clear_filters()
        return
    try:
        kept = cache.slice_filters(folder, name)
    except Exception as error:  # a database of whatever state must not keep the predictions from being explained
        state.leave_slice()
        state.say_of_slices(cache.describe_fault(error).sentence)
    else:
        state.apply_slice(name, kept)
