import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tutelage.evaluation.stats.permutation import sign_flip_p
from tutelage.evaluation.stats.proportions import (
    effective_rows,
    mcnemar_p,
    newcombe_interval,
    wilson_interval,
)


def test_wilsons_interval_equals_scipys():
    for right, rows in [(0, 7), (7, 7), (3, 10), (107, 110), (55, 110)]:
        expected = stats.binomtest(right, rows).proportion_ci(method="wilson")
        assert wilson_interval(right / rows, rows) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("share", [0.5, 0.97])
def test_wilsons_interval_holds_the_share_as_often_as_it_says(share):
    assert 0.935 <= exact_coverage(wilson_interval, share) <= 0.97


def test_a_wald_interval_of_a_high_share_is_caught():
    def wald(share, n):
        half = 1.96 * math.sqrt(share * (1 - share) / n)
        return share - half, share + half

    assert exact_coverage(wald, 0.97) < 0.9


def exact_coverage(interval, share, rows=110):
    """Add up the chance of each count of right rows whose interval holds the share."""
    counts = [
        k for k in range(rows + 1) if interval(k / rows, rows)[0] <= share <= interval(k / rows, rows)[1]
    ]
    return sum(stats.binom.pmf(k, rows, share) for k in counts)


def test_the_interval_of_paired_shares_equals_published_figures():
    # Cavo et al. 2012, in Fagerland, Lydersen & Laake 2017, "Statistical Analysis of Contingency
    # Tables", chapter 8: 59 both, 6 and 16 only one, 80 neither; Newcombe's square-and-add interval is
    # -0.1186 to -0.0046.
    tuned = np.repeat([True, True, False, False], [59, 6, 16, 80])
    base = np.repeat([True, False, True, False], [59, 6, 16, 80])
    assert newcombe_interval(base, tuned) == pytest.approx((-11.86, -0.46), abs=0.005)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_the_interval_of_shares_is_proper_and_turns_with_its_arms(pairs):
    base, tuned = np.array(pairs).T
    low, high = newcombe_interval(base, tuned)
    difference = 100 * (tuned.mean() - base.mean())
    assert -100 - 1e-9 <= low <= difference <= high <= 100 + 1e-9
    assert low < high
    assert newcombe_interval(tuned, base) == pytest.approx((-high, -low))


def test_mcnemars_p_by_hand():
    # 1 and 6 rows changed: 2 * (1 + 7) / 2 ** 7.
    base = np.repeat([True, False, True, False], [1, 6, 9, 4])
    tuned = np.repeat([False, True, True, False], [1, 6, 9, 4])
    assert mcnemar_p(base, tuned) == pytest.approx(16 / 128)
    assert mcnemar_p(base, base) == 1


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=14))
def test_mcnemars_p_is_that_of_flipped_signs(pairs):
    base, tuned = np.array(pairs).T
    differences = 100.0 * tuned - 100.0 * base
    assert mcnemar_p(base, tuned) == pytest.approx(sign_flip_p(differences, np.arange(len(pairs))))


def test_rows_repeated_five_times_are_as_many_as_one_set():
    differences = np.random.default_rng(0).choice([-100.0, 0, 100], 60, p=[0.1, 0.6, 0.3])
    repeated, clusters = np.tile(differences, 5), np.tile(np.arange(60), 5)
    assert effective_rows(repeated, clusters) == pytest.approx(60)
    assert effective_rows(np.zeros(300), clusters) == pytest.approx(60)


def test_separate_rows_all_count():
    differences = np.random.default_rng(0).choice([-100.0, 0, 100], 60)
    assert effective_rows(differences, np.arange(60)) == pytest.approx(60)


def test_rows_that_change_against_their_cluster_never_count_more_than_once():
    assert effective_rows(np.tile([100.0, -100.0], 20), np.repeat(np.arange(20), 2)) == 40


@pytest.mark.parametrize("differences", [[1.0], [1.0, 0.0, 1.0]])
def test_a_single_cluster_tells_as_much_as_one_row(differences):
    assert effective_rows(np.array(differences), np.zeros(len(differences))) == 1
