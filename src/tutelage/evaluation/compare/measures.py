"""What one run scored by one metric on the test rows, and the paired difference of two sides of runs in it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tutelage.evaluation.metrics.metric import Metric
from tutelage.evaluation.stats.intervals import bca_interval
from tutelage.evaluation.stats.paired_f1 import Average, f1_of, paired_f1
from tutelage.evaluation.stats.statistics import (
    BootstrapResult,
    PairedDifference,
    paired_difference,
    resample,
)


@dataclass(frozen=True)
class RowMean:
    """A metric that is the mean of one score per row: `scores` (rows,)."""

    metric: Metric
    scores: np.ndarray

    @property
    def value(self) -> float:
        return float(self.scores.mean())


@dataclass(frozen=True)
class LabelF1:
    """A metric of all rows together: the F1 of the labels `wanted` and `given`, (rows, labels) bool."""

    metric: Metric
    wanted: np.ndarray
    given: np.ndarray
    average: Average

    @property
    def value(self) -> float:
        return f1_of(self.wanted, self.given, self.average)


Measure = RowMean | LabelF1


def pair_measures(
    baseline: Sequence[Measure], runs: Sequence[Measure], clusters: np.ndarray
) -> tuple[PairedDifference, BootstrapResult]:
    """Compare two sides of runs, each the seeds of one recipe, in one metric; a side is the mean over its runs.

    `clusters` (rows,) gives rows that resemble each other the same label.
    """
    first = baseline[0]
    if isinstance(first, LabelF1):
        base, tuned = ([one.given for one in side if isinstance(one, LabelF1)] for side in (baseline, runs))
        return paired_f1(first.wanted, base, tuned, clusters, first.average)
    base, tuned = mean_scores(baseline), mean_scores(runs)
    return paired_difference(base, tuned, clusters), _with_bootstrap(
        resample(base, tuned, clusters), tuned - base, clusters
    )


def mean_scores(runs: Sequence[Measure]) -> np.ndarray:
    """Return the mean over the runs of each row's score: (rows,)."""
    return np.mean([run.scores for run in runs if isinstance(run, RowMean)], axis=0)


def _with_bootstrap(
    bootstrap: BootstrapResult, differences: np.ndarray, clusters: np.ndarray
) -> BootstrapResult:
    """Add the bootstrap's interval where a share has none: Newcombe's decides, and both stand in the record."""
    if bootstrap.bca_low is not None or len(differences) < 2:
        return bootstrap
    low, high = bca_interval(differences, clusters) or (None, None)
    return replace(bootstrap, bca_low=low, bca_high=high)
