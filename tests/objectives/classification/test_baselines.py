"""The strongest baseline of a classification is chosen on validation rows, and the verdict compares with it."""

import numpy as np
import pytest

from tutelage.evaluation.metrics.class_metrics import base_line, label_figures
from tutelage.objectives.classification.baselines import (
    MOST_TO_CHOOSE,
    choose_strongest,
    labels_of_nearest,
    places_to_choose,
    right_rows,
)
from tutelage.objectives.classification.evaluation import verdict

WANTED = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 2])  # of ten validation rows
GIVEN = {
    "majority": np.zeros(10, dtype=int),  # 5 of 10
    "nearest": np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 0]),  # 8 of 10
    "tf_idf": np.array([0, 0, 0, 0, 0, 1, 1, 0, 0, 0]),  # 7 of 10
}


def test_the_most_right_validation_rows_make_the_strongest_of_three_classes():
    choice = choose_strongest(WANTED, GIVEN, available=10)
    assert choice.strongest == "nearest"
    assert choice.validation == {"majority": 0.5, "nearest": 0.8, "tf_idf": 0.7}
    assert choice.validation_rows == 10
    assert not choice.left_out


def test_with_one_class_only_the_plainest_of_equal_baselines_is_taken():
    same = np.zeros(12, dtype=int)
    choice = choose_strongest(same, {"tf_idf": same, "nearest": same, "majority": same}, available=12)
    assert choice.strongest == "majority"


@pytest.mark.parametrize(("count", "chosen"), [(0, 0), (9, 0), (10, 10), (5000, MOST_TO_CHOOSE)])
def test_a_choice_takes_ten_rows(count, chosen):
    assert len(places_to_choose(count)) == chosen


def test_too_few_validation_rows_leave_the_most_frequent_label_with_a_reason():
    nothing = np.zeros(0, dtype=int)
    choice = choose_strongest(nothing, dict.fromkeys(GIVEN, nothing), available=9)
    assert choice.strongest == "majority"
    record = choice.to_record()
    assert record["validation"] == {}
    assert record["left_out"]["majority"]["code"] == "evaluate.too_few_validation_rows"
    assert "9 validation rows" in record["left_out"]["majority"]["message"]


def test_several_labels_are_right_only_together():
    wanted = np.array([[True, False], [True, True]])
    assert right_rows(wanted, np.array([[True, False], [True, False]])).tolist() == [True, False]


def test_the_nearest_text_gives_its_label_even_if_it_is_the_only_one_with_it():
    texts = ["call me later", "call me soon", "call me now", "win a prize"]
    learnt = np.array([0, 0, 0, 2])
    assert labels_of_nearest(texts, learnt, ["a prize to win", "later then"]).tolist() == [2, 0]


def figures_against(strongest, *, only_tuned, only_base, both=50, neither=10):
    """Figures of a model and a strongest baseline that differ on so many rows; the others are as weak as can be."""
    counts = [(1, 1, both), (1, 0, only_tuned), (0, 1, only_base), (0, 0, neither)]
    tuned = np.repeat([one for one, _, _ in counts], [count for *_, count in counts]).astype(bool)
    base = np.repeat([one for _, one, _ in counts], [count for *_, count in counts]).astype(bool)
    weak = base_line(np.zeros_like(tuned), tuned)
    baselines = {"majority": {"label": "ham", **weak}, "nearest": weak, "tf_idf": weak, "zero_shot": None}
    wanted = np.zeros(len(tuned), dtype=int)
    return {
        **label_figures(wanted, np.where(tuned, 0, 1), ["ham", "spam"]),
        "baselines": baselines
        | {
            strongest: {**baselines[strongest], **base_line(base, tuned)},
            "strongest": strongest,
            "validation_rows": 20,
        },
    }


@pytest.mark.parametrize(
    ("only_tuned", "only_base", "word", "begins"),
    [
        # McNemar's exact p, by hand: 2 * (1/2)^6 = 0.031; 1 + 5 of 6: 2 * 7/64 = 0.219.
        (6, 0, "better", "Better than the strongest baseline (TF-IDF and logistic regression): "),
        (0, 6, "worse", "Worse than the strongest baseline (TF-IDF and logistic regression): "),
        (
            5,
            1,
            "no difference detectable",
            "No difference is detectable from the strongest baseline (TF-IDF and logistic regression): ",
        ),
    ],
)
def test_the_verdict_names_the_strongest_baseline_and_compares_with_it_alone(
    only_tuned, only_base, word, begins
):
    figures = figures_against("tf_idf", only_tuned=only_tuned, only_base=only_base)
    found = verdict(figures)
    assert found["verdict"] == word
    assert found["sentence"].startswith(begins)
    against_weakest = figures["baselines"]["majority"]["p"]
    assert against_weakest < 0.001, "a verdict against the most frequent label would always be better"


def test_without_a_choice_the_baseline_is_not_called_the_strongest():
    figures = figures_against("majority", only_tuned=6, only_base=0)
    figures["baselines"]["validation_rows"] = 0
    assert verdict(figures)["sentence"].startswith(
        "Better than the plainest baseline (the most frequent label, "
    )
