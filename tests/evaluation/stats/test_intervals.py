import math

import numpy as np
import pytest
from scipy import stats
from support.book_scores import DIFFERENCE, drawn_pairs

from tutelage.evaluation.stats.intervals import (
    bca_interval,
    intervals_disagree,
    standard_error,
    t_interval,
)

SCORES = np.random.default_rng(5).gamma(1.5, 20, 60) - 25


def alone(differences):
    return np.arange(len(differences))


def test_the_t_interval_by_hand():
    # Differences 1, 2, 3: mean 2, standard error 1 / sqrt(3); t(0.975, 2) = 4.302653.
    found = t_interval(np.array([1.0, 2, 3]), np.arange(3))
    assert found == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-6)


def test_the_t_interval_of_separate_rows_equals_scipys():
    expected = stats.ttest_1samp(SCORES, 0).confidence_interval(0.95)
    assert t_interval(SCORES, alone(SCORES)) == pytest.approx((expected.low, expected.high))


def test_the_standard_error_over_clusters_by_hand():
    # Clusters (1, 3), (2), (6): mean 3, sums 4, 2, 6 where 6, 3, 3 are expected: residuals -2, -1, 3.
    # Variance 3 / 2 * (4 + 1 + 9) / 4 ** 2.
    found = standard_error(np.array([1.0, 3, 2, 6]), np.array([7, 7, 8, 9]))
    assert found == pytest.approx(math.sqrt(1.5 * 14 / 16))


@pytest.mark.parametrize("interval", [t_interval, bca_interval])
def test_rows_repeated_five_times_leave_the_interval_as_wide(interval):
    once = interval(SCORES, alone(SCORES))
    again = interval(np.tile(SCORES, 5), np.tile(alone(SCORES), 5))
    assert width(again) == pytest.approx(width(once), rel=1e-9)


def test_repeated_rows_that_count_as_separate_are_caught():
    repeated = np.tile(SCORES, 5)
    assert width(t_interval(repeated, alone(repeated))) < 0.5 * width(t_interval(SCORES, alone(SCORES)))


def width(interval):
    return interval[1] - interval[0]


def test_the_bootstraps_interval_is_that_of_scipy_at_the_level_that_few_rows_need():
    # 60 scores: t(0.975, 59) = 2.000995, times sqrt(60 / 59) = 2.017882, is the normal's two-sided 95.640 %.
    expected = stats.bootstrap(
        (SCORES,),
        np.mean,
        n_resamples=40_000,
        confidence_level=0.95640,
        method="BCa",
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = bca_interval(SCORES, alone(SCORES))
    # The ends of 10,000 draws scatter by about a hundredth of the width.
    assert found == pytest.approx((expected.low, expected.high), abs=0.03 * (expected.high - expected.low))


def test_a_plain_percentile_interval_would_be_told_from_it():
    skewed = np.random.default_rng(2).lognormal(0, 1.5, 30)
    low, high = bca_interval(skewed, alone(skewed))
    percentile = stats.bootstrap((skewed,), np.mean, method="percentile", rng=np.random.default_rng(1))
    assert abs(percentile.confidence_interval.high - high) > 0.1 * (high - low)
    assert intervals_disagree(t_interval(skewed, alone(skewed)), (low, high))


def test_alike_clusters_have_no_bootstrap_interval():
    assert bca_interval(np.array([2.0, 2, 2]), np.arange(3)) is None
    assert bca_interval(np.array([1.0, 3, 1, 3]), np.array([0, 0, 1, 1])) is None
    assert bca_interval(np.array([2.0]), np.arange(1)) is None


def test_the_same_scores_give_the_same_bootstrap():
    assert bca_interval(SCORES, alone(SCORES)) == bca_interval(SCORES.copy(), alone(SCORES))


@pytest.mark.parametrize("rows", [20, 55, 110])
def test_t_intervals_of_the_books_scores_hold_the_truth_in_95_of_100(rows):
    assert 0.935 <= coverage(t_interval, rows, trials=2000) <= 0.965


def test_bootstrap_intervals_of_the_books_scores_hold_the_truth():
    def interval(differences, clusters):
        return bca_interval(differences, clusters, resamples=600)

    assert 0.935 <= coverage(interval, 110, trials=800) <= 0.965


@pytest.mark.nightly
@pytest.mark.parametrize("rows", [20, 55, 110])
def test_the_bootstrap_as_it_is_used_holds_the_truth_in_95_of_100(rows):
    assert 0.935 <= coverage(bca_interval, rows, trials=2000) <= 0.965


def test_an_interval_of_ninety_percent_is_caught_by_its_coverage():
    def too_narrow(differences, clusters):
        low, high = t_interval(differences, clusters)
        middle, half = (low + high) / 2, (high - low) / 2 * 1.645 / 1.96
        return middle - half, middle + half

    assert coverage(too_narrow, 110, trials=2000) < 0.935


def coverage(interval, rows, *, trials):
    chance = np.random.default_rng(rows)
    held = 0
    for _ in range(trials):
        base, tuned = drawn_pairs(chance, rows)
        low, high = interval(tuned - base, np.arange(rows))
        held += low <= DIFFERENCE <= high
    return held / trials


@pytest.mark.parametrize("is_clustered", [True, False])
def test_intervals_over_clusters_hold_the_truth_and_those_over_rows_do_not(is_clustered):
    chance, held = np.random.default_rng(4), 0
    for _ in range(1000):
        base, tuned = drawn_pairs(chance, 40)
        sizes = chance.integers(1, 5, 40)
        differences = np.repeat(tuned - base, sizes)
        clusters = np.repeat(np.arange(40), sizes) if is_clustered else alone(differences)
        low, high = t_interval(differences, clusters)
        held += low <= DIFFERENCE <= high
    assert (0.93 <= held / 1000 <= 0.965) == is_clustered
