"""A judge against scores that people gave: the book's numbers, and files at fault."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from support.judge_scores import GPT4_MODEL_1, GPT4_MODEL_2, LLAMA3_MODEL_1, LLAMA3_MODEL_2

from tutelage.errors import DataError
from tutelage.evaluation.judge.labels import (
    agreement,
    compare_lists,
    corrected_difference,
    read_labels,
)


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_the_books_correlations_come_out() -> None:
    found = compare_lists(LLAMA3_MODEL_1, GPT4_MODEL_1)
    assert found is not None
    assert [round(value or 0, 3) for value in (found.pearson, found.spearman, found.kendall)] == [
        0.805,
        0.698,
        0.573,
    ]
    assert (found.n, round(found.bias, 1)) == (100, 3.0)


def test_the_99_scores_are_refused_with_the_reason() -> None:
    with pytest.raises(DataError, match="99 of 100 scores.*no row numbers say which are missing"):
        compare_lists(LLAMA3_MODEL_2, GPT4_MODEL_2)


def test_cutting_the_longer_list_would_have_given_other_numbers() -> None:
    """Pairing by position after a missing score compares different answers, which is why it is refused."""
    cut = [compare_lists(LLAMA3_MODEL_2, GPT4_MODEL_2[shift : 99 + shift]) for shift in (0, 1)]
    assert abs((cut[0].spearman or 0) - (cut[1].spearman or 0)) > 0.3  # type: ignore[union-attr]


def test_the_books_scores_go_through_the_file_of_labels(tmp_path: Path) -> None:
    rows = range(1000, 1100)
    path = write(tmp_path / "labels.json", {"base": GPT4_MODEL_2, "tuned": GPT4_MODEL_1})
    labels = read_labels(path, rows)
    judge = {(row, "tuned"): float(score) for row, score in zip(rows, LLAMA3_MODEL_1, strict=True)}
    found = agreement(judge, {key: score for key, score in labels.items() if key[1] == "tuned"})
    assert found == compare_lists(LLAMA3_MODEL_1, GPT4_MODEL_1)
    with pytest.raises(DataError, match="hold 99 of 100 scores of the base model"):
        read_labels(write(path, {"base": LLAMA3_MODEL_2}), rows)


def test_sensitivity_specificity_and_kappa_are_those_of_the_table() -> None:
    # 8 answers that should pass, 6 of which do; 4 that should not, one of which does.
    labels = [80.0] * 8 + [20.0] * 4
    judge = [50.0] * 6 + [49.0] * 2 + [90.0] + [0.0] * 3
    found = compare_lists(judge, labels)
    assert found is not None
    assert (found.sensitivity, found.specificity) == (6 / 8, 3 / 4)
    chance = 7 / 12 * 8 / 12 + 5 / 12 * 4 / 12
    assert found.kappa == pytest.approx((9 / 12 - chance) / (1 - chance))
    assert found.mean_absolute_error == pytest.approx((6 * 30 + 2 * 31 + 70 + 3 * 20) / 12)


def test_a_judge_that_always_says_the_same_has_no_correlation() -> None:
    found = compare_lists([90, 90, 90, 90], [0, 50, 80, 100])
    assert found is not None
    assert (found.pearson, found.spearman, found.kendall, found.specificity) == (None, None, None, 0.0)


def test_fewer_than_three_pairs_tell_nothing() -> None:
    assert compare_lists([1, 2], [1, 2]) is None
    assert agreement({(1, "base"): 5.0}, {(2, "base"): 5.0}) is None


def both(base: np.ndarray, tuned: np.ndarray, rows: range) -> dict[tuple[int, str], float]:
    return {
        **{(row, "base"): float(base[row]) for row in rows},
        **{(row, "tuned"): float(tuned[row]) for row in rows},
    }


def test_the_correction_takes_the_bias_of_the_judge_out() -> None:
    dice = np.random.default_rng(3)
    base, tuned = dice.uniform(0, 60, 400), dice.uniform(20, 80, 400)
    shrunk = both(40 + base / 2, 40 + tuned / 2, range(400))  # halves every difference
    found = corrected_difference(shrunk, both(base, tuned, range(100)))
    truth = float((tuned - base).mean())
    assert found is not None
    assert found.low < truth < found.high
    assert not found.low < truth / 2 < found.high
    assert found.n == 100


def test_with_every_row_labelled_the_interval_is_that_of_the_labels() -> None:
    dice = np.random.default_rng(4)
    base, tuned = dice.uniform(0, 60, 30), dice.uniform(20, 80, 30)
    found = corrected_difference(both(base * 0.3, tuned * 0.9, range(30)), both(base, tuned, range(30)))
    wanted = stats.ttest_1samp(tuned - base, 0).confidence_interval(0.95)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))


def test_the_corrected_interval_covers_the_truth_as_often_as_it_says() -> None:
    dice = np.random.default_rng(5)
    covered = 0
    for _ in range(1000):
        truth = dice.normal(10, 40, 150)
        judge = 0.5 * truth + dice.normal(0, 15, 150)
        zero = np.zeros(150)
        found = corrected_difference(both(zero, judge, range(150)), both(zero, truth, range(40)))
        assert found is not None
        covered += found.low < 10 < found.high
    assert 930 <= covered <= 970
    # The judge's own interval would be about its own mean, half the truth, and cover it in hardly any trial.


def test_labels_are_read_by_row_and_arm(tmp_path: Path) -> None:
    labels = [{"row": 3, "variant": "tuned", "score": 85}, {"row": 3, "variant": "base", "score": 0.5}]
    wanted = {(3, "tuned"): 85.0, (3, "base"): 0.5}
    assert read_labels(write(tmp_path / "labels.json", labels), [3, 4]) == wanted
    lines = tmp_path / "labels.jsonl"
    lines.write_text("\n".join(map(json.dumps, labels)) + "\n")
    assert read_labels(lines, [3, 4]) == wanted


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([50, 60], "Label 1 of .* is '50'"),
        ([{"row": 3, "score": 5}], "Label 1"),
        ([{"row": 3, "variant": "old", "score": 5}], "Label 1"),
        ([{"row": 9, "variant": "base", "score": 5}], "row 9, which is not a test row"),
        ([{"row": "3", "variant": "base", "score": 5}], "row '3', which is not a test row"),
        ([{"row": 3, "variant": "base", "score": 5}] * 2, "second one for row 3, base"),
        ([{"row": 3, "variant": "base", "score": 101}], "101, which is not a number from 0 to 100"),
        ([{"row": 3, "variant": "base", "score": True}], "True, which is not a number"),
        ([{"row": 3, "variant": "base", "score": None}], "None, which is not a number"),
        ({"base": [1]}, "1 of 2 scores of the base model"),
        ({"old": [1, 2]}, "without a list for each model"),
        ({}, "without a list for each model"),
        ({"base": 5}, "without a list for each model"),
        ("text", "no list of labels"),
    ],
)
def test_labels_at_fault_are_told_with_the_form(value: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        read_labels(write(tmp_path / "labels.json", value), [3, 4])


def test_a_file_that_is_no_json_is_told(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text("row,score\n3,85\n")
    with pytest.raises(DataError, match="are not valid JSON"):
        read_labels(tmp_path / "labels.json", [3])
    with pytest.raises(DataError, match="cannot be read"):
        read_labels(tmp_path / "none.json", [3])
