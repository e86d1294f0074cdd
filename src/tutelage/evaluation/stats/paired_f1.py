"""The difference in F1 of two sides on the same rows: no mean over rows, so that whole clusters are drawn and swapped.

A side is the runs of one recipe, and its F1 the mean over them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tutelage.evaluation.stats.intervals import RESAMPLES, accelerated_interval, cluster_weights
from tutelage.evaluation.stats.permutation import proportion_as_large
from tutelage.evaluation.stats.statistics import BootstrapResult, PairedDifference, minimum_detectable_effect

# Of hits and of labels wanted and given together, both (..., labels), to F1 (...).
Average = Callable[[np.ndarray, np.ndarray], np.ndarray]


def macro_f1(hits: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return the mean over labels of their F1, which is 0 of a label that is neither wanted nor given."""
    by_label = np.divide(2 * hits, total, out=np.zeros(total.shape), where=total > 0)
    return by_label.mean(axis=-1)


def micro_f1(hits: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return the F1 of all decisions together, which is 1 where no label is wanted or given."""
    total = total.sum(axis=-1)
    return np.divide(2 * hits.sum(axis=-1), total, out=np.ones(total.shape), where=total > 0)


def f1_of(wanted: np.ndarray, given: np.ndarray, average: Average) -> float:
    """Return the F1 of (rows, labels) bool that were wanted and given."""
    return float(average((wanted & given).sum(axis=0), wanted.sum(axis=0) + given.sum(axis=0)))


def paired_f1(
    wanted: np.ndarray,
    base: Sequence[np.ndarray],
    tuned: Sequence[np.ndarray],
    clusters: np.ndarray,
    average: Average,
) -> tuple[PairedDifference, BootstrapResult]:
    """Compare the labels that the runs of two sides gave, each (rows, labels) bool, with those `wanted`.

    The interval is the bias-corrected accelerated bootstrap's over whole clusters, `clusters` (rows,). p swaps the
    sides of each cluster; with several runs a side it is that of the F1 of their mean counts. Rows are higher, equal
    and lower by the F1 of their own labels.
    """
    old, new = ([_Counts.of(wanted, given, clusters) for given in side] for side in (base, tuned))
    before, after = (
        float(np.mean([f1_of(wanted, given, average) for given in side])) for side in (base, tuned)
    )
    interval, p = None, None
    if len(wanted) > 1:
        interval = _interval(old, new, after - before, average)
        p = _swapped_p(_mean_counts(old), _mean_counts(new), average)
    low, high = interval or (None, None)
    higher, lower = _rows_apart(wanted, base, tuned)
    independent = len(old[0].hits)
    return PairedDifference(
        base=before,
        tuned=after,
        difference=after - before,
        low=low,
        high=high,
        minimum_detectable_effect=minimum_detectable_effect(low, high, independent),
        n=len(wanted),
        higher=higher,
        equal=len(wanted) - higher - lower,
        lower=lower,
        clusters=independent,
    ), BootstrapResult(low, high, p)


@dataclass(frozen=True)
class _Counts:
    """What F1 counts of a run, by cluster and label: (clusters, labels)."""

    hits: np.ndarray
    total: np.ndarray

    @staticmethod
    def of(wanted: np.ndarray, given: np.ndarray, clusters: np.ndarray) -> "_Counts":
        codes = np.unique(clusters, return_inverse=True)[1]

        def by_cluster(values: np.ndarray) -> np.ndarray:
            sums = np.zeros((codes.max() + 1, values.shape[1]))
            np.add.at(sums, codes, values)
            return sums

        return _Counts(by_cluster(wanted & given), by_cluster(wanted.astype(int) + given))


def _difference(
    base: Sequence[_Counts], tuned: Sequence[_Counts], weights: np.ndarray, average: Average
) -> np.ndarray:
    """Return the difference where each cluster counts so often: of weights (samples, clusters) the (samples,)."""
    before, after = (
        np.mean([average(weights @ one.hits, weights @ one.total) for one in side], axis=0)
        for side in (base, tuned)
    )
    return after - before


def _interval(
    base: Sequence[_Counts], tuned: Sequence[_Counts], difference: float, average: Average
) -> tuple[float, float] | None:
    count, labels = base[0].hits.shape
    if count < 2:
        return None
    drawn = np.concatenate(
        [
            _difference(base, tuned, weights, average)
            for weights in cluster_weights(count, RESAMPLES, width=labels)
        ]
    )
    before, after = (np.mean([_left_out(one, average) for one in side], axis=0) for side in (base, tuned))
    return accelerated_interval(drawn, difference, after - before)


def _left_out(one: _Counts, average: Average) -> np.ndarray:
    """Return the F1 without each of the clusters: (clusters,)."""
    return average(one.hits.sum(axis=0) - one.hits, one.total.sum(axis=0) - one.total)


def _mean_counts(side: Sequence[_Counts]) -> _Counts:
    return _Counts(np.mean([one.hits for one in side], axis=0), np.mean([one.total for one in side], axis=0))


def _swapped_p(base: _Counts, tuned: _Counts, average: Average) -> float:
    """Return how often sides that are swapped by cluster differ as much, of clusters in which they do differ."""
    hits, total = tuned.hits - base.hits, tuned.total - base.total
    is_apart = (hits != 0).any(axis=1) | (total != 0).any(axis=1)
    hits, total = hits[is_apart], total[is_apart]

    def differences(patterns: np.ndarray) -> np.ndarray:
        swap = 1.0 - patterns  # (patterns, clusters): 1 where the sides change places
        before = average(base.hits.sum(axis=0) + swap @ hits, base.total.sum(axis=0) + swap @ total)
        after = average(tuned.hits.sum(axis=0) - swap @ hits, tuned.total.sum(axis=0) - swap @ total)
        return after - before

    seen = abs(differences(np.ones((1, len(hits))))[0]) * (1 - 1e-9)
    return proportion_as_large(len(hits), lambda patterns: np.abs(differences(patterns)) >= seen)


def _rows_apart(
    wanted: np.ndarray, base: Sequence[np.ndarray], tuned: Sequence[np.ndarray]
) -> tuple[int, int]:
    before, after = (np.mean([_f1_by_row(wanted, given) for given in side], axis=0) for side in (base, tuned))
    return int((after > before).sum()), int((after < before).sum())


def _f1_by_row(wanted: np.ndarray, given: np.ndarray) -> np.ndarray:
    return micro_f1(wanted & given, wanted.astype(int) + given)  # (rows,)
