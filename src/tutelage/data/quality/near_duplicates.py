"""Find rows with near-duplicate prompts: candidates by MinHash, confirmed by their exact Jaccard similarity.

Rows are clustered in order. A row is compared with its candidates, most likely first, except those already in
its cluster; so rows from one template cost one comparison each instead of one per pair.
"""

import hashlib
import tempfile
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tutelage.codes import Message
from tutelage.data.quality import sketches
from tutelage.data.quality.first_rows import FINGERPRINT_BYTES
from tutelage.data.quality.prompt_fingerprint import compared_prompt
from tutelage.data.quality.sketches import band_keys, pieces, similarity, sketch
from tutelage.data.rows.conversations import Conversation

THRESHOLD = 0.8
# At similarity 0.8, sketches agree in 80 of 100 positions with a standard deviation of 4; this is five
# deviations below.
LIKELY = 0.6
# Limit on the rows that a row is compared with per bucket, and on its failed comparisons. With few rows the
# limit is higher, as COMPARISONS allows, and up to 700 rows nothing is limited.
LEAST_BOUND, COMPARISONS = 16, 2**19
CHARACTERS_AT_ONCE = 2**16  # of the prompts that are sketched together
CANDIDATES_AT_ONCE = 2**15
PIECES_AT_HAND = 2**17  # total pieces of recently compared prompts
BYTES_IN_MEMORY = 2**20  # of the prompts; more than that go to a temporary file
NOTHING = -1


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """A row, an earlier row that it resembles, and their similarity from 0 to 1."""

    row: int
    other: int
    similarity: float


@dataclass(frozen=True)
class NearDuplicates:
    """Rows that resemble an earlier one, each with its best match among those compared, and the clusters of all
    rows.
    """

    rows: np.ndarray  # (found,), by decreasing similarity
    others: np.ndarray  # (found,)
    similarities: np.ndarray  # (found,)
    first_of: np.ndarray  # (rows,) for each added row, the index of the first row in its cluster
    bounded: int  # rows compared with only some of their candidates
    undecided: int  # those of them for which no match was found

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[NearDuplicate]:
        for row, other, alike in zip(self.rows, self.others, self.similarities, strict=True):
            yield NearDuplicate(int(row), int(other), float(alike))

    def notes(self) -> list[Message]:
        """Return notes about rows that were not compared with all candidates."""
        if not self.bounded:
            return []
        told = (
            f"{self.bounded:,} rows have many candidate near-duplicates and were compared with only some of"
            f" them; for {self.undecided:,} of them none was found, but there may be one"
        )
        return [Message("data.near_duplicates_not_compared", told)]


def near_duplicates(rows: Sequence[Conversation]) -> NearDuplicates:
    """Return rows whose prompt has a similarity of at least 0.8 to an earlier one, by 5-character pieces.

    Among rows with equal prompts only the first is compared with others; the rest are paired with it.
    """
    prompts = Prompts()
    for row in rows:
        prompts.add(row.row, compared_prompt(row))
    return prompts.near_duplicates()


class Prompts:
    """Collects the prompts of rows, and compares the first `most_compared`, or all.

    For each row, a sketch of 100 bytes and a fingerprint are kept in memory; the texts go to a temporary file.
    """

    def __init__(self, most_compared: int | None = None) -> None:
        self.most_compared = most_compared
        self._rows = array("q")
        self._digests = bytearray()
        self._sketches = bytearray()
        self._waiting: list[str] = []  # to be sketched
        self._characters_waiting = 0
        self._texts = tempfile.SpooledTemporaryFile(BYTES_IN_MEMORY)  # noqa: SIM115 - deleted with the prompts
        self._begins = array("q", [0])

    def add(self, row: int, prompt: str) -> None:
        """Add the normalized prompt of the next row."""
        encoded = prompt.encode("utf-8", "surrogatepass")
        self._rows.append(row)
        self._digests += hashlib.blake2b(encoded, digest_size=FINGERPRINT_BYTES).digest()
        if self.most_compared is None or len(self._rows) <= self.most_compared:
            self._texts.write(encoded)
            self._begins.append(self._begins[-1] + len(encoded))
            self._waiting.append(prompt)
            self._characters_waiting += len(prompt)
            if self._characters_waiting >= CHARACTERS_AT_ONCE:
                self._sketch()

    @property
    def uncompared(self) -> int:
        """Number of rows that were only checked for equal prompts."""
        return len(self._rows) - (len(self._begins) - 1)

    def near_duplicates(self) -> NearDuplicates:
        """Return the near-duplicates among all rows, including equal prompts."""
        self._sketch()
        rows = np.array(self._rows, dtype=np.int64)
        digests = np.frombuffer(bytes(self._digests), dtype=f"V{FINGERPRINT_BYTES}")
        _, first, group = np.unique(digests, return_index=True, return_inverse=True)
        partner_of = first[group]  # (rows,)
        similarities = np.ones(len(rows))
        is_first = partner_of == np.arange(len(rows))
        sketched = np.frombuffer(self._sketches, dtype=np.uint8).reshape(-1, sketches.PERMUTATIONS)
        search = _Search(sketched, self._text, np.flatnonzero(is_first[: len(sketched)]))
        for place, other, alike in search.found():
            partner_of[place], similarities[place] = other, alike
        found = np.flatnonzero(partner_of != np.arange(len(rows)))
        found = found[np.lexsort((found, -similarities[found]))]
        undecided = [place for place in search.bounded if partner_of[place] == place]
        return NearDuplicates(
            rows=rows[found],
            others=rows[partner_of[found]],
            similarities=similarities[found],
            first_of=np.array([search.clusters.first(place) for place in first[group].tolist()], np.int64),
            bounded=len(search.bounded),
            undecided=len(undecided),
        )

    def _sketch(self) -> None:
        if self._waiting:
            self._sketches += sketch(self._waiting).tobytes()
            self._waiting, self._characters_waiting = [], 0

    def _text(self, place: int) -> str:
        self._texts.seek(self._begins[place])
        encoded = self._texts.read(self._begins[place + 1] - self._begins[place])
        return encoded.decode("utf-8", "surrogatepass")


class _Clusters:
    """Union-find over positions; each cluster is identified by its first position."""

    def __init__(self, places: int) -> None:
        self._parents = array("q", range(places))

    def first(self, place: int) -> int:
        """Return the first position of a cluster; positions beyond the compared ones stand alone."""
        parents = self._parents
        if place >= len(parents):
            return place
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.first(one), self.first(other)))
        self._parents[high] = low


class _Search:
    """Finds earlier matches for each position, among positions with different texts."""

    def __init__(self, sketched: np.ndarray, text: Callable[[int], str], places: np.ndarray) -> None:
        self.clusters = _Clusters(len(sketched))
        self.bounded: set[int] = set()
        self._sketches, self._places = sketched, places
        self._pieces = _Pieces(text)
        self._bound = max(LEAST_BOUND, COMPARISONS // max(1, len(places)))

    def found(self) -> Iterator[tuple[int, int, float]]:
        """Yield each position with its best match among those compared, and their similarity."""
        before = self._before_in_bucket()
        is_candidate = (before[self._places] != NOTHING).any(axis=1)
        places = self._places[is_candidate]
        at_once = max(1, CANDIDATES_AT_ONCE // (sketches.BANDS * self._bound))
        for begin in range(0, len(places), at_once):
            owners, others = self._likely(*self._candidates(before, places[begin : begin + at_once]))
            bounds = np.flatnonzero(np.diff(owners, prepend=NOTHING, append=NOTHING)).tolist()
            for first, last in pairwise(bounds):
                place = int(owners[first])
                likest = self._likest(place, others[first:last].tolist())
                if likest is not None:
                    yield place, *likest

    def _before_in_bucket(self) -> np.ndarray:
        """Return for each position and band the previous position in the same bucket: (positions, BANDS) int32."""
        before = np.full((len(self._sketches), sketches.BANDS), NOTHING, dtype=np.int32)
        sketched = self._sketches
        for band in range(sketches.BANDS):
            keys = band_keys(sketched, band)[self._places]
            order = np.argsort(keys, kind="stable")
            keys = keys[order]
            is_same = keys[1:] == keys[:-1]
            before[self._places[order[1:][is_same]], band] = self._places[order[:-1][is_same]]
        return before

    def _candidates(self, before: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pairs of a position and an earlier one in the same bucket, the latest ones up to the limit."""
        owners = np.repeat(places, before.shape[1])
        bands = np.tile(np.arange(before.shape[1]), len(places))
        others = before[places].ravel()
        pairs = []
        for _ in range(self._bound):
            is_there = others != NOTHING
            owners, bands, others = owners[is_there], bands[is_there], others[is_there]
            if not len(others):
                break
            pairs.append(owners * len(before) + others)
            others = before[others, bands]
        self.bounded.update(owners[others != NOTHING].tolist())
        return np.divmod(np.unique(np.concatenate(pairs)), len(before))

    def _likely(self, owners: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the pairs with sufficiently similar sketches, sorted by position and then by decreasing
        agreement.
        """
        agree = (self._sketches[owners] == self._sketches[others]).sum(axis=1)
        is_likely = agree >= LIKELY * sketches.PERMUTATIONS
        owners, others, agree = owners[is_likely], others[is_likely], agree[is_likely]
        order = np.lexsort((others, -agree, owners))
        return owners[order], others[order]

    def _likest(self, place: int, others: Sequence[int]) -> tuple[int, float] | None:
        """Compare a position with others outside its cluster, join it with those it resembles, and return the
        best match.
        """
        own, likest, in_vain = self._pieces.of(place), None, 0
        for other in others:
            if self.clusters.first(other) == self.clusters.first(place):
                continue
            if in_vain == self._bound:
                self.bounded.add(place)
                break
            alike = similarity(own, self._pieces.of(other))
            if alike < THRESHOLD:
                in_vain += 1
                continue
            self.clusters.join(place, other)
            if likest is None or alike > likest[1]:
                likest = other, alike
        return likest


class _Pieces:
    """Cache of the pieces of recently compared texts."""

    def __init__(self, text: Callable[[int], str]) -> None:
        self._text = text
        self._at_hand: OrderedDict[int, frozenset[str]] = OrderedDict()
        self._count = 0

    def of(self, place: int) -> frozenset[str]:
        if place in self._at_hand:
            self._at_hand.move_to_end(place)
            return self._at_hand[place]
        own = self._at_hand[place] = pieces(self._text(place))
        self._count += len(own)
        while self._count > PIECES_AT_HAND and len(self._at_hand) > 1:
            self._count -= len(self._at_hand.popitem(last=False)[1])
        return own


class LikePrompts:
    """Normalized prompts that new ones can be compared with; each has the position at which it was added.

    A prompt is compared with as many of the latest prompts per bucket as in `near_duplicates`, and only with
    those whose sketches are similar enough.
    """

    def __init__(self) -> None:
        self._buckets: dict[tuple[int, int], array[int]] = {}
        self._sketches = bytearray()
        self._prompts: list[str] = []
        self._pieces = _Pieces(self._prompts.__getitem__)

    def add(self, prompt: str) -> None:
        """Add a prompt."""
        sketched = sketch([prompt])
        for key in _keys(sketched):
            self._buckets.setdefault(key, array("q")).append(len(self._prompts))
        self._sketches += sketched.tobytes()
        self._prompts.append(prompt)

    def is_like_any(self, prompt: str, *, besides: int | None = None) -> bool:
        """Return whether a prompt resembles an added one, other than the one at position `besides`."""
        sketched = sketch([prompt])
        bound = max(LEAST_BOUND, COMPARISONS // max(1, len(self._prompts)))
        others = {
            other for key in _keys(sketched) for other in self._buckets.get(key, array("q"))[-bound - 1 :]
        }
        others.discard(NOTHING if besides is None else besides)
        if not others:
            return False
        places = np.fromiter(others, dtype=np.int64)
        known = np.frombuffer(self._sketches, dtype=np.uint8).reshape(-1, sketches.PERMUTATIONS)[places]
        agree = (known == sketched).sum(axis=1)
        order = np.argsort(-agree, kind="stable")
        likely = places[order][agree[order] >= LIKELY * sketches.PERMUTATIONS]
        own = pieces(prompt)
        return any(similarity(own, self._pieces.of(other)) >= THRESHOLD for other in likely[:bound].tolist())


def _keys(sketched: np.ndarray) -> list[tuple[int, int]]:
    """Return the buckets of one sketch as (band, hash)."""
    return [(band, int(band_keys(sketched, band)[0])) for band in range(sketches.BANDS)]
