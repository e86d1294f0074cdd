"""Suggest known names for misspelled ones."""

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path

CUTOFF = 0.6  # minimum similarity of two names, from 0 to 1


def nearest(name: str, known: Iterable[str], *, cutoff: float = CUTOFF) -> str | None:
    """Return the most similar known name, ignoring case, or None if none is similar."""
    by_folded = {one.casefold(): one for one in reversed([*known])}
    near = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[near[0]] if near else None


def nearest_path(path: Path, is_meant: Callable[[Path], bool]) -> Path | None:
    """Return the sibling of a path with the most similar name, among those that satisfy `is_meant`."""
    try:
        beside = [entry.name for entry in path.parent.iterdir() if is_meant(entry)]
    except (OSError, ValueError):  # no such folder, or a name that the file system rejects
        return None
    near = nearest(path.name, beside)
    return None if near is None else path.with_name(near)


def did_you_mean(meant: object | None) -> str:
    """Return " Did you mean …?" for a message, or "" if there is no suggestion."""
    return "" if meant is None else f" Did you mean {meant}?"
