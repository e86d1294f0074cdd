import numpy as np
import pytest
from scipy import stats

from tutelage.evaluation.stats.length_effect import length_effect


def longer_answers(chance, rows=80, *, gain, by_length):
    """Differences that a gain makes at equal length, and the length ratio for the rest."""
    base = chance.integers(5, 40, rows).astype(float)
    tuned = base * np.exp(chance.normal(0.7, 0.4, rows))
    ratio = np.log((tuned + 1) / (base + 1))
    return gain + by_length * ratio + chance.normal(0, 5, rows), base, tuned


def test_a_difference_of_length_alone_vanishes():
    differences, base, tuned = longer_answers(np.random.default_rng(0), gain=0, by_length=20)
    found = length_effect(differences, base, tuned, np.arange(80))
    assert differences.mean() > 10
    assert found.low < 0 < found.high
    assert (found.base, found.tuned) == (base.mean(), tuned.mean())


def test_the_adjusted_difference_is_the_intercept_of_scipys_line():
    differences, base, tuned = longer_answers(np.random.default_rng(1), rows=4000, gain=5, by_length=-3)
    expected = stats.linregress(np.log((tuned + 1) / (base + 1)), differences)
    found = length_effect(differences, base, tuned, np.arange(4000))
    assert found.adjusted == pytest.approx(expected.intercept)
    half_width = stats.t.ppf(0.975, 3998) * expected.intercept_stderr
    # That of scipy takes the noise to be the same everywhere, ours does not; here it is.
    assert (found.high - found.low) / 2 == pytest.approx(half_width, rel=0.05)


def test_the_interval_holds_the_gain_in_95_of_100():
    chance, held = np.random.default_rng(2), 0
    for _ in range(600):
        found = length_effect(*longer_answers(chance, gain=5, by_length=8), np.arange(80))
        held += found.low <= 5 <= found.high
    assert 0.93 <= held / 600 <= 0.97


def test_repeated_rows_leave_the_interval_nearly_as_wide():
    differences, base, tuned = longer_answers(np.random.default_rng(3), gain=5, by_length=8)
    once = length_effect(differences, base, tuned, np.arange(80))
    repeated = [np.tile(values, 5) for values in (differences, base, tuned)]
    clustered = length_effect(*repeated, np.tile(np.arange(80), 5))
    separate = length_effect(*repeated, np.arange(400))
    assert clustered.high - clustered.low == pytest.approx(once.high - once.low, rel=0.02)
    assert separate.high - separate.low < 0.5 * (once.high - once.low)


def test_where_lengths_do_not_change_there_is_nothing_to_adjust():
    lengths = np.full(10, 7.0)
    found = length_effect(np.arange(10.0), lengths, lengths, np.arange(10))
    assert (found.base, found.adjusted, found.low) == (7, None, None)
    assert length_effect(np.array([]), np.array([]), np.array([]), np.array([])) is None
