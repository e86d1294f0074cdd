"""Rows whose prompts are nearly alike: candidates by MinHash, each confirmed by its true Jaccard similarity."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from tutelage.data.checks import FINGERPRINT_BYTES, normalised_prompt
from tutelage.data.conversations import Conversation

SHINGLE = 5  # characters
THRESHOLD = 0.8
# 20 bands of 5 hashes: a pair of similarity 0.8 is a candidate in 99.96 of 100 cases, one of 0.5 in 47.
PERMUTATIONS, BANDS = 100, 20
PROMPTS_AT_HAND = 4096  # whose pieces are kept while candidates are compared
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class NearDuplicate:
    """A row, an earlier row that it is like, and their similarity from 0 to 1."""

    row: int
    other: int
    similarity: float


def near_duplicates(rows: Sequence[Conversation]) -> list[NearDuplicate]:
    """Return the pairs of rows whose normalised prompts share four fifths of their 5-character pieces.

    Of rows with equal prompts only the first is compared with others; the rest are paired with that first one.
    """
    prompts = Prompts()
    for row in rows:
        prompts.add(row.row, normalised_prompt(row))
    return prompts.near_duplicates()


class Prompts:
    """Takes in the prompt of one row after the other, and keeps the texts of the first ones alone, where told so.

    How many candidates there are grows with the square of the rows of one task, so a large source needs a bound.
    """

    def __init__(self, most_compared: int | None = None) -> None:
        self.most_compared = most_compared
        self._rows = array("q")
        self._digests = bytearray()
        self._texts: list[str] = []

    def add(self, row: int, prompt: str) -> None:
        """Take in the normalised prompt of the next row."""
        self._rows.append(row)
        self._digests += hashlib.blake2b(
            prompt.encode("utf-8", "surrogatepass"), digest_size=FINGERPRINT_BYTES
        ).digest()
        if self.most_compared is None or len(self._texts) < self.most_compared:
            self._texts.append(prompt)

    @property
    def uncompared(self) -> int:
        """How many of the rows were compared for equal prompts alone."""
        return len(self._rows) - len(self._texts)

    def near_duplicates(self) -> list[NearDuplicate]:
        """Return the pairs as `near_duplicates` does, those of equal prompts among all rows."""
        rows = np.array(self._rows, dtype=np.int64)
        digests = np.frombuffer(bytes(self._digests), dtype=f"V{FINGERPRINT_BYTES}")
        _, first, group = np.unique(digests, return_index=True, return_inverse=True)
        first_of = first[group]  # (rows,)
        is_first = first_of == np.arange(len(rows))
        found = [
            NearDuplicate(int(row), int(other), 1.0)
            for row, other in zip(rows[~is_first], rows[first_of[~is_first]], strict=True)
        ]
        compared = np.flatnonzero(is_first[: len(self._texts)])
        found += [
            NearDuplicate(int(rows[compared[place]]), int(rows[compared[other]]), similarity)
            for place, other, similarity in _alike([self._texts[place] for place in compared])
        ]
        return sorted(found, key=lambda pair: (-pair.similarity, pair.row, pair.other))


def _alike(prompts: Sequence[str]) -> Iterator[tuple[int, int, float]]:
    """Yield the places of two different prompts that are alike, the later one first, and their similarity.

    The bands of all prompts are sorted, for an index of them takes forty times the memory.
    """
    pieces_of = lru_cache(PROMPTS_AT_HAND)(lambda place: shingles(prompts[place]))
    bands = _bands(map(shingles, prompts))
    for band in range(BANDS if len(bands) else 0):
        order = np.argsort(bands[:, band], kind="stable")
        keys = bands[order, band]
        bounds = np.flatnonzero(np.diff(keys, prepend=~keys[:1], append=~keys[-1:]))
        for begin, end in pairwise(bounds):
            candidates = order[begin:end]
            for rank in range(1, end - begin):
                place, others = candidates[rank], candidates[:rank]
                is_new = ~(bands[others, :band] == bands[place, :band]).any(axis=1)  # in no band before
                for other in others[is_new]:
                    similarity = _similarity(pieces_of(place), pieces_of(other))
                    if similarity >= THRESHOLD:
                        yield place, other, similarity


def _bands(prompts: Iterable[np.ndarray]) -> np.ndarray:
    """Return a hash of each band of each prompt's sketch: (prompts, bands) uint64."""
    from datasketch import MinHash  # noqa: PLC0415 - as below

    blank, bands = MinHash(PERMUTATIONS, hashfunc=int), bytearray()
    for pieces in prompts:
        hashes = np.zeros(BANDS, dtype=np.uint64)
        for column in _sketch(blank, pieces).hashvalues.reshape(BANDS, -1).T:
            hashes = _mixed(hashes, column)
        bands += hashes.tobytes()
    return np.frombuffer(bytes(bands), dtype=np.uint64).reshape(-1, BANDS)


class LikePrompts:
    """Normalised prompts, and which of them a further one is like; each is known by the order in which it was added."""

    def __init__(self) -> None:
        from datasketch import MinHash, MinHashLSH  # noqa: PLC0415 - it brings scipy, for this alone

        self._index: Any = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, PERMUTATIONS // BANDS))
        self._blank = MinHash(PERMUTATIONS, hashfunc=int)
        self._pieces: list[np.ndarray] = []

    def find_and_add(self, prompt: str) -> list[tuple[int, float]]:
        """Return the earlier prompts that one is like, each with the similarity, and add it."""
        own = shingles(prompt)
        sketch = _sketch(self._blank, own)
        found = self._confirmed(own, sketch)
        self._index.insert(len(self._pieces), sketch)
        self._pieces.append(own)
        return found

    def find(self, prompt: str) -> list[tuple[int, float]]:
        """Return the prompts that one is like, each with the similarity."""
        own = shingles(prompt)
        return self._confirmed(own, _sketch(self._blank, own))

    def _confirmed(self, own: np.ndarray, sketch: Any) -> list[tuple[int, float]]:
        """Return which candidates are alike in truth."""
        found = []
        for other in self._index.query(sketch):
            similarity = _similarity(own, self._pieces[other])
            if similarity >= THRESHOLD:
                found.append((other, similarity))
        return found


def _sketch(blank: Any, pieces: np.ndarray) -> Any:
    sketch = blank.copy()
    sketch.update_batch((pieces >> np.uint64(32)).tolist())  # the scheme takes hashes of 32 bits
    return sketch


def _similarity(one: np.ndarray, other: np.ndarray) -> float:
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)


def shingles(text: str) -> np.ndarray:
    """Return the sorted distinct hashes of all pieces of a text: (pieces,) uint64."""
    characters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    if len(characters) < SHINGLE:
        characters = np.pad(characters, (0, SHINGLE - len(characters)))
    hashes = np.zeros(len(characters) - SHINGLE + 1, dtype=np.uint64)
    for place in range(SHINGLE):
        hashes = _mixed(hashes, characters[place : place + len(hashes)])
    return np.unique(hashes)


def _mixed(hashes: np.ndarray, values: np.ndarray) -> np.ndarray:
    hashes = (hashes ^ values) * MULTIPLIER
    return hashes ^ (hashes >> np.uint64(29))
