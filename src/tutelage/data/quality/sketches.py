"""MinHash sketches of 5-character pieces, to estimate the similarity of texts from a few bytes.

For each of several random orders of all pieces, the sketch of a text stores eight bits of its first piece in
that order. Two texts agree at a position with a probability equal to their Jaccard similarity (Broder 1997);
where their pieces differ, they still agree in one of 256 cases (Li and König, "b-bit minwise hashing", 2010).
Texts that agree in a whole band of their sketches are candidates.
"""

from collections.abc import Sequence

import numpy as np

SHINGLE = 5  # characters
# 20 bands of 5 positions: a pair with similarity 0.8 is a candidate with probability 0.9996, one with 0.5 with
# 0.47.
PERMUTATIONS, BANDS = 100, 20
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_ORDERS = np.random.default_rng(2_026).integers(2**64, size=(2, PERMUTATIONS), dtype=np.uint64)
MASKS, FACTORS = _ORDERS[0], _ORDERS[1] | np.uint64(1)  # an odd factor keeps distinct pieces distinct


def pieces(text: str) -> frozenset[str]:
    """Return the distinct pieces of a text; a shorter text is a single piece."""
    return frozenset(text[begin : begin + SHINGLE] for begin in range(max(1, len(text) - SHINGLE + 1)))


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the Jaccard similarity of two sets of pieces, from 0 to 1."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def sketch(texts: Sequence[str]) -> np.ndarray:
    """Return the sketch of each text: (texts, PERMUTATIONS) uint8."""
    hashes, begins = piece_hashes(texts)
    sketches = np.empty((len(texts), PERMUTATIONS), dtype=np.uint8)
    ranks = np.empty_like(hashes)
    for place in range(PERMUTATIONS):
        np.bitwise_xor(hashes, MASKS[place], out=ranks)
        np.multiply(ranks, FACTORS[place], out=ranks)
        # The upper bits of a minimum are mostly zero, and its lowest bits depend on few bits of the hash.
        sketches[:, place] = np.minimum.reduceat(ranks, begins) >> np.uint64(32)
    return sketches


def piece_hashes(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return hashes of the pieces of all texts, (pieces,) uint64, and the start of each text, (texts,)."""
    padded = [text.ljust(SHINGLE, "\x00") for text in texts]
    characters = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    lengths = np.array([len(text) for text in padded], dtype=np.int64)
    hashes = np.zeros(max(0, len(characters) - SHINGLE + 1), dtype=np.uint64)
    for place in range(SHINGLE):
        hashes = mixed(hashes, characters[place : place + len(hashes)].astype(np.uint64))
    is_piece = np.ones(len(characters), dtype=bool)
    for place in range(1, SHINGLE):  # pieces that start at the last four characters reach into the next text
        is_piece[np.cumsum(lengths) - place] = False
    counts = lengths - SHINGLE + 1
    return hashes[is_piece[: len(hashes)]], np.cumsum(counts) - counts


def band_keys(sketches: np.ndarray, band: int) -> np.ndarray:
    """Return a hash of one band of each sketch: (sketches,) uint64."""
    width = PERMUTATIONS // BANDS
    keys = np.zeros(len(sketches), dtype=np.uint64)
    for place in range(band * width, (band + 1) * width):
        keys = mixed(keys, sketches[:, place].astype(np.uint64))
    return keys


def mixed(hashes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Combine hashes with values: (values,) uint64."""
    hashes = (hashes ^ values) * MULTIPLIER
    return hashes ^ (hashes >> np.uint64(29))
