"""Figures of several labels for each text, against counts by hand and scikit-learn's own."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tutelage.evaluation.baselines.tf_idf import label_sets_by_words
from tutelage.evaluation.metrics.multi_label import label_set_metrics, set_prediction
from tutelage.evaluation.stats.proportions import mcnemar_p, wilson_interval

CLASSES = ["b", "a", "c"]
WANTED = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1]], dtype=bool)
PROBABILITIES = np.array([[0.9, 0.2, 0.1], [0.5, 0.4, 0.3], [0.1, 0.2, 0.3], [0.6, 0.8, 0.7]])
GIVEN = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]], dtype=bool)


def figures(**changed):
    asked = {"separator": ";", "majority": np.array([True, True, False]), "by_words": GIVEN, **changed}
    return label_set_metrics(WANTED, PROBABILITIES, CLASSES, **asked)


def test_a_row_is_right_where_its_whole_set_is():
    found = figures()
    low, high = wilson_interval(2 / 4, 4)
    assert found["accuracy"] == {"value": 2 / 4, "low": low, "high": high}
    assert (GIVEN == WANTED).mean() > 2 / 4, "by the label it would be more"


def test_f1_is_scikit_learns_over_all_decisions_and_as_a_mean_of_labels():
    found = figures()
    assert found["micro_f1"] == pytest.approx(f1_score(WANTED, GIVEN, average="micro"))
    assert found["macro_f1"] == pytest.approx(f1_score(WANTED, GIVEN, average="macro"))
    assert found["micro_f1"] != pytest.approx(found["macro_f1"])


def test_precision_and_recall_of_a_label_are_those_counted_by_hand():
    b, a, c = figures()["classes"]
    assert (b["label"], b["rows"], b["given"]) == ("b", 2, 3)
    assert (b["precision"]["value"], b["recall"]["value"]) == (2 / 3, 2 / 2)
    assert (a["precision"]["value"], a["recall"]["value"]) == (1 / 1, 1 / 2)
    assert (c["precision"]["value"], c["recall"]["value"]) == (1, 1)


def test_base_lines_are_right_of_whole_sets_too():
    found = figures(by_words=WANTED)["baselines"]
    # The model alone is right of the first and the third row, the most frequent set alone of the second.
    assert (found["majority"]["label"], found["majority"]["accuracy"]) == ("a;b", 1 / 4)
    assert found["majority"]["p"] == mcnemar_p(np.array([True, False, False]), np.array([False, True, True]))
    assert found["tf_idf"]["accuracy"] == 1
    assert found["zero_shot"] is None


def test_how_true_probabilities_are_is_asked_of_every_decision():
    bins = figures()["calibration"]["bins"]
    assert sum(one["rows"] for one in bins) == WANTED.size
    # From 0.8 to 0.9 stand 0.2 turned round, twice, and 0.8; all three decisions are right.
    [eighth] = [one for one in bins if 0.75 < one["probability"] < 0.85]
    assert (eighth["rows"], eighth["right"]) == (3, 1)


def test_a_text_is_given_every_label_from_a_half_on_and_the_probability_of_all_decisions():
    found = set_prediction(PROBABILITIES[3], CLASSES, ";")
    assert found["predicted"] == "a;b;c"
    assert found["probability"] == pytest.approx(0.6 * 0.8 * 0.7)
    none = set_prediction(PROBABILITIES[2], CLASSES, ";")
    assert (none["predicted"], none["probability"]) == ("", pytest.approx(0.9 * 0.8 * 0.7))


def test_word_counts_learn_each_label_by_itself():
    texts = ["win money now", "win a prize", "eat a fig", "eat plums now", "win and eat", "nothing here"] * 4
    sets = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 1], [0, 0]] * 4, dtype=bool)
    asked = ["win money", "eat figs now", "win and eat a prize"]
    assert label_sets_by_words(texts, sets, asked).tolist() == [[True, False], [False, True], [True, True]]
