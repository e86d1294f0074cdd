"""Rows whose prompts are nearly alike: candidates by MinHash, each confirmed by its true Jaccard similarity."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tutelage.data.checks import normalised_prompt
from tutelage.data.conversations import Conversation

SHINGLE = 5  # characters
THRESHOLD = 0.8
# 20 bands of 5 hashes: a pair of similarity 0.8 is a candidate in 99.96 of 100 cases, one of 0.5 in 47.
PERMUTATIONS, BANDS = 100, 20
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
    first_of: dict[str, int] = {}
    found: list[NearDuplicate] = []
    for row in rows:
        prompt = normalised_prompt(row)
        if prompt in first_of:
            found.append(NearDuplicate(row.row, first_of[prompt], 1.0))
        else:
            first_of[prompt] = row.row
    known, rows_known = LikePrompts(), list(first_of.values())
    for row_known, prompt in zip(rows_known, first_of, strict=True):
        found += [
            NearDuplicate(row_known, rows_known[other], similarity)
            for other, similarity in known.find_and_add(prompt)
        ]
    return sorted(found, key=lambda pair: (-pair.similarity, pair.row, pair.other))


class LikePrompts:
    """Normalised prompts, and which of them a further one is like; each is known by the order in which it was added."""

    def __init__(self) -> None:
        from datasketch import MinHash, MinHashLSH  # noqa: PLC0415 - it brings scipy, for this alone

        self._index: Any = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, PERMUTATIONS // BANDS))
        self._blank = MinHash(PERMUTATIONS, hashfunc=int)
        self._pieces: list[np.ndarray] = []

    def find_and_add(self, prompt: str) -> list[tuple[int, float]]:
        """Return the earlier prompts that one is like, each with the similarity, and add it."""
        own, sketch = self._sketch(prompt)
        found = self._confirmed(own, sketch)
        self._index.insert(len(self._pieces), sketch)
        self._pieces.append(own)
        return found

    def find(self, prompt: str) -> list[tuple[int, float]]:
        """Return the prompts that one is like, each with the similarity."""
        return self._confirmed(*self._sketch(prompt))

    def _sketch(self, prompt: str) -> tuple[np.ndarray, Any]:
        own = shingles(prompt)
        sketch = self._blank.copy()
        sketch.update_batch((own >> np.uint64(32)).tolist())  # the scheme takes hashes of 32 bits
        return own, sketch

    def _confirmed(self, own: np.ndarray, sketch: Any) -> list[tuple[int, float]]:
        """Return which candidates are alike in truth."""
        found = []
        for other in self._index.query(sketch):
            shared = len(np.intersect1d(own, self._pieces[other], assume_unique=True))
            similarity = shared / (len(own) + len(self._pieces[other]) - shared)
            if similarity >= THRESHOLD:
                found.append((other, similarity))
        return found


def shingles(text: str) -> np.ndarray:
    """Return the sorted distinct hashes of all pieces of a text: (pieces,) uint64."""
    characters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    if len(characters) < SHINGLE:
        characters = np.pad(characters, (0, SHINGLE - len(characters)))
    hashes = np.zeros(len(characters) - SHINGLE + 1, dtype=np.uint64)
    for place in range(SHINGLE):
        hashes = (hashes ^ characters[place : place + len(hashes)]) * MULTIPLIER
        hashes ^= hashes >> np.uint64(29)
    return np.unique(hashes)
