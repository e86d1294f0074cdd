import numpy as np
import pytest

from tutelage.evaluation.metrics import load_metric
from tutelage.evaluation.paired.verdict import detectable_sentence, format_p, verdict, verdict_on_answers
from tutelage.evaluation.stats.statistics import BootstrapResult, PairedDifference, paired_difference


def measured(base, tuned, low, high, *, n=118, smallest=5.3, **others):
    return PairedDifference(
        base,
        tuned,
        tuned - base,
        low,
        high,
        smallest,
        n,
        **{"higher": 90, "equal": 8, "lower": n - 98, "clusters": n, **others},
    )


def test_a_clear_rise_is_better_and_says_by_how_much():
    judged = verdict(measured(31.2, 64.8, 28.1, 39.1), load_metric("chrf"))
    assert judged.word == "better"
    assert judged.sentence == (
        "Better: chrF rose from 31.2 to 64.8 (+33.6, 95 % interval +28.1 to +39.1) on 118 test rows."
    )


def test_a_clear_fall_is_worse():
    judged = verdict(measured(64.8, 31.2, -39.1, -28.1), load_metric("chrf"))
    assert judged.word == "worse"
    assert judged.sentence.startswith("Worse: chrF fell from 64.8 to 31.2 (-33.6,")


def test_a_fall_is_better_where_lower_is_better():
    judged = verdict(measured(1.430, 0.691, -0.807, -0.672), load_metric("bits_per_byte"))
    assert judged.sentence == (
        "Better: Bits per byte fell from 1.430 to 0.691 (-0.739, 95 % interval -0.807 to -0.672)"
        " on 118 test rows."
    )
    assert verdict(measured(0.7, 1.4, 0.6, 0.8), load_metric("bits_per_byte")).word == "worse"


def test_an_interval_with_zero_in_it_tells_what_the_test_could_have_shown():
    judged = verdict(measured(40.0, 42.0, -1.7, 5.7), load_metric("chrf"))
    assert judged.word == "no difference detectable"
    assert judged.sentence == (
        "No difference detectable: chrF rose from 40.0 to 42.0 (+2.0, 95 % interval -1.7 to +5.7) on 118"
        " test rows. This test can only detect a change of 5.3 or more."
    )


@pytest.mark.parametrize(("low", "high"), [(0.0, 4.0), (-4.0, 0.0)])
def test_an_interval_that_touches_zero_is_no_difference(low, high):
    assert verdict(measured(40, 42, low, high), load_metric("chrf")).word == "no difference detectable"


def test_shares_are_told_in_percent():
    judged = verdict(measured(2.0, 53.0, 39.4, 60.8), load_metric("exact_match"))
    assert "Exact match rose from 2.0 % to 53.0 % (+51.0, 95 % interval +39.4 to +60.8)" in judged.sentence


def right_and_wrong(*counts):
    """Exact matches of rows: wrong with both models, won, lost, and right with both."""
    wrong_then, wrong_now = np.repeat([0, 0, 100, 100], counts), np.repeat([0, 100, 0, 100], counts)
    return paired_difference(wrong_then.astype(float), wrong_now.astype(float))


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((43, 55, 0, 2), "57 of 100 answers are exactly right; before, 2 were, and none that was right is now wrong."),
        ((43, 54, 1, 2), "56 of 100 answers are exactly right; before, 3 were, and 1 that was right is now wrong."),
        ((90, 1, 9, 0), "1 of 100 answers is exactly right; before, 9 were, and 9 that were right are now wrong."),
    ],
)  # fmt: skip
def test_the_verdict_on_answers_begins_with_the_rows_that_are_right(counts, said):
    judged = verdict_on_answers(
        measured(31.2, 64.8, 28.1, 39.1), load_metric("chrf"), right_and_wrong(*counts)
    )
    assert judged.word == "better"
    assert judged.sentence.startswith(f"Better: {said} chrF rose from 31.2 to 64.8 (+33.6,")


def test_where_hardly_any_answer_equals_its_reference_the_rows_that_score_higher_are_counted():
    rare = right_and_wrong(96, 3, 1, 0)  # 3 and 1 of 100: below 5 %
    judged = verdict_on_answers(measured(31.2, 64.8, 28.1, 39.1), load_metric("chrf"), rare)
    assert judged.reason.startswith("90 of 118 answers are better than before by chrF, 20 worse. chrF rose")
    fallen = measured(1.430, 0.691, -0.807, -0.672)
    assert verdict_on_answers(fallen, load_metric("bits_per_byte"), None).reason.startswith(
        "20 of 118 answers are better than before by Bits per byte, 90 worse. "
    )


def test_where_there_is_no_verdict_the_reason_comes_first():
    few = right_and_wrong(3, 4, 0, 1)
    judged = verdict_on_answers(few, load_metric("exact_match"), few)
    assert judged.sentence.startswith(
        "No verdict: 8 test rows, 10 needed. Exact match rose from 12.5 % to 62.5 %"
    )
    assert judged.reason.endswith(
        " 5 of 8 answers are exactly right; before, 1 was, and none that was right is now wrong."
    )


def test_few_rows_get_no_verdict_however_clear_they_look():
    wrong, right = np.zeros(9), np.full(9, 100.0)
    judged = verdict(paired_difference(wrong, right), load_metric("exact_match"))
    assert judged.word == "no verdict"
    assert judged.sentence.startswith("No verdict: 9 test rows, 10 needed. Exact match rose from 0.0 %")
    assert (
        verdict(paired_difference(np.zeros(10), np.full(10, 100.0)), load_metric("exact_match")).word
        == "better"
    )


def test_one_row_is_told_without_an_interval():
    judged = verdict(paired_difference(np.array([20.0]), np.array([30.0])), load_metric("chrf"))
    assert judged.reason == "1 test row, 10 needed. chrF rose from 20.0 to 30.0 (+10.0) on 1 test row."


def test_no_rows_are_said_to_be_none():
    judged = verdict(paired_difference(np.array([]), np.array([])), load_metric("chrf"))
    assert judged.sentence == "No verdict: no test rows, 10 needed."


def test_equal_scores_everywhere_are_said_to_be_equal():
    same = np.linspace(10, 90, 20)
    judged = verdict(paired_difference(same, same), load_metric("chrf"))
    assert judged.reason == "both models have the same chrF on all 20 test rows."


def test_a_change_alike_on_every_row_claims_nothing():
    same = np.arange(20.0)
    judged = verdict(paired_difference(same, same + 1), load_metric("chrf"))
    assert judged.word == "no difference detectable"
    assert "the same on each" in judged.reason


def test_what_the_test_could_have_shown_is_told_in_the_metrics_unit():
    told = "The smallest change in Exact match that these rows can be expected to detect is 12.1 %."
    assert detectable_sentence(12.12, load_metric("exact_match")) == told
    assert detectable_sentence(None, load_metric("chrf")) == ""


def test_rows_that_repeat_one_question_get_no_verdict():
    wrong, right = np.zeros(45), np.full(45, 100.0)
    judged = verdict(paired_difference(wrong, right, np.repeat(np.arange(9), 5)), load_metric("exact_match"))
    assert judged.word == "no verdict"
    assert judged.reason.startswith("9 distinct test rows (of 45), 10 needed. ")


def test_a_bootstrap_interval_that_is_another_is_told():
    told = verdict(measured(40, 50, 6, 14), load_metric("chrf"), BootstrapResult(7.5, 16.0, 0.001))
    assert told.word == "better"
    assert told.sentence.endswith(
        " The bootstrap interval differs (+7.5 to +16.0): there are few rows, or their differences are"
        " skewed."
    )
    alike = verdict(measured(40, 50, 6, 14), load_metric("chrf"), BootstrapResult(6.5, 14.5, 0.001))
    assert "bootstrap" not in alike.sentence


@pytest.mark.parametrize(("missing", "word"), [(6, "better"), (7, "no verdict")])
def test_with_more_than_a_twentieth_missing_nothing_is_claimed(missing, word):
    # 6 of 120 are 5 %, 7 of 120 more.
    judged = verdict(
        measured(40, 50, 6, 14, n=120 - missing, missing=missing, if_against=3.0, if_for=16.0),
        load_metric("chrf"),
    )
    assert judged.word == word
    assert f"{missing} of 120 pairs lack a score; the difference would be +3.0 if all" in judged.reason


@pytest.mark.parametrize(
    ("p", "text"),
    [(None, "unknown"), (0.0004, "< 0.001"), (0.001, "0.001"), (0.0621, "0.062"), (1.0, "1.000")],
)
def test_a_p_value_has_one_bound_wherever_it_is_shown(p, text):
    assert format_p(p) == text
