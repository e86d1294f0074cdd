"""The margin of the means of two kinds of answers, and its interval."""

import numpy as np
import pytest
from scipy import stats

from tutelage.objectives.kto.margin import Margin, margin_of_means


def drawn(seed, rows, *, cluster_spread=0.0):
    """Rewards of two rows a prompt, one of each kind at random, with what the rows of a prompt have in common."""
    chance = np.random.default_rng(seed)
    clusters = np.arange(rows) // 4
    is_desirable = chance.random(rows) < 0.4
    common = cluster_spread * chance.standard_normal(clusters.max() + 1)[clusters]
    return is_desirable + chance.standard_normal(rows) + common, is_desirable, clusters


def test_without_clusters_the_interval_is_that_of_welch_with_the_factor_of_clusters():
    rewards, is_desirable, _ = drawn(1, 400)
    found = margin_of_means(rewards, is_desirable, np.arange(400))
    one, other = rewards[is_desirable], rewards[~is_desirable]
    assert found.mean == pytest.approx(one.mean() - other.mean())
    error = np.sqrt(one.var() / len(one) + other.var() / len(other)) * np.sqrt(400 / 399)
    half_width = stats.t.ppf(0.975, 399) * error
    assert (found.low, found.high) == pytest.approx((found.mean - half_width, found.mean + half_width))


@pytest.mark.parametrize("cluster_spread", [0.0, 2.0])
def test_the_interval_is_that_of_a_bootstrap_over_whole_clusters(cluster_spread):
    rewards, is_desirable, clusters = drawn(2, 800, cluster_spread=cluster_spread)
    found = margin_of_means(rewards, is_desirable, clusters)
    chance = np.random.default_rng(3)
    members = [np.flatnonzero(clusters == one) for one in range(clusters.max() + 1)]
    means = []
    for _ in range(4000):
        rows = np.concatenate([members[one] for one in chance.integers(len(members), size=len(members))])
        kind = is_desirable[rows]
        means.append(rewards[rows][kind].mean() - rewards[rows][~kind].mean())
    expected = np.quantile(means, [0.025, 0.975])
    assert np.abs(np.array([found.low, found.high]) - expected).max() < 0.08 * np.ptp(expected)


def test_clusters_of_both_kinds_narrow_the_interval_and_those_of_one_kind_widen_it():
    chance = np.random.default_rng(4)
    common = np.repeat(3 * chance.standard_normal(100), 2)
    rewards = common + 0.1 * chance.standard_normal(200)
    clusters, both = np.arange(200) // 2, np.tile([True, False], 100)
    one = np.repeat(np.tile([True, False], 50), 2)
    alone = [
        np.ptp([found.low, found.high])
        for found in (margin_of_means(rewards, kind, np.arange(200)) for kind in (both, one))
    ]
    together = [
        np.ptp([found.low, found.high])
        for found in (margin_of_means(rewards, kind, clusters) for kind in (both, one))
    ]
    assert together[0] < 0.1 * alone[0]
    assert together[1] > 1.3 * alone[1]


def test_rows_that_cannot_tell_have_no_margin_or_no_interval():
    rewards = np.array([1.0, 2.0, 4.0])
    assert margin_of_means(rewards, np.array([True] * 3), np.arange(3)) == Margin(None)
    assert margin_of_means(rewards, np.array([False] * 3), np.arange(3)) == Margin(None)
    assert margin_of_means(rewards, np.array([True, True, False]), np.zeros(3)) == Margin(-2.5)
