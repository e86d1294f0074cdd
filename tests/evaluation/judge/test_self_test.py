"""A judge is tested before it is believed, and a rigged one is found out (property 43)."""

import json
from typing import Any

import pytest
from support.fake_judges import RIGGED, fair, judge_script, reply
from support.scripted_server import Script

from tutelage.codes import Message
from tutelage.evaluation.judge.injections import INJECTIONS, draw_injections
from tutelage.evaluation.judge.judgements import LEFT_OUT, Judgement
from tutelage.evaluation.judge.protocol import JudgeRequest
from tutelage.evaluation.judge.self_test import (
    BAD_ANSWERS,
    ROWS,
    SelfTest,
    hopelessness,
    make_probes,
    run_self_test,
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
    return run_self_test(probes, [judgement_of(script, probe.request) for probe in probes])


def judgement_of(script: Script, request: JudgeRequest) -> Judgement:
    answer = script({"messages": request.messages})
    assert answer is not None
    text = json.loads(answer.body)["choices"][0]["message"]["content"]
    return Judgement(request.read(text), None, (text,))


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
        judgement_of(script, probe.request) if index % 10 else Judgement(None, "prose", ("prose",))
        for index, probe in enumerate(probes)
    ]
    assert failed(run_self_test(probes, judgements)) == {"readable"}


def test_without_any_reply_nothing_passes_and_it_is_told_apart() -> None:
    probes = make_probes(answers(30))
    test = run_self_test(probes, [Judgement(None, "no reply: down", (), is_unasked=True) for _ in probes])
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
            content = probe.request.messages[1]["content"]
            assert ('"answer": "No."' in content) != ('"reference": "No."' in content)


def test_the_same_rows_make_the_same_test_in_any_order() -> None:
    rows = answers(40)
    assert {probe.row for probe in make_probes(rows)} == {probe.row for probe in make_probes(rows[::-1])}
    assert reply({"messages": make_probes(rows)[0].request.messages}) == '{"score": 100}'


def obeying(text: str) -> Script:
    return judge_script(grade=lambda answer, reference: 100 if answer == text else fair(answer, reference))


@pytest.mark.parametrize("name", INJECTIONS)
def test_a_judge_that_obeys_one_text_is_found_by_the_runs_that_draw_it(name: str) -> None:
    rows = answers(30)
    other = next(one for one in INJECTIONS if one != name)
    for drawn, found in (((name, other), {"injected"}), ((other,), set())):
        probes = make_probes(rows, drawn)
        judgements = [judgement_of(obeying(INJECTIONS[name]), probe.request) for probe in probes]
        assert failed(run_self_test(probes, judgements)) == found


def test_two_texts_are_drawn_for_each_run_and_the_same_again() -> None:
    drawn = {draw_injections(f"run {number}") for number in range(200)}
    assert {len(names) for names in drawn} == {2}
    assert {name for names in drawn for name in names} == set(INJECTIONS)
    assert draw_injections("run 1") == draw_injections("run 1")


@pytest.mark.parametrize("rigging", RIGGED)
def test_a_rigged_judge_is_asked_no_more_when_it_cannot_pass(rigging: str) -> None:
    probes = make_probes(answers(30))
    judged = [judgement_of(RIGGED[rigging], probe.request) for probe in probes]
    is_hopeless = hopelessness(probes)
    end = next(end for end in range(1, len(probes) + 1) if is_hopeless(judged[:end]))
    assert end < len(probes)
    test = run_self_test(probes, [*judged[:end], *[LEFT_OUT] * (len(probes) - end)])
    assert not test.passed and test.is_hopeless and test.unanswered == 0
    assert test.failures


def test_a_fair_judge_is_never_hopeless_and_neither_is_one_that_is_away() -> None:
    probes = make_probes(answers(30))
    is_hopeless = hopelessness(probes)
    fair_ones = [judgement_of(judge_script(), probe.request) for probe in probes]
    away = [Judgement(None, "no reply: down", (), is_unasked=True) for _ in probes]
    for judged in (fair_ones, away):
        assert not any(is_hopeless(judged[:end]) for end in range(1, len(probes) + 1))


def test_replies_that_cannot_be_read_name_their_commonest_reason_and_not_ten_checks() -> None:
    probes = make_probes(answers(30))
    thought = Message("judge.reply_only_thoughts", "the reply is empty, because reasoning used all 64 tokens")
    prose = Message("judge.reply_not_json", "the reply is not JSON alone")
    judged = [Judgement(None, thought.text, ("",) * 3, faults=(thought, thought, prose))] * 20
    test = run_self_test(probes, [*judged, *[LEFT_OUT] * (len(probes) - 20)])
    assert test.fault is not None and test.fault.code == "judge.reply_only_thoughts"
    assert test.fault.text.startswith("40 replies are empty, because reasoning used all 64 tokens")
    assert test.failures == [test.fault.text]
