"""How often chance alone would give a mean difference as large: signs flipped by cluster."""

from collections.abc import Callable

import numpy as np

from tutelage.evaluation.stats.intervals import CHUNK, SEED, cluster_sums

FLIPS = 20_000
# With so few clusters every pattern of signs is tried, and there are no more than FLIPS of them.
ENUMERATED = 14


def sign_flip_p(differences: np.ndarray, clusters: np.ndarray) -> float:
    """Return the two-sided p of no difference: if the models were alike, each cluster's sign could be either.

    Exact for few clusters, else from 20,000 random patterns with the one that was seen counted in.
    """
    sums, _ = cluster_sums(differences, clusters)
    sums = sums[sums != 0]  # a flip changes nothing of the others
    if len(sums) == 0:
        return 1.0
    # Sums that are equal on paper may differ in their last digits.
    seen = abs(sums.sum()) * (1 - 1e-9)
    return proportion_as_large(len(sums), lambda patterns: np.abs(_flipped(sums, patterns)) >= seen)


def proportion_as_large(clusters: int, is_as_large: Callable[[np.ndarray], np.ndarray]) -> float:
    """Return the share of patterns (clusters,) of 0 and 1 that `is_as_large` tells of some (patterns, clusters).

    Exact for few clusters, else from 20,000 random patterns with the one that was seen, all 1, counted in.
    """
    if clusters <= ENUMERATED:
        return float(is_as_large(np.arange(2**clusters)[:, None] >> np.arange(clusters) & 1).mean())
    chance = np.random.default_rng(SEED)
    at_once = max(1, CHUNK // clusters)
    as_large = 0
    for begin in range(0, FLIPS, at_once):
        shape = min(at_once, FLIPS - begin), clusters
        patterns = np.unpackbits(
            np.frombuffer(chance.bytes(shape[0] * -(-shape[1] // 8)), dtype=np.uint8).reshape(shape[0], -1),
            axis=1,
            count=shape[1],
        )
        as_large += int(is_as_large(patterns).sum())
    return (1 + as_large) / (1 + FLIPS)


def _flipped(sums: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    """Return the total of the sums for each pattern of signs, where 1 stands for plus and 0 for minus."""
    return 2 * (patterns.astype(np.float64) @ sums) - sums.sum()
