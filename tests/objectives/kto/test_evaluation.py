"""What an evaluation of labelled answers says, and what it does where one kind is missing."""

from types import SimpleNamespace

import numpy as np
import pytest

from tutelage.config.recipe import PreferenceSettings
from tutelage.errors import DataError
from tutelage.objectives.kto.evaluation import ReadAnswers, answer_lines, evaluate_judged, judge_answers
from tutelage.tree.examples import Example, PreparedRow

SETTINGS = PreferenceSettings(beta=0.5)
# So unlike each other that none resembles another.
PROMPTS = (
    "pear orchard", "quince jelly", "harbour lights", "violet ink", "engine oil", "old satchel",
    "lantern glass", "wild orchid", "gravel road", "silver thimble", "walnut shell", "copper wire",
)  # fmt: skip


def answers(labels, gains):
    rows = [
        PreparedRow(prompt, "yes", Example(row, (1, 2, 3), 1, 2, label=int(label)))
        for row, (prompt, label) in enumerate(zip(PROMPTS, labels, strict=False))
    ]
    base = np.linspace(-9, -4, len(rows))
    return ReadAnswers(rows, base, base + np.array(gains, dtype=float))


def test_the_figures_are_those_of_both_kinds():
    labels = [True, False] * 6
    gains = [2, -4, 4, -2, 3, -3, 2, -4, 4, -2, 3, -3]
    found = judge_answers(answers(labels, gains), SETTINGS)
    figures = found["figures"]
    assert figures["rows"] == {"desirable": 6, "undesirable": 6}
    assert figures["rewards"] == pytest.approx({"desirable": 0.5 * 3, "undesirable": -0.5 * 3})
    assert figures["margin"]["mean"] == pytest.approx(3)
    assert 0 < figures["margin"]["low"] < 3 < figures["margin"]["high"]
    assert found["verdict"] == "better"
    bits = figures["bits_per_byte"]["desirable"]
    assert bits["difference"] == pytest.approx(-3 / np.log(2) / 4)  # 3 letters and the end of turn
    other = judge_answers(answers(labels, [-gain for gain in gains]), SETTINGS)
    assert (other["verdict"], other["figures"]["margin"]["mean"]) == ("worse", pytest.approx(-3))


def test_few_rows_or_a_margin_about_0_give_no_verdict():
    few = judge_answers(answers([True, False] * 4, [2, -4, 4, -2, 3, -3, 2, -4]), SETTINGS)
    assert few["verdict"] == "no verdict"
    even = judge_answers(answers([True, False] * 6, [2, 2, -1, -1, 3, 3, -3, -3, 1, 1, 0, 0]), SETTINGS)
    assert even["figures"]["margin"]["mean"] == pytest.approx(0)
    assert even["verdict"] == "no difference detectable"


def test_without_undesirable_answers_there_is_no_margin():
    found = judge_answers(answers([True] * 12, range(12)), SETTINGS)
    assert found["figures"]["margin"] == {"mean": None, "low": None, "high": None}
    assert found["figures"]["rewards"]["undesirable"] is None
    assert list(found["figures"]["bits_per_byte"]) == ["desirable"]
    assert found["verdict"] == "no verdict"


def test_without_desirable_answers_nothing_can_be_compared(tmp_path):
    rows = answers([False] * 3, [0] * 3).rows
    with pytest.raises(DataError) as fault:
        evaluate_judged(SimpleNamespace(split=lambda split: rows))
    assert fault.value.code == "evaluate.no_test_rows"


def test_the_lines_stand_in_the_order_of_the_rows():
    found = answers([True, False, True], [1, 2, 3])
    swapped = ReadAnswers([found.rows[2], *found.rows[:2]], found.base[[2, 0, 1]], found.tuned[[2, 0, 1]])
    lines = answer_lines(swapped, SETTINGS)
    assert [(line["row"], line["label"], line["reward"]) for line in lines] == [
        (0, True, 0.5),
        (1, False, 1.0),
        (2, True, 1.5),
    ]
