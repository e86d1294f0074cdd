import numpy as np
import pytest

from tutelage.evaluation.stats.holm import holm


def test_the_smallest_is_raised_most_and_the_order_is_kept():
    # Sorted 0.01, 0.02, 0.03: times 3, 2, 1 gives 0.03, 0.04, 0.03, of which the last may not fall below 0.04.
    found = holm({"b": 0.02, "a": 0.01, "c": 0.03})
    assert found == pytest.approx({"b": 0.04, "a": 0.03, "c": 0.04})
    assert list(found) == ["b", "a", "c"]


def test_nothing_is_raised_beyond_1_and_one_alone_stays():
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({"a": 0.04}) == {"a": 0.04}
    assert holm({}) == {}


def test_five_idle_metrics_cry_out_in_one_of_twenty_tests_and_unadjusted_ones_in_five():
    drawn = np.random.default_rng(1).random((2000, 5))
    adjusted = [min(holm(dict(enumerate(row))).values()) < 0.05 for row in drawn]
    assert np.mean(adjusted) <= 0.06
    assert np.mean(drawn.min(axis=1) < 0.05) > 0.2
