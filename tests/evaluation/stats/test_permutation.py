from itertools import product

import numpy as np
import pytest
from support.book_scores import equal_pairs

from tutelage.evaluation.stats.permutation import sign_flip_p


def by_hand(sums):
    seen = abs(sum(sums))
    totals = [
        abs(sum(sign * one for sign, one in zip(signs, sums, strict=True)))
        for signs in product((-1, 1), repeat=len(sums))
    ]
    return sum(total >= seen - 1e-12 for total in totals) / len(totals)


def test_all_one_way_is_two_patterns_of_all():
    assert sign_flip_p(np.array([1.0, 2, 3, 4, 5]), np.arange(5)) == 2 / 2**5


def test_few_clusters_are_counted_out_exactly():
    differences = np.random.default_rng(1).normal(1, 2, 12)
    assert sign_flip_p(differences, np.arange(12)) == pytest.approx(by_hand(differences))


def test_sums_that_tie_on_paper_are_ties():
    differences = np.array([0.1, 0.2, 0.3, -0.3])
    assert sign_flip_p(differences, np.arange(4)) == by_hand([1, 2, 3, -3])


def test_rows_of_a_cluster_are_flipped_together():
    differences = np.array([1.0, 3, 2, 6])
    assert sign_flip_p(differences, np.array([0, 0, 1, 2])) == by_hand([4, 2, 6])
    assert sign_flip_p(differences, np.arange(4)) != by_hand([4, 2, 6])


def test_many_clusters_are_drawn_and_agree_with_counting():
    differences = np.random.default_rng(3).normal(0.6, 1, 17)
    drawn = sign_flip_p(differences, np.arange(17))
    # 20,000 draws scatter by sqrt(p (1 - p) / 20,000), below 0.0036.
    assert drawn == pytest.approx(by_hand(differences), abs=0.01)
    assert sign_flip_p(differences, np.arange(17)) == drawn


def test_a_p_from_draws_is_never_zero():
    assert sign_flip_p(np.full(60, 3.0), np.arange(60)) == pytest.approx(1 / 20_001)


def test_no_change_is_no_evidence():
    assert sign_flip_p(np.zeros(30), np.arange(30)) == 1


def test_equal_models_are_told_apart_in_about_5_percent_of_tests():
    assert 0.03 <= np.mean([p < 0.05 for p in p_values_of_equal_models()]) <= 0.07


def test_a_one_sided_p_is_caught():
    assert np.mean([p / 2 < 0.05 for p in p_values_of_equal_models()]) > 0.07


def test_scores_that_often_tie_are_told_apart_less_often_never_more():
    chance = np.random.default_rng(6)
    pairs = [equal_pairs(chance, 12) for _ in range(500)]
    assert np.mean([sign_flip_p(tuned - base, np.arange(12)) < 0.05 for base, tuned in pairs]) <= 0.05


def p_values_of_equal_models():
    chance = np.random.default_rng(6)
    return [sign_flip_p(chance.normal(0, 30, 12), np.arange(12)) for _ in range(1000)]
