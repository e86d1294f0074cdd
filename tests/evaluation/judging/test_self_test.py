"""A judge is tested before it is believed, and a rigged one is found out (property 43)."""

import json
from typing import Any

import pytest
from support.fake_judges import RIGGED, fair, judge_script, reply
from support.scripted_server import Script

from tutelage.evaluation.judging.asking import Judgement
from tutelage.evaluation.judging.protocol import Inquiry
from tutelage.evaluation.judging.self_test import (
    BAD_ANSWERS,
    ROWS,
    SelfTest,
    examine,
    make_probes,
)


def answers(n: int) -> list[dict[str, Any]]:
    """Base answers: the right one, one that holds it, and a wrong one by turns."""
    rows = []
    for row in range(n):
        reference = f"The plural of word{row} is word{row}s."
        response = (reference, f"I think so: {reference}", "No idea.")[row % 3]
        prompt = f"Give the plural of word{row}."
        rows.append({"row": row, "prompt": prompt, "reference": reference, "response": response})
    return rows


def judged_by(script: Script, rows: list[dict[str, Any]]) -> SelfTest:
    probes = make_probes(rows)
    return examine(probes, [judgement_of(script, probe.inquiry) for probe in probes])


def judgement_of(script: Script, inquiry: Inquiry) -> Judgement:
    answer = script({"messages": inquiry.messages})
    assert answer is not None
    text = json.loads(answer.body)["choices"][0]["message"]["content"]
    return Judgement(inquiry.read(text), None, (text,))


def failed(test: SelfTest) -> set[str]:
    return {check.name for check in test.checks if not check.passed}


def test_a_fair_judge_passes() -> None:
    test = judged_by(judge_script(), answers(30))
    assert test.passed
    assert {check.name for check in test.checks} == {
        *("readable", "reference", *BAD_ANSWERS, "padded", "swapped"),
    }
    assert {check.n for check in test.checks if check.name not in ("readable", "padded")} == {ROWS}


@pytest.mark.parametrize(
    ("rigging", "found_by"),
    [
        ("always 90", {*BAD_ANSWERS, "swapped"}),
        ("longer is better", {"reference", "unrelated", "injected", "other_row", "padded", "swapped"}),
        ("first is better", {"swapped"}),
        ("obeys", {"injected"}),
        ("never prefers", {"swapped"}),
    ],
)
def test_a_rigged_judge_is_rejected_for_what_it_does(rigging: str, found_by: set[str]) -> None:
    assert failed(judged_by(RIGGED[rigging], answers(30))) == found_by


def test_a_judge_that_pays_for_repetition_is_rejected() -> None:
    def paying(answer: str, reference: str) -> int:
        return min(100, fair(answer, reference) + 30 * answer.count("\n"))

    assert failed(judged_by(judge_script(grade=paying), answers(30))) == {"padded"}


def test_a_judge_that_slights_the_reference_is_rejected() -> None:
    strict = judge_script(grade=lambda answer, reference: fair(answer, reference) * 8 // 10)
    assert failed(judged_by(strict, answers(30))) == {"reference"}


def test_a_judge_that_rarely_gives_a_readable_reply_is_rejected() -> None:
    probes = make_probes(answers(30))
    script = judge_script()
    judgements = [
        judgement_of(script, probe.inquiry) if index % 10 else Judgement(None, "prose", ("prose",))
        for index, probe in enumerate(probes)
    ]
    assert failed(examine(probes, judgements)) == {"readable"}


def test_without_any_reply_nothing_passes_and_it_is_told_apart() -> None:
    probes = make_probes(answers(30))
    test = examine(probes, [Judgement(None, "no reply: down", (), is_unasked=True) for _ in probes])
    assert failed(test) == {check.name for check in test.checks}
    assert test.unanswered == len(probes)


def test_few_rows_make_a_small_test_and_one_row_none_of_the_checks_that_need_two() -> None:
    assert {probe.row for probe in make_probes(answers(3))} == {0, 1, 2}
    names = {check.name for check in judged_by(judge_script(), answers(1)).checks}
    assert names == {"readable", "reference", *BAD_ANSWERS, "padded"} - {"other_row"}


def test_the_reference_of_another_row_is_another_text() -> None:
    rows = [row | {"reference": "Yes."} for row in answers(30)]
    rows[7]["reference"] = "No."
    for probe in make_probes(rows):
        if probe.kind == "other_row":
            content = probe.inquiry.messages[1]["content"]
            assert ('"answer": "No."' in content) != ('"reference": "No."' in content)


def test_the_same_rows_make_the_same_test_in_any_order() -> None:
    rows = answers(40)
    assert {probe.row for probe in make_probes(rows)} == {probe.row for probe in make_probes(rows[::-1])}
    assert reply({"messages": make_probes(rows)[0].inquiry.messages}) == '{"score": 100}'
