"""How far apart the mean rewards of desirable and undesirable answers are, and how sure that is."""

from dataclasses import dataclass

import numpy as np

from tutelage.evaluation.stats.intervals import t_interval


@dataclass(frozen=True)
class Margin:
    """The mean reward of desirable answers less that of undesirable ones, with a 95 % interval.

    All are None where there are no answers of one kind, and the interval is where all rows are in one cluster.
    """

    mean: float | None
    low: float | None = None
    high: float | None = None


def margin_of_means(rewards: np.ndarray, is_desirable: np.ndarray, clusters: np.ndarray) -> Margin:
    """Return the margin of the rewards (rows,); `clusters` (rows,) gives rows that resemble each other the same label.

    The interval is that of the mean of what each row adds to the margin: its distance from the mean of its kind,
    divided by the share of that kind. Clusters are one observation each, whether their rows are of one kind or of both.
    """
    if not 0 < is_desirable.sum() < len(rewards):
        return Margin(None)
    desirable, undesirable = rewards[is_desirable].mean(), rewards[~is_desirable].mean()
    margin = float(desirable - undesirable)
    if len(np.unique(clusters)) < 2:
        return Margin(margin)
    share = is_desirable.mean()
    added = np.where(is_desirable, (rewards - desirable) / share, (undesirable - rewards) / (1 - share))
    low, high = t_interval(margin + added, clusters)
    return Margin(margin, low, high)
