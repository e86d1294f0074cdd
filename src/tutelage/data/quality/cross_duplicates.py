"""Which texts are nearly alike between two sources: candidates by MinHash, as `near_duplicates` finds them within one.

Only pairs of one text of each source are looked at, so a large source costs no more than its sketches.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from tutelage.data.quality import sketches
from tutelage.data.quality.near_duplicates import (
    CHARACTERS_AT_ONCE,
    COMPARISONS,
    LEAST_BOUND,
    LIKELY,
    NOTHING,
)
from tutelage.data.quality.sketches import band_keys, sketch

CONFIRMATIONS = 2**15  # of likely pairs, shared by all texts that are asked about


def find_alike(
    asked: Sequence[str], known: Sequence[str], is_alike: Callable[[int, int], bool]
) -> np.ndarray:
    """Return for each text the place of a known one that it is nearly alike, NOTHING if there is none: (asked,).

    `is_alike(place, other)` confirms a likely pair. The likeliest pairs of a text are confirmed first, LEAST_BOUND of
    them or more.
    """
    found = np.full(len(asked), NOTHING, dtype=np.int64)
    bound = max(LEAST_BOUND, CONFIRMATIONS // max(1, len(asked)))
    for place, others in _likely(asked, known):
        found[place] = next((other for other in others[:bound] if is_alike(place, other)), NOTHING)
    return found


def _likely(asked: Sequence[str], known: Sequence[str]) -> Iterator[tuple[int, list[int]]]:
    """Yield the places of the texts that have likely partners, with these, the likeliest first."""
    if not asked or not known:
        return
    own, others = _sketch_all(asked), _sketch_all(known)
    for place, candidates in enumerate(_candidates(own, others)):
        if not candidates:
            continue
        places = np.unique(np.concatenate(candidates))
        agree = (others[places] == own[place]).sum(axis=1)
        order = np.argsort(-agree, kind="stable")
        is_likely = agree[order] >= LIKELY * sketches.PERMUTATIONS
        yield place, places[order][is_likely].tolist()


def _candidates(own: np.ndarray, others: np.ndarray) -> list[list[np.ndarray]]:
    """Return for each sketch the places of those that share a whole band with it, of each band up to a bound."""
    bound = max(LEAST_BOUND, COMPARISONS // len(own))
    found: list[list[np.ndarray]] = [[] for _ in own]
    for band in range(sketches.BANDS):
        keys = band_keys(others, band)
        order = np.argsort(keys, kind="stable")
        wanted, keys = band_keys(own, band), keys[order]
        begins, ends = (np.searchsorted(keys, wanted, side) for side in ("left", "right"))
        for place in np.flatnonzero(ends > begins).tolist():
            found[place].append(order[max(begins[place], ends[place] - bound) : ends[place]])
    return found


def _sketch_all(texts: Sequence[str]) -> np.ndarray:
    """Return the sketch of each text, made of so many at once as fit into a bounded memory: (texts, PERMUTATIONS)."""
    ends = np.cumsum([len(text) for text in texts])
    cuts = np.flatnonzero(np.diff(ends // CHARACTERS_AT_ONCE)) + 1
    bounds = [0, *cuts.tolist(), len(texts)]
    return np.concatenate([sketch(texts[begin:end]) for begin, end in pairwise(bounds)])
