"""Figures of a classification against counts by hand."""

import numpy as np
import pytest

from tutelage.evaluation.metrics.class_metrics import calibration, class_metrics, confusion_matrix
from tutelage.evaluation.stats.proportions import mcnemar_p, wilson_interval

# Ten rows of class 0, two of them given class 1; five of class 1, one of them given class 0.
WANTED = np.array([0] * 10 + [1] * 5)
GIVEN = np.array([0] * 8 + [1] * 2 + [1] * 4 + [0])
SURE = 0.75


NOTHING = np.zeros(15, dtype=int)


def figures(by_words=NOTHING):
    probabilities = np.where(np.arange(2) == GIVEN[:, None], SURE, 1 - SURE)
    return class_metrics(WANTED, probabilities, ["no", "yes"], majority=0, by_words=by_words)


def test_the_confusion_matrix_has_what_was_wanted_down_and_what_was_given_across():
    assert confusion_matrix(WANTED, GIVEN, 2).tolist() == [[8, 2], [1, 4]]
    assert confusion_matrix(GIVEN, WANTED, 2).tolist() == [[8, 1], [2, 4]], (
        "the other way round it is another"
    )


def test_shares_by_class_are_those_counted_by_hand_with_wilsons_interval():
    no, yes = figures()["classes"]
    assert (no["precision"]["value"], no["recall"]["value"]) == (8 / 9, 8 / 10)
    assert (yes["precision"]["value"], yes["recall"]["value"]) == (4 / 6, 4 / 5)
    assert (yes["recall"]["low"], yes["recall"]["high"]) == wilson_interval(4 / 5, 5)
    f1 = [2 * p * r / (p + r) for p, r in ((8 / 9, 8 / 10), (4 / 6, 4 / 5))]
    assert figures()["macro_f1"] == pytest.approx(np.mean(f1))
    assert figures()["accuracy"]["value"] == 12 / 15


def test_the_majority_class_is_compared_on_the_rows_where_one_alone_is_right():
    majority = figures()["baselines"]["majority"]
    assert majority["label"] == "no"
    assert majority["accuracy"] == 10 / 15
    # The model alone is right on four rows of class 1, the base line alone on two of class 0.
    assert majority["p"] == mcnemar_p(np.array([True] * 2 + [False] * 4), np.array([False] * 2 + [True] * 4))


def test_word_counts_are_compared_likewise():
    # Right on 11 rows: on one of class 0 that the model misses, and wrong on two of class 1 that it finds.
    by_words = np.array([0] * 9 + [1] + [1] * 2 + [0] * 3)
    words = figures(by_words)["baselines"]["tf_idf"]
    assert words["accuracy"] == 11 / 15
    assert (words["low"], words["high"]) == wilson_interval(11 / 15, 15)
    assert words["p"] == mcnemar_p(np.array([True] + [False] * 2), np.array([False] + [True] * 2))
    assert figures(WANTED)["baselines"]["tf_idf"]["p"] == mcnemar_p(np.ones(3, bool), np.zeros(3, bool))


def test_the_base_model_is_compared_by_names_likewise_and_unknown_where_it_was_not_asked():
    assert figures()["baselines"]["zero_shot"] is None
    probabilities = np.eye(2)[GIVEN]
    # Right on 10 rows: it misses all five of class 1, of which the model finds four, and finds two more of class 0.
    found = class_metrics(
        WANTED, probabilities, ["no", "yes"], majority=0, by_words=NOTHING, by_names=np.zeros(15, dtype=int)
    )
    names = found["baselines"]["zero_shot"]
    assert names["accuracy"] == 10 / 15
    assert names["p"] == mcnemar_p(np.array([True] * 2 + [False] * 4), np.array([False] * 2 + [True] * 4))


def test_a_class_that_no_row_has_or_gets_is_unknown_and_not_nought():
    found = class_metrics(
        np.array([0, 1]), np.eye(3)[:2], ["a", "b", "c"], majority=0, by_words=np.zeros(2, dtype=int)
    )["classes"][2]
    assert found["precision"] is None
    assert found["recall"] is None


def test_calibration_is_the_mean_distance_weighted_by_rows():
    sure = np.array([0.95, 0.95, 0.65, 0.65, 0.65, 0.65])
    right = np.array([True, True, True, True, False, False])
    found = calibration(sure, right)
    by_hand = (2 * abs(1 - 0.95) + 4 * abs(0.5 - 0.65)) / 6
    assert found["ece"] == pytest.approx(by_hand)
    unweighted = (abs(1 - 0.95) + abs(0.5 - 0.65)) / 2
    assert found["ece"] != pytest.approx(unweighted)
    assert [one["rows"] for one in found["bins"]] == [4, 2]


def test_a_model_that_is_certain_falls_into_the_last_bin():
    assert calibration(np.ones(3), np.array([True, True, False]))["ece"] == pytest.approx(1 / 3)
