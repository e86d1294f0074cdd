"""What one run scored by one metric on the test rows, and the paired difference of two sides of runs in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tutelage.evaluation.metrics.metrics import Metric
from tutelage.evaluation.stats.statistics import PairedDifference, Resampled, paired_difference, resample


@dataclass(frozen=True)
class RowMean:
    """A metric that is the mean of one score per row: `scores` (rows,)."""

    metric: Metric
    scores: np.ndarray

    @property
    def value(self) -> float:
        return float(self.scores.mean())


def pair_measures(
    baseline: Sequence[RowMean], runs: Sequence[RowMean], clusters: np.ndarray
) -> tuple[PairedDifference, Resampled]:
    """Compare two sides of runs, each the seeds of one recipe, in one metric; a side is the mean over its runs."""
    base, tuned = mean_scores(baseline), mean_scores(runs)
    resampled = resample(base, tuned, clusters)
    return paired_difference(base, tuned, clusters), resampled


def mean_scores(runs: Sequence[RowMean]) -> np.ndarray:
    """Return the mean over the runs of each row's score: (rows,)."""
    return np.mean([run.scores for run in runs], axis=0)
