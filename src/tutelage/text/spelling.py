"""What was probably meant by a name that is not known."""

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path

CUTOFF = 0.6  # of 1, how alike two names have to be


def nearest(name: str, known: Iterable[str], *, cutoff: float = CUTOFF) -> str | None:
    """Return the known name that is most like one that is not, None where none is alike; case does not count."""
    by_folded = {one.casefold(): one for one in reversed([*known])}
    near = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[near[0]] if near else None


def nearest_path(path: Path, is_meant: Callable[[Path], bool]) -> Path | None:
    """Return what stands beside a path, and is of the kind that is meant, with the name that is most like its name."""
    try:
        beside = [entry.name for entry in path.parent.iterdir() if is_meant(entry)]
    except (OSError, ValueError):  # no such folder, or a name that no file system takes
        return None
    near = nearest(path.name, beside)
    return None if near is None else path.with_name(near)


def did_you_mean(meant: object | None) -> str:
    """Return the question that a message asks where it knows what was meant, with a blank before it."""
    return "" if meant is None else f" Did you mean {meant}?"
