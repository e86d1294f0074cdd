"""The threshold between two labels: the best of the validation rows, whatever the test rows hold."""

import numpy as np
import pytest

from tutelage.evaluation.metrics.class_metrics import class_metrics
from tutelage.evaluation.metrics.threshold import choose_threshold, given_at, rarer_class, threshold_figures
from tutelage.evaluation.stats.proportions import mcnemar_p

CLASSES = ["ham", "spam"]
# Spam from 0.3 on would be right of every validation row, and from 0.8 on of every test row.
KNOWN, OF_KNOWN = np.array([0, 0, 0, 1, 1]), np.array([0.05, 0.1, 0.2, 0.4, 0.9])
WANTED, OF_TEST = np.array([0, 0, 0, 0, 1, 1]), np.array([0.01, 0.35, 0.6, 0.7, 0.9, 0.95])


def two(of_spam):
    return np.stack([1 - of_spam, of_spam], axis=1)


def figures(wanted=WANTED, of_test=OF_TEST, *, known=KNOWN, of_known=OF_KNOWN):
    return threshold_figures(wanted, two(of_test), CLASSES, label=1, validation=(known, two(of_known)))


def macro_f1_by_hand(is_label, probabilities, threshold):
    """Mean F1 of both sides, each from its own precision and recall."""
    found = []
    for side in (is_label, ~is_label):
        given = probabilities >= threshold if side is is_label else probabilities < threshold
        hits = (given & side).sum()
        precision, recall = hits / max(given.sum(), 1), hits / side.sum()
        found.append(2 * precision * recall / max(precision + recall, 1e-300))
    return np.mean(found)


def test_the_threshold_is_the_best_of_all_that_tell_the_validation_rows_apart():
    random = np.random.default_rng(5)
    for _ in range(40):
        is_label = np.append(random.random(13) < 0.3, [True, False])
        probabilities = np.round(np.clip(0.3 * is_label + 0.6 * random.random(15), 0, 1), 2)
        chosen = choose_threshold(is_label, probabilities)
        every = [macro_f1_by_hand(is_label, probabilities, at) for at in np.linspace(0.0005, 0.9995, 1000)]
        assert macro_f1_by_hand(is_label, probabilities, chosen) == pytest.approx(max(every))


def test_half_is_kept_where_nothing_is_better():
    assert choose_threshold(np.array([False, False, True]), np.array([0.1, 0.2, 0.95])) == 0.5
    assert choose_threshold(np.array([False, False, True]), np.array([0.1, 0.2, 0.4])) == pytest.approx(0.3)


def test_the_test_rows_have_no_part_in_the_choice():
    chosen = figures()["chosen"]
    assert chosen == pytest.approx(0.3)
    assert figures(1 - WANTED)["chosen"] == chosen
    assert figures(WANTED[:2], OF_TEST[:2])["chosen"] == chosen
    of_test_rows = figures(known=WANTED, of_known=OF_TEST)["chosen"]
    assert of_test_rows == pytest.approx(0.8), (
        "chosen on test rows it would be another, and flatter the model"
    )


def test_what_it_comes_to_is_counted_on_the_test_rows():
    found = figures()
    assert (found["label"], found["validation_rows"]) == ("spam", 5)
    # At 0.3 three of four hams are called spam, at 0.5 two.
    assert found["at_chosen"]["accuracy"]["value"] == 3 / 6
    assert found["at_chosen"]["precision"]["value"] == 2 / 5
    assert found["at_half"]["accuracy"]["value"] == 4 / 6
    assert found["at_half"]["precision"]["value"] == 2 / 4
    assert found["at_half"]["recall"]["value"] == found["at_chosen"]["recall"]["value"] == 1
    assert found["p"] == mcnemar_p(np.array([True]), np.array([False]))
    whole = class_metrics(WANTED, two(OF_TEST), CLASSES, majority=0, by_words=np.zeros_like(WANTED))
    assert found["at_half"]["macro_f1"] == whole["macro_f1"], "0.5 is what the rest of the report is about"


def test_without_both_labels_or_with_a_third_there_is_nothing_to_choose():
    assert figures(known=KNOWN[:3], of_known=OF_KNOWN[:3]) is None
    three = np.full((5, 3), 1 / 3)
    assert threshold_figures(KNOWN, three, ["a", "b", "c"], label=1, validation=(KNOWN, three)) is None


def test_the_rarer_label_is_given_from_the_threshold_on():
    assert rarer_class(np.array([0, 1, 1])) == 0
    assert rarer_class(np.array([0, 0, 1])) == 1
    assert rarer_class(np.array([0, 1])) == 1
    assert given_at(two(np.array([0.2, 0.3, 0.4])), 1, 0.3).tolist() == [0, 1, 1]
    assert given_at(two(np.array([0.2, 0.6, 0.9])), 0, 0.4).tolist() == [0, 0, 1]
