"""The verdict against the strongest baseline, from answers that the tests make up."""

import numpy as np
import pytest

from tutelage.evaluation.baselines.comparison import baseline_lines, compare_with_baselines
from tutelage.evaluation.baselines.strongest import Baseline, Baselines
from tutelage.evaluation.metrics import load_metric
from tutelage.evaluation.metrics.metrics import score_rows
from tutelage.evaluation.paired.comparison import compare_scores, comparison_of, deciding_difference
from tutelage.evaluation.stats.statistics import paired_difference
from tutelage.run.evaluation import AnswerEvaluation

EXACT = load_metric("exact_match")
ROWS = 60


def answers(right):
    """Return an answer a row, those right whose number is in `right`."""
    return [
        {
            "row": row,
            "prompt": f"What does {'abcdefghijklmnopqrstuvwxyz'[row % 26] * (3 + row)} mean?",
            "reference": f"It means {row}.",
            "response": f"It means {row}." if row in right else "Nothing.",
            "response_tokens": 3,
            "stopped": True,
            "reference_log_prob": -1.0,
            "reference_bytes": 10,
        }
        for row in range(ROWS)
    ]


def evaluated(base, strongest, tuned, *, name="few_shot"):
    scores = score_rows(answers(base), answers(tuned))
    found = {
        "base": Baseline("prompt of the run", answers(base), 1.0, "alpaca", 0),
        "few_shot": Baseline("8 examples", answers(strongest), 2.0, "chat", 8),
    }
    baselines = Baselines(found, name, 20, {})
    result = compare_scores(scores, EXACT).to_record() | compare_with_baselines(baselines, scores, EXACT)
    more = {"sets": {}, "general_text": None}
    return AnswerEvaluation.model_validate({"format": 2, **result, **more}), baselines


def test_the_difference_is_from_the_strongest_baseline_and_the_table_from_the_base():
    found, baselines = evaluated(base=range(3), strongest=range(40), tuned=range(20, 60))
    assert (found.metrics["exact_match"].base, found.metrics["exact_match"].tuned) == (5.0, 100 * 40 / 60)
    assert found.metrics["exact_match"].low > 0
    difference = found.baselines.difference
    assert (difference.base, difference.tuned) == (100 * 40 / 60, 100 * 40 / 60)
    assert (difference.higher, difference.equal, difference.lower) == (20, 20, 20)
    assert found.verdict == "no difference detectable"
    assert found.minimum_detectable_effect == difference.minimum_detectable_effect
    assert deciding_difference(found).difference == 0
    assert comparison_of(found).measured["exact_match"].difference == pytest.approx(100 * 37 / 60)
    lines = baseline_lines(baselines, EXACT)
    assert [line["score"] for line in lines] == [100.0 * (row < 40) for row in range(ROWS)]
    assert {line["baseline"] for line in lines} == {"few_shot"}


@pytest.mark.parametrize(
    ("tuned", "word"), [(range(60), "better"), (range(5), "worse"), (range(40), "no difference detectable")]
)
def test_the_verdict_names_what_it_compares_with(tuned, word):
    found, baselines = evaluated(base=range(3), strongest=range(40), tuned=tuned)
    assert found.verdict == word
    assert baselines.against in found.sentence
    assert "8 examples" in baselines.against
    verdict = comparison_of(found).verdict
    assert (verdict.word, verdict.against) == (word, baselines.against)
    assert verdict.sentence == found.sentence
    assert baselines.against not in verdict.reason


def test_the_base_itself_can_be_the_strongest():
    found, _ = evaluated(base=range(30), strongest=range(3), tuned=range(50), name="base")
    assert found.baselines.difference is None
    assert deciding_difference(found).base == 50.0
    assert found.verdict == "better"


def test_intervals_are_those_of_the_rows_that_were_answered():
    found, _ = evaluated(base=range(3), strongest=range(30), tuned=range(60))
    one = found.baselines.figures["few_shot"]
    assert (one.rows, one.value, one.examples) == (ROWS, 50.0, 8)
    # Wilson's interval of 30 of 60, by hand.
    z = 1.959964
    half = z / (1 + z**2 / 60) * (0.25 / 60 + z**2 / (4 * 60**2)) ** 0.5
    assert (one.low, one.high) == pytest.approx((100 * (0.5 - half), 100 * (0.5 + half)), abs=1e-3)
    swapped, _ = evaluated(base=range(3), strongest=range(60), tuned=range(30))
    tuned = swapped.baselines.tuned
    assert (tuned.rows, tuned.value) == (ROWS, 50.0)
    assert (tuned.low, tuned.high) == (one.low, one.high)


def test_equal_systems_are_rarely_found_better_than_the_best_prompt():
    """The fine-tuned model and four prompts answer alike in distribution; the best prompt on 40 rows decides."""
    chance = np.random.default_rng(5)
    trials, false, by_test = 300, 0, 0
    for _ in range(trials):
        hard = chance.random(ROWS + 40) * 0.6 + 0.2
        systems = chance.random((5, ROWS + 40)) < hard
        prompts, tuned = systems[:4, :ROWS], systems[4, :ROWS]
        chosen = int(systems[:4, ROWS:].mean(axis=1).argmax())
        cheating = int(prompts.mean(axis=1).argmin())  # what a choice on test rows could pick
        for place, counted in ((chosen, True), (cheating, False)):
            scores = {"base": 100.0 * prompts[place], "tuned": 100.0 * tuned}
            low = _low(scores)
            false += counted and low > 0
            by_test += (not counted) and low > 0
    assert false / trials <= 0.05
    assert by_test / trials > 0.05, "a baseline that is picked by the test rows to suit the model is caught"


def _low(scores):
    low = paired_difference(scores["base"], scores["tuned"]).low
    return -1.0 if low is None else low
