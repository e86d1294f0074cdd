"""The mean difference of two models on the same rows, its 95 % interval, and what the test could see."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

CONFIDENCE = 0.95
POWER = 0.80


@dataclass(frozen=True)
class PairedDifference:
    """Tuned minus base over `n` rows, in the metric's unit; `None` where the rows cannot tell.

    `smallest_detectable` is the smallest true mean difference that this test finds with 80 % power.
    `higher`, `equal` and `lower` count the rows where the tuned model's value is so.
    """

    base: float | None
    tuned: float | None
    difference: float | None
    low: float | None
    high: float | None
    smallest_detectable: float | None
    n: int
    higher: int
    equal: int
    lower: int


def paired_difference(base: np.ndarray, tuned: np.ndarray) -> PairedDifference:
    """Compare two arrays (rows,) whose entries at one index belong to one row.

    Values that are all 0 or 100, as of exact match, are taken as right or wrong: their interval is
    Newcombe's, because that of t has no width where no row changed, and is too narrow where few did. Any
    others get the paired t interval, and none where all rows changed alike, since their spread is unknown.
    """
    differences = tuned - base  # (rows,)
    n = len(differences)
    low, high = _interval(base, tuned)
    return PairedDifference(
        base=float(base.mean()) if n else None,
        tuned=float(tuned.mean()) if n else None,
        difference=float(differences.mean()) if n else None,
        low=low,
        high=high,
        smallest_detectable=_smallest_detectable(low, high, n),
        n=n,
        higher=int((differences > 0).sum()),
        equal=int((differences == 0).sum()),
        lower=int((differences < 0).sum()),
    )


def _interval(base: np.ndarray, tuned: np.ndarray) -> tuple[float | None, float | None]:
    if len(base) < 2:
        return None, None
    if np.isin([base, tuned], [0, 100]).all():
        return newcombe_interval(base == 100, tuned == 100)
    if np.ptp(tuned - base) == 0:
        return None, None
    return t_interval(tuned - base)


def t_interval(differences: np.ndarray) -> tuple[float, float]:
    """Return the 95 % t interval of the mean of (rows,)."""
    n = len(differences)
    half_width = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * differences.std(ddof=1) / math.sqrt(n)
    return float(differences.mean() - half_width), float(differences.mean() + half_width)


def newcombe_interval(base: np.ndarray, tuned: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval, in percent points, of the difference between two shares of boolean (rows,).

    Method 10 of Newcombe 1998, Statistics in Medicine 17:2635-2650: two Wilson intervals, joined through the
    correlation of the pairs.
    """
    share_base, base_low, base_high = _wilson(base)
    share_tuned, tuned_low, tuned_high = _wilson(tuned)
    correlation = _correlation(base, tuned)
    difference = share_tuned - share_base
    below = _join(share_tuned - tuned_low, base_high - share_base, correlation)
    above = _join(tuned_high - share_tuned, share_base - base_low, correlation)
    return 100 * (difference - below), 100 * (difference + above)


def _wilson(right: np.ndarray) -> tuple[float, float, float]:
    interval = stats.binomtest(int(right.sum()), len(right)).proportion_ci(CONFIDENCE, method="wilson")
    return float(right.mean()), float(interval.low), float(interval.high)


def _correlation(base: np.ndarray, tuned: np.ndarray) -> float:
    """Return Newcombe's phi: the correlation of the pairs, a positive one shrunk towards 0 by n / 2."""
    both, neither = int((base & tuned).sum()), int((~base & ~tuned).sum())
    only_base, only_tuned = int((base & ~tuned).sum()), int((~base & tuned).sum())
    association = both * neither - only_base * only_tuned
    if association > 0:
        association = max(association - len(base) / 2, 0)
    margins = base.sum() * (~base).sum() * tuned.sum() * (~tuned).sum()
    return float(association / math.sqrt(margins)) if margins else 0.0


def _join(one: float, other: float, correlation: float) -> float:
    return math.sqrt(one**2 - 2 * correlation * one * other + other**2)


def _smallest_detectable(low: float | None, high: float | None, n: int) -> float | None:
    """Scale the half-width from a change that is just significant to one that 80 % of tests would find.

    For the t interval this is exactly delta * sd / sqrt(n), where delta is the noncentrality at which
    Student's t exceeds its critical value with 80 % probability (Cohen 1988, chapter 2). For Newcombe's it
    is close to that, and stays above 0 where no row changed.
    """
    if low is None or high is None:
        return None
    critical = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)
    noncentrality = special.nctdtrinc(n - 1, 1 - POWER, critical)
    return float((high - low) / 2 * noncentrality / critical)
