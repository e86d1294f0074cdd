"""The mean difference of two models on the same rows, its 95 % interval, and what the test could see."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from tutelage.evaluation.stats.intervals import Interval, bca_interval, t_critical, t_interval
from tutelage.evaluation.stats.permutation import sign_flip_p
from tutelage.evaluation.stats.proportions import (
    effective_rows,
    mcnemar_p,
    newcombe_interval,
    wilson_interval,
)

POWER = 0.80
# The lowest and the highest value of what is scored in percent or points.
BOUNDS = (0.0, 100.0)


@dataclass(frozen=True)
class PairedDifference:
    """Tuned minus base over `n` rows, in the metric's unit; `None` where the rows cannot tell.

    `minimum_detectable_effect` is the smallest true mean difference that this test finds with 80 % power.
    `higher`, `equal` and `lower` count the rows where the tuned model's value is so; `higher_low` and `higher_high`
    bound, in percent, the share of higher ones among those that differ. `base_low` and its like bound the two shares
    of a metric of right or wrong. `clusters` counts the rows that resemble no other, `missing` the pairs left out
    because a score is not there; with those counted against the tuned model and for it, the difference would be
    `if_against` and `if_for`.
    """

    base: float | None
    tuned: float | None
    difference: float | None
    low: float | None
    high: float | None
    minimum_detectable_effect: float | None
    n: int
    higher: int
    equal: int
    lower: int
    clusters: int
    missing: int = 0
    if_against: float | None = None
    if_for: float | None = None
    higher_low: float | None = None
    higher_high: float | None = None
    base_low: float | None = None
    base_high: float | None = None
    tuned_low: float | None = None
    tuned_high: float | None = None


@dataclass(frozen=True)
class BootstrapResult:
    """What drawing rows and flipping signs says of a difference: a second interval, and the p of no difference."""

    bca_low: float | None
    bca_high: float | None
    p: float | None


def paired_difference(
    base: np.ndarray, tuned: np.ndarray, clusters: np.ndarray | None = None, *, is_out_of_100: bool = True
) -> PairedDifference:
    """Compare two arrays (rows,) whose entries at one index belong to one row; NaN is a score that is not there.

    Values that are all 0 or 100, as of exact match, are taken as right or wrong: their interval is
    Newcombe's, because that of t has no width where no row changed, and is too narrow where few did. Any
    others get the paired t interval, and none where all rows changed alike, since their spread is unknown.
    `clusters` (rows,) gives rows that resemble each other the same label; without it each row stands alone. Where
    values are not known to be out of 100, zeros alone are no shares.
    """
    pairs = _Pairs.of(base, tuned, clusters, is_out_of_100)
    differences = pairs.differences
    n = len(differences)
    against, in_favour = _bounds_with_missing(base, tuned)
    higher, lower = int((differences > 0).sum()), int((differences < 0).sum())
    low, high = _interval(pairs)
    return PairedDifference(
        base=float(pairs.base.mean()) if n else None,
        tuned=float(pairs.tuned.mean()) if n else None,
        difference=float(differences.mean()) if n else None,
        low=low,
        high=high,
        minimum_detectable_effect=minimum_detectable_effect(low, high, pairs.independent),
        n=n,
        higher=higher,
        equal=n - higher - lower,
        lower=lower,
        clusters=len(np.unique(pairs.clusters)),
        missing=len(base) - n,
        if_against=against,
        if_for=in_favour,
        **_higher_interval(higher, lower, pairs.independent / n if n else 0),
        **_share_intervals(pairs),
    )


def resample(
    base: np.ndarray, tuned: np.ndarray, clusters: np.ndarray | None = None, *, is_out_of_100: bool = True
) -> BootstrapResult:
    """Return the bootstrap interval and the p of the same arrays; for shares that stand alone, McNemar's exact p.

    McNemar's test is the flipping of signs where all differences are as large. Newcombe's interval of shares needs
    no second one.
    """
    pairs = _Pairs.of(base, tuned, clusters, is_out_of_100)
    if len(pairs.differences) < 2:
        return BootstrapResult(None, None, None)
    if pairs.are_proportions:
        stand_alone = len(np.unique(pairs.clusters)) == len(pairs.differences)
        p = mcnemar_p(pairs.base == 100, pairs.tuned == 100) if stand_alone else _flip(pairs)
        return BootstrapResult(None, None, p)
    low, high = bca_interval(pairs.differences, pairs.clusters) or (None, None)
    return BootstrapResult(low, high, _flip(pairs))


def mean_interval(values: np.ndarray, clusters: np.ndarray, *, is_out_of_100: bool = True) -> Interval | None:
    """Return the 95 % interval of the mean of (rows,), or None if the rows are too few or too alike.

    It is Wilson's for values of right or wrong, and Student's t for others.
    """
    pairs = _Pairs.of(np.zeros_like(values), values, clusters, is_out_of_100)
    if len(np.unique(pairs.clusters)) < 2:
        return None
    if pairs.are_proportions:
        low, high = wilson_interval(float(pairs.tuned.mean() / 100), pairs.independent)
        return 100 * low, 100 * high
    return t_interval(pairs.tuned, pairs.clusters) if np.ptp(pairs.tuned) else None


def _flip(pairs: "_Pairs") -> float:
    return sign_flip_p(pairs.differences, pairs.clusters)


@dataclass(frozen=True)
class _Pairs:
    """The rows that both models have a score on: arrays (rows,)."""

    base: np.ndarray
    tuned: np.ndarray
    clusters: np.ndarray
    is_out_of_100: bool

    @staticmethod
    def of(base: np.ndarray, tuned: np.ndarray, clusters: np.ndarray | None, is_out_of_100: bool) -> "_Pairs":
        is_there = ~(np.isnan(base) | np.isnan(tuned))
        labels = np.arange(len(base)) if clusters is None else clusters
        return _Pairs(base[is_there], tuned[is_there], labels[is_there], is_out_of_100)

    @property
    def differences(self) -> np.ndarray:
        return self.tuned - self.base

    @property
    def are_proportions(self) -> bool:
        both = np.stack([self.base, self.tuned])
        return bool(np.isin(both, BOUNDS).all()) and (self.is_out_of_100 or bool(both.any()))

    @property
    def independent(self) -> float:
        """The number of observations: of shares the effective rows, of anything else the clusters."""
        count = len(np.unique(self.clusters))
        return (
            effective_rows(self.differences, self.clusters) if self.are_proportions and count > 1 else count
        )


def _interval(pairs: _Pairs) -> Interval | tuple[None, None]:
    if len(np.unique(pairs.clusters)) < 2:
        return None, None
    if pairs.are_proportions:
        return newcombe_interval(pairs.base == 100, pairs.tuned == 100, pairs.independent)
    if np.ptp(pairs.differences) == 0:
        return None, None
    return t_interval(pairs.differences, pairs.clusters)


def minimum_detectable_effect(low: float | None, high: float | None, independent: float) -> float | None:
    """Return the smallest true difference that a test with this interval finds with 80 % power.

    Scale the half-width from a change that is just significant to one that 80 % of tests would find.

    For the t interval this is exactly delta * sd / sqrt(n), where delta is the noncentrality at which
    Student's t exceeds its critical value with 80 % probability (Cohen 1988, chapter 2). For Newcombe's it
    is close to that, and stays above 0 where no row changed.
    """
    if low is None or high is None:
        return None
    critical = t_critical(independent)
    noncentrality = special.nctdtrinc(independent - 1, 1 - POWER, critical)
    return float((high - low) / 2 * noncentrality / critical)


def _bounds_with_missing(base: np.ndarray, tuned: np.ndarray) -> tuple[float | None, float | None]:
    """Return the difference if every score that is not there were the worst for the tuned model, and the best."""
    if not (np.isnan(base).any() or np.isnan(tuned).any()):
        return None, None
    lowest, highest = BOUNDS
    against = np.nan_to_num(tuned, nan=lowest) - np.nan_to_num(base, nan=highest)
    in_favour = np.nan_to_num(tuned, nan=highest) - np.nan_to_num(base, nan=lowest)
    return float(against.mean()), float(in_favour.mean())


def _higher_interval(higher: int, lower: int, independent_share: float) -> dict[str, float | None]:
    if not higher + lower or not independent_share:
        return {"higher_low": None, "higher_high": None}
    low, high = wilson_interval(higher / (higher + lower), (higher + lower) * independent_share)
    return {"higher_low": 100 * low, "higher_high": 100 * high}


def _share_intervals(pairs: _Pairs) -> dict[str, float | None]:
    names = ("base_low", "base_high", "tuned_low", "tuned_high")
    if not len(pairs.base) or not pairs.are_proportions:
        return dict.fromkeys(names)
    ends = [
        100 * end
        for share in (pairs.base.mean() / 100, pairs.tuned.mean() / 100)
        for end in wilson_interval(float(share), pairs.independent)
    ]
    return dict(zip(names, ends, strict=True))
