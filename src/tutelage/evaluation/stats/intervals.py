"""95 % intervals of a mean difference: Student's t, and the bootstrap that is free of its assumptions.

Rows of one cluster resemble each other, so a cluster counts as one observation, as large as it has rows.
"""

import math
from collections.abc import Iterator

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 10_000
SEED = 123
# So many drawn numbers are held at once.
CHUNK = 2**21

Interval = tuple[float, float]


def cluster_sums(differences: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of each cluster and its number of rows, both (clusters,); `clusters` (rows,) names any labels."""
    codes = np.unique(clusters, return_inverse=True)[1]
    return np.bincount(codes, weights=differences), np.bincount(codes)


def t_interval(differences: np.ndarray, clusters: np.ndarray) -> Interval:
    """Return the 95 % t interval of the mean of (rows,), from at least two clusters.

    The variance is that of the clusters' sums around what the mean expects of them (Liang and Zeger 1986, with the
    factor G / (G - 1) for G clusters); where every cluster is one row it is the textbook's.
    """
    half_width = t_critical(len(np.unique(clusters))) * standard_error(differences, clusters)
    return float(differences.mean() - half_width), float(differences.mean() + half_width)


def t_critical(clusters: float) -> float:
    """Return the two-sided 5 % point of Student's t for so many independent observations."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, clusters - 1))


def standard_error(differences: np.ndarray, clusters: np.ndarray) -> float:
    """Return the standard error of the mean of (rows,), rows of one cluster taken together."""
    sums, sizes = cluster_sums(differences, clusters)
    residuals = sums - sizes * differences.mean()  # (clusters,)
    count = len(sums)
    return math.sqrt(count / (count - 1) * float(residuals @ residuals)) / len(differences)


def bca_interval(
    differences: np.ndarray, clusters: np.ndarray, *, resamples: int = RESAMPLES
) -> Interval | None:
    """Return the 95 % bias-corrected accelerated bootstrap interval of the mean of (rows,), over whole clusters.

    Efron 1987, Journal of the American Statistical Association 82:171-185. The bootstrap is too narrow for few clusters
    G, as a variance divided by G is and normal quantiles are, so it is widened by both (Hesterberg 2015, The American
    Statistician 69:371-386): by a tenth at 20, by a sixtieth at 110. None where all clusters are alike.
    """
    sums, sizes = cluster_sums(differences, clusters)
    mean = sums.sum() / sizes.sum()
    if len(sums) < 2 or np.ptp(sums / sizes) == 0:
        return None
    left_out = (sums.sum() - sums) / (sizes.sum() - sizes)  # the mean without each cluster
    return accelerated_interval(_bootstrap_means(sums, sizes, resamples), mean, left_out)


def accelerated_interval(drawn: np.ndarray, seen: float, left_out: np.ndarray) -> Interval | None:
    """Return the interval of `bca_interval` for any statistic: `drawn` (resamples,) and (clusters,) without each.

    None where no resample differs from another.
    """
    drawn = np.sort(drawn)
    count = len(left_out)
    if drawn[0] == drawn[-1]:
        return None
    below = ((drawn < seen).mean() + (drawn <= seen).mean()) / 2
    # A statistic that is no mean may lie beyond all that is drawn.
    bias = stats.norm.ppf(np.clip(below, 0.5 / len(drawn), 1 - 0.5 / len(drawn)))
    pull = left_out.mean() - left_out
    squares = (pull**2).sum()
    acceleration = (pull**3).sum() / (6 * squares**1.5) if squares else 0.0
    reach = math.sqrt(count / (count - 1)) * t_critical(count)
    ends = bias + np.array([-reach, reach])
    low, high = np.quantile(drawn, stats.norm.cdf(bias + ends / (1 - acceleration * ends)))
    return float(low), float(high)


def _bootstrap_means(sums: np.ndarray, sizes: np.ndarray, resamples: int) -> np.ndarray:
    """Return the mean of so many samples of clusters, drawn with replacement: (resamples,)."""
    chance = np.random.default_rng(SEED)
    at_once = max(1, CHUNK // len(sums))
    means = []
    for begin in range(0, resamples, at_once):
        drawn = chance.integers(len(sums), size=(min(at_once, resamples - begin), len(sums)), dtype=np.int32)
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.concatenate(means)


def cluster_weights(clusters: int, resamples: int, *, width: int = 1) -> Iterator[np.ndarray]:
    """Yield how often each cluster is in a sample drawn with replacement, some (samples, clusters) at a time.

    `width` is how many numbers are worked out of a sample, where they are more than the clusters.
    """
    chance = np.random.default_rng(SEED)
    at_once = max(1, CHUNK // max(clusters, width))
    for begin in range(0, resamples, at_once):
        shape = min(at_once, resamples - begin), clusters
        drawn = chance.integers(clusters, size=shape) + clusters * np.arange(shape[0])[:, None]
        yield np.bincount(drawn.ravel(), minlength=drawn.size).reshape(shape).astype(np.float64)


def intervals_disagree(one: Interval, other: Interval) -> bool:
    """Tell whether an end of the second lies away from the first's by more than a tenth of the first's width."""
    away = max(abs(one[0] - other[0]), abs(one[1] - other[1]))
    return away > 0.1 * (one[1] - one[0])
