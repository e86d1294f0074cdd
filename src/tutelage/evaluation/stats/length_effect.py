"""Whether a difference is one of length: what is left of it between answers that are equally long."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from tutelage.evaluation.stats.intervals import CONFIDENCE


@dataclass(frozen=True)
class LengthEffect:
    """Mean lengths of both models' answers in tokens, and the difference of a metric at equal length.

    `adjusted` with its 95 % interval is in the metric's unit; None where every answer's length changed alike.
    """

    base: float
    tuned: float
    adjusted: float | None
    low: float | None
    high: float | None


def length_effect(
    differences: np.ndarray, base_tokens: np.ndarray, tuned_tokens: np.ndarray, clusters: np.ndarray
) -> LengthEffect | None:
    """Regress the paired difference on the logarithm of the paired length ratio, all (rows,); None without rows.

    The intercept is the difference of answers that are equally long. Its interval is robust to clusters, with the
    factors of `t_interval` for a line in place of a mean.
    """
    if len(differences) == 0:
        return None
    means = float(base_tokens.mean()), float(tuned_tokens.mean())
    # An answer may be empty; its end of turn counts.
    ratio = np.log((tuned_tokens + 1) / (base_tokens + 1))
    codes = np.unique(clusters, return_inverse=True)[1]
    count, n = codes.max() + 1, len(differences)
    if count < 3 or np.ptp(ratio) == 0:
        return LengthEffect(*means, None, None, None)
    design = np.column_stack([np.ones(n), ratio])  # (rows, 2)
    inverse = np.linalg.inv(design.T @ design)
    line = inverse @ design.T @ differences
    slopes = design * (differences - design @ line)[:, None]
    by_cluster = np.column_stack([np.bincount(codes, weights=column) for column in slopes.T])  # (clusters, 2)
    variance = count / (count - 1) * (n - 1) / (n - 2) * inverse @ by_cluster.T @ by_cluster @ inverse
    half_width = stats.t.ppf((1 + CONFIDENCE) / 2, count - 2) * np.sqrt(variance[0, 0])
    return LengthEffect(*means, float(line[0]), float(line[0] - half_width), float(line[0] + half_width))
