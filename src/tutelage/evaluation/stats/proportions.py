"""Shares of rows that are right: Wilson's interval, Newcombe's of a paired difference, and McNemar's exact test."""

import math

import numpy as np
from scipy import stats

from tutelage.evaluation.stats.intervals import CONFIDENCE, Interval, cluster_sums, standard_error


def wilson_interval(share: float, n: float) -> Interval:
    """Return the 95 % interval of a share from 0 to 1 seen in `n` rows, which may be a fraction of their number.

    Wilson 1927, Journal of the American Statistical Association 22:209-212.
    """
    z = stats.norm.ppf((1 + CONFIDENCE) / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half_width = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At 0 and 1 the ends are these exactly; rounding would put them beside.
    return (
        0.0 if share == 0 else float(middle - half_width),
        1.0 if share == 1 else float(middle + half_width),
    )


def effective_rows(differences: np.ndarray, clusters: np.ndarray) -> float:
    """Return how many rows that resemble no other would tell as much as these.

    The design effect (Kish 1965) is the variance of the mean over clusters by that over rows, kept between 1 and
    what it is where rows of a cluster are wholly alike. There it is put where nothing differs and it is unknown.
    A single cluster tells as much as one row.
    """
    n = len(differences)
    _, sizes = cluster_sums(differences, clusters)
    if len(sizes) == 1:
        return 1.0
    wholly_alike = float((sizes**2).sum()) / n
    by_row = standard_error(differences, np.arange(n))
    effect = (standard_error(differences, clusters) / by_row) ** 2 if by_row else wholly_alike
    return n / min(max(effect, 1.0), wholly_alike)


def newcombe_interval(base: np.ndarray, tuned: np.ndarray, n: float | None = None) -> Interval:
    """Return the 95 % interval, in percent points, of the difference between two shares of boolean (rows,).

    Method 10 of Newcombe 1998, Statistics in Medicine 17:2635-2650: two Wilson intervals, joined through the
    correlation of the pairs. `n` is the effective number of rows where some resemble each other.
    """
    n = n or len(base)
    share_base, share_tuned = float(base.mean()), float(tuned.mean())
    base_low, base_high = wilson_interval(share_base, n)
    tuned_low, tuned_high = wilson_interval(share_tuned, n)
    correlation = _correlation(base, tuned, n)
    difference = share_tuned - share_base
    below = _join(share_tuned - tuned_low, base_high - share_base, correlation)
    above = _join(tuned_high - share_tuned, share_base - base_low, correlation)
    return 100 * (difference - below), 100 * (difference + above)


def _correlation(base: np.ndarray, tuned: np.ndarray, n: float) -> float:
    """Return Newcombe's phi: the correlation of the pairs, a positive one shrunk towards 0 by n / 2."""
    rows = len(base)
    both, neither = (n / rows * int(each.sum()) for each in (base & tuned, ~base & ~tuned))
    only_base, only_tuned = (n / rows * int(each.sum()) for each in (base & ~tuned, ~base & tuned))
    association = both * neither - only_base * only_tuned
    if association > 0:
        association = max(association - n / 2, 0)
    margins = (both + only_base) * (neither + only_tuned) * (both + only_tuned) * (neither + only_base)
    return float(association / math.sqrt(margins)) if margins else 0.0


def _join(one: float, other: float, correlation: float) -> float:
    return math.sqrt(one**2 - 2 * correlation * one * other + other**2)


def mcnemar_p(base: np.ndarray, tuned: np.ndarray) -> float:
    """Return the exact two-sided p of McNemar's test on boolean (rows,): of the rows that changed, half each way."""
    only_base, only_tuned = int((base & ~tuned).sum()), int((~base & tuned).sum())
    if only_base + only_tuned == 0:
        return 1.0
    return float(stats.binomtest(only_tuned, only_base + only_tuned).pvalue)
