import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tutelage.evaluation.statistics import newcombe_interval, paired_difference, t_interval

TRIALS = 1500


def equal_models(chance, *, rows=110, effect=0.0):
    """Scores as of chrF: both models find the same rows hard, and each is often wholly right."""
    difficulty = chance.beta(2, 2, rows)
    base, tuned = (
        np.where(chance.random(rows) > difficulty, 100, 100 * chance.beta(4, 2, rows) * (1 - difficulty))
        for _ in range(2)
    )
    return base, tuned + effect


def a_weak_and_a_strong_model(chance, *, rows=110):
    """A base model that is mostly wrong, and a tuned one that is wholly right on half of the rows."""
    base = 100 * chance.beta(1.2, 3, rows)
    tuned = np.where(chance.random(rows) < 0.5, 100, 100 * chance.beta(4, 2, rows))
    return base, tuned


# The mean of beta(a, b) is a / (a + b).
STRONG_MINUS_WEAK = 100 * ((0.5 + 0.5 * 4 / 6) - 1.2 / 4.2)


def right_or_wrong_pairs(chance, *, rows=110, only_base=0.1, only_tuned=0.1, both=0.3):
    kind = chance.random(rows)
    wins, losses = kind < only_tuned, (kind >= only_tuned) & (kind < only_tuned + only_base)
    shared = (kind >= only_tuned + only_base) & (kind < only_tuned + only_base + both)
    return np.where(losses | shared, 100.0, 0.0), np.where(wins | shared, 100.0, 0.0)


def ours(base, tuned):
    one = paired_difference(base, tuned)
    return one.low, one.high


def unpaired(base, tuned):
    half = 1.96 * math.sqrt(base.var(ddof=1) / len(base) + tuned.var(ddof=1) / len(tuned))
    return tuned.mean() - base.mean() - half, tuned.mean() - base.mean() + half


def wald(base, tuned):
    half = 1.96 * (tuned - base).std(ddof=1) / math.sqrt(len(base))
    return (tuned - base).mean() - half, (tuned - base).mean() + half


def coverage(interval, pairs, truth, seed=1):
    chance = np.random.default_rng(seed)
    intervals = [interval(*pairs(chance)) for _ in range(TRIALS)]
    return sum(low <= truth <= high for low, high in intervals) / TRIALS


def detection(interval, pairs, seed=2):
    chance = np.random.default_rng(seed)
    intervals = [interval(*pairs(chance)) for _ in range(TRIALS)]
    return sum(low > 0 or high < 0 for low, high in intervals) / TRIALS


def test_the_t_interval_by_hand():
    # Differences 1, 2, 3: mean 2, standard error 1 / sqrt(3); t(0.975, 2) = 4.302653.
    one = paired_difference(np.array([10.0, 20, 30]), np.array([11.0, 22, 33]))
    assert (one.base, one.tuned, one.difference) == (20, 22, 2)
    assert (one.low, one.high) == pytest.approx((2 - 2.484138, 2 + 2.484138), abs=1e-6)
    assert (one.n, one.higher, one.equal, one.lower) == (3, 3, 0, 0)


def test_the_t_interval_equals_scipys():
    base, tuned = equal_models(np.random.default_rng(0))
    expected = stats.ttest_rel(tuned, base).confidence_interval(0.95)
    assert ours(base, tuned) == pytest.approx((expected.low, expected.high))


def test_the_interval_of_shares_equals_published_figures():
    # Cavo et al. 2012, in Fagerland, Lydersen & Laake 2017, "Statistical Analysis of Contingency
    # Tables", chapter 8: 59 both, 6 and 16 only one, 80 neither; Newcombe's square-and-add interval is
    # -0.1186 to -0.0046.
    tuned = np.repeat([True, True, False, False], [59, 6, 16, 80])
    base = np.repeat([True, False, True, False], [59, 6, 16, 80])
    assert newcombe_interval(base, tuned) == pytest.approx((-11.86, -0.46), abs=0.005)


@pytest.mark.parametrize(
    ("pairs", "truth"), [(equal_models, 0), (a_weak_and_a_strong_model, STRONG_MINUS_WEAK)]
)
def test_95_percent_intervals_of_scores_hold_the_truth(pairs, truth):
    assert 0.935 <= coverage(ours, pairs, truth) <= 0.965


def test_an_unpaired_interval_is_caught_by_its_coverage():
    assert coverage(unpaired, equal_models, truth=0) > 0.965


@pytest.mark.parametrize(
    "shares",
    [
        {"only_base": 0.1, "only_tuned": 0.1, "both": 0.3},
        {"only_base": 0.005, "only_tuned": 0.05, "both": 0.9},
        {"only_base": 0.0, "only_tuned": 0.03, "both": 0.0},
    ],
)
def test_95_percent_intervals_of_shares_hold_the_truth(shares):
    truth = 100 * (shares["only_tuned"] - shares["only_base"])
    assert coverage(ours, partial(right_or_wrong_pairs, **shares), truth) >= 0.94


def test_a_wald_interval_of_shares_is_caught_by_its_coverage():
    rare = partial(right_or_wrong_pairs, only_base=0.0, only_tuned=0.03, both=0.0)
    assert coverage(wald, rare, truth=3) < 0.9


@pytest.mark.parametrize("pairs", [equal_models, right_or_wrong_pairs])
def test_two_equal_models_differ_in_about_5_percent_of_tests(pairs):
    assert 0.03 <= detection(ours, pairs) <= 0.07


def test_an_unpaired_test_of_equal_models_is_caught():
    assert detection(unpaired, equal_models) < 0.03


def test_an_effect_as_large_as_the_smallest_detectable_is_found_in_80_percent():
    base, tuned = equal_models(np.random.default_rng(0), rows=100_000)
    effect = smallest_of((tuned - base).std(), rows=110)
    assert 0.75 <= detection(ours, partial(equal_models, effect=effect)) <= 0.85


def test_a_smallest_effect_that_forgets_power_is_caught():
    base, tuned = equal_models(np.random.default_rng(0), rows=100_000)
    half_width = stats.t.ppf(0.975, 109) * (tuned - base).std() / math.sqrt(110)
    assert detection(ours, partial(equal_models, effect=half_width)) < 0.6


def smallest_of(spread, rows):
    """The smallest detectable effect of rows whose differences have exactly this standard deviation."""
    differences = np.linspace(-1, 1, rows)
    differences *= spread / differences.std(ddof=1)
    return paired_difference(np.full(rows, 50.0), 50 + differences).smallest_detectable


def test_a_share_as_much_higher_as_the_smallest_detectable_is_found_in_80_percent():
    # 11 of 110 rows right for either model only: a fifth of the rows tell the models apart.
    base = np.repeat([100.0, 0, 100, 0], [11, 11, 33, 55])
    tuned = np.repeat([0.0, 100, 100, 0], [11, 11, 33, 55])
    gain = paired_difference(base, tuned).smallest_detectable / 100
    planted = partial(right_or_wrong_pairs, only_base=0.1 - gain / 2, only_tuned=0.1 + gain / 2)
    assert 0.75 <= detection(ours, planted) <= 0.85


def test_the_smallest_detectable_effect_by_the_power_of_a_t_test():
    # The power of the t test at the effect, from the noncentral t distribution, must be 80 %.
    effect = smallest_of(spread=1, rows=20)
    critical = stats.t.ppf(0.975, 19)
    assert stats.nct.sf(critical, 19, effect * math.sqrt(20)) == pytest.approx(0.8, abs=1e-4)


def test_shares_that_never_change_keep_an_honest_width():
    always = np.full(50, 100.0)
    one = paired_difference(always, always)
    assert one.low < -5 and one.high > 5
    assert one.smallest_detectable > 5
    assert t_interval(always - always) == (0, 0)  # what the t interval would have claimed


def test_scores_that_all_change_alike_have_no_interval():
    one = paired_difference(np.array([1.0, 2, 3]), np.array([2.0, 3, 4]))
    assert (one.difference, one.low, one.high, one.smallest_detectable) == (1, None, None, None)


def test_one_row_has_a_difference_but_no_interval():
    one = paired_difference(np.array([0.0]), np.array([100.0]))
    assert (one.difference, one.low, one.high, one.smallest_detectable) == (100, None, None, None)


def test_no_rows_have_nothing():
    one = paired_difference(np.array([]), np.array([]))
    assert (one.n, one.base, one.difference, one.low) == (0, None, None, None)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_the_interval_of_shares_is_proper_and_turns_with_its_arms(pairs):
    base, tuned = np.array(pairs).T
    low, high = newcombe_interval(base, tuned)
    difference = 100 * (tuned.mean() - base.mean())
    assert -100 - 1e-9 <= low <= difference <= high <= 100 + 1e-9
    assert low < high
    assert newcombe_interval(tuned, base) == pytest.approx((-high, -low))
