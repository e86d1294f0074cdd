"""The rule under which an export gives the labels of the run, and what breaks it."""

from dataclasses import replace

import numpy as np
import pytest

from tutelage.objectives.classification.export import ClassReference, judge_classes

CLASSES = ["ham", "spam"]
SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [1 - 1e-9, 1e-9]])
REFERENCE = ClassReference(CLASSES, ["one", "two", "three"], [[1], [2, 3], [4]], SCORES, 2)


def found(scores=SCORES, **changed):
    rows = [dict(zip(CLASSES, row, strict=True)) for row in np.asarray(scores).tolist()]
    return {"ids": [[1], [2, 3], [4]], "alone": rows, "together": rows, **changed}


def test_the_same_scores_are_the_same_model():
    one = judge_classes(REFERENCE, found())
    assert one.mismatch is None
    assert (one.prompts, one.answers_equal, one.ids_equal, one.left_out) == (3, 3, 3, 2)
    assert (one.mean_kl, one.largest_log_prob_difference) == pytest.approx((0, 0), abs=1e-9)


def test_rounding_is_no_difference_and_more_than_that_is():
    assert judge_classes(REFERENCE, found(SCORES + np.array([5e-5, -5e-5]))).mismatch is None
    apart = judge_classes(REFERENCE, found(SCORES + np.array([[2e-4, -2e-4], [0, 0], [0, 0]])))
    assert apart.mismatch == "1 of 3 texts get different probabilities"
    assert [one["text"] for one in apart.evidence] == ["one"]


@pytest.mark.parametrize("way", ["alone", "together"])
def test_a_text_that_is_read_otherwise_in_a_batch_is_found(way):
    changed = found(SCORES[[1, 1, 2]])[way]
    assert "1 of 3" in judge_classes(REFERENCE, found(**{way: changed})).mismatch


def test_other_ids_other_labels_and_what_is_no_number_are_found():
    assert "different token ids" in judge_classes(REFERENCE, found(ids=[[1], [2], [4]])).mismatch
    named = [{"LABEL_0": 0.9, "LABEL_1": 0.1}] * 3
    assert "3 of 3" in judge_classes(REFERENCE, found(alone=named)).mismatch
    assert "1 of 3" in judge_classes(REFERENCE, found([[np.nan, 0.1], *SCORES[1:]])).mismatch


def test_of_several_labels_each_is_given_by_itself():
    several = replace(REFERENCE, probabilities=np.array([[0.9, 0.6], [0.2, 0.1], [0.7, 0.3]]), several=True)
    same = judge_classes(several, found(several.probabilities))
    assert (same.mismatch, same.answers_equal) == (None, 3)
    assert same.mean_kl == pytest.approx(0, abs=1e-12)
    other = judge_classes(several, found([[0.9, 0.4], [0.2, 0.1], [0.7, 0.3]]))
    assert other.answers_equal == 2, "the most probable label is the same, the second is not given any more"
    by_hand = 0.6 * np.log(0.6 / 0.4) + 0.4 * np.log(0.4 / 0.6)
    assert other.mean_kl == pytest.approx(by_hand / 3)
