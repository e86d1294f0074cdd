"""Named sets that judges score: each tested on the set's own rows, and missing scores told."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.fake_judges import data_of, fair, judge_script, reply
from support.fake_run import make_run
from support.pages import Page
from support.reports import write_report
from support.scripted_server import Answer, completion, scripted_server

from tutelage.config.recipe_evaluation import EvalSetSettings, EvaluationSettings
from tutelage.errors import RecipeError, RunFolderError
from tutelage.evaluation.judge.judge import check_judge_settings
from tutelage.llm import server_responses
from tutelage.run.folder import RunFolder, read_json, write_json, write_json_lines
from tutelage.run.lines import read_json_lines
from tutelage.stages.judge import judge_run

ROWS = 20
SETS = {"towns": EvalSetSettings(source="towns.jsonl", metric="judge")}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run with a set on which the tuned model is right in three of four rows, and the base model in one."""
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(server_responses.time, "sleep", lambda seconds: None)
    run = make_run(tmp_path / "run", test_rows=12)
    metrics = read_json(run.metrics)
    metrics["sets"] = {"towns": {"source": "towns.jsonl", "metric": "judge", "rows": ROWS, "dropped": 0}}
    write_json(run.metrics, metrics)
    write_json_lines(run.test_set("towns"), [row(number) for number in range(ROWS)])
    return run


def row(number: int) -> dict[str, Any]:
    answers = {"base": number % 4 == 0, "tuned": number % 4 != 1}
    return {
        "row": number,
        "prompt": f"{WORDS[number % 5]} {number * 7919}?",
        "reference": f"town {number}",
        **{
            variant: {"response": f"town {number}" if right else "a lake"}
            for variant, right in answers.items()
        },
    }


WORDS = ("Where lies the house", "Whose river is", "Which road leads to", "How far off is", "Who was born in")


def judged(run: RunFolder, script: Any, **settings: Any) -> tuple[dict[str, Any], Any]:
    with scripted_server(script) as server:
        name = f"openai:judge@{server.address}/v1"
        chosen = EvaluationSettings(judges=[name], sets=SETS, **settings)
        found = judge_run(run, chosen, progress=lambda label, total: lambda n: None)
    return found.to_record()["judges"][name], server


def test_a_judge_scores_both_answers_to_each_row_of_a_set(run: RunFolder) -> None:
    found, _ = judged(run, judge_script())
    towns = found["sets"]["towns"]
    # By hand: 5 of 20 rows right before and 15 after, and the fair judge gives 100 or 0.
    assert (towns["base"], towns["tuned"], towns["difference"]) == (25.0, 75.0, 50.0)
    assert (towns["trusted"], towns["verdict"], towns["rows"], towns["missing"]) == (True, "better", ROWS, 0)
    assert towns["p_holm"] == towns["p"]
    assert found["rows"] == 12
    of_set = [record for record in read_json_lines(run.judgements) if record.get("set") == "towns"]
    assert sum(record["kind"] == "score" for record in of_set) == 2 * ROWS
    assert {record["kind"] for record in of_set} == {"score", "self_test"}


@pytest.mark.slow
def test_the_verdict_on_the_test_rows_is_the_same_with_sets_and_without(run: RunFolder) -> None:
    with_sets, _ = judged(run, judge_script())
    records = [record for record in read_json_lines(run.judgements) if "set" not in record]
    with scripted_server(judge_script()) as server:
        name = f"openai:judge@{server.address}/v1"
        judge_run(run, EvaluationSettings(judges=[name]), progress=lambda label, total: lambda n: None)
    alone = read_json(run.judges)["judges"][name]
    assert alone["sets"] == {}
    assert alone["score"] == with_sets["score"]
    assert [record["value"] for record in read_json_lines(run.judgements)] == [
        record["value"] for record in records
    ]


def test_a_judge_that_is_fair_on_the_test_rows_alone_makes_no_verdict_on_the_set(run: RunFolder) -> None:
    def blind_to_towns(body: dict[str, Any]) -> Answer:
        data = data_of(body["messages"][1]["content"])
        if "town" in data["reference"] and "answer" in data:
            return completion(json.dumps({"score": 90}))
        return completion(reply(body))

    found, _ = judged(run, blind_to_towns)
    assert found["trusted"]
    assert (found["sets"]["towns"]["trusted"], found["sets"]["towns"]["verdict"]) == (False, "no verdict")
    assert "not trustworthy on this data" in found["sets"]["towns"]["sentence"]


def test_scores_that_are_missing_count_for_neither_and_forbid_a_claim_above_5_percent(run: RunFolder) -> None:
    def mute_on_lakes(body: dict[str, Any]) -> Answer:
        data = data_of(body["messages"][1]["content"])
        is_lost = data.get("answer") == "a lake" and data["reference"] in ("town 1", "town 5")
        return completion("hm" if is_lost else reply(body))

    found, _ = judged(run, mute_on_lakes)
    towns = found["sets"]["towns"]
    assert towns["missing"] == 2  # both models gave the lake there
    assert (towns["if_against"], towns["if_for"]) == (pytest.approx(50 - 10), pytest.approx(50 + 10))
    assert "2 of 20 rows have no pair of scores" in towns["sentence"]


@pytest.mark.slow
def test_a_limit_counts_the_questions_about_sets_too_and_the_rest_is_asked_later(run: RunFolder) -> None:
    _, server = judged(run, judge_script())
    needed = len(server.requests)
    with scripted_server(judge_script()) as server:
        name = (
            f"openai:judge@{server.address}/v1"  # another address is another judge, of whom nothing is kept
        )

        def judge(limit: int | None) -> dict[str, Any]:
            settings = EvaluationSettings(judges=[name], sets=SETS, judge_limit=limit)
            judged = judge_run(run, settings, progress=lambda label, total: lambda n: None)
            return judged.to_record()["judges"][name]["sets"]["towns"]

        assert ("requests have no response yet; the last: not asked") in judge(needed - 5)["notes"][0][
            "message"
        ]
        assert len(server.requests) == needed - 5
        assert judge(None)["trusted"]
        assert len(server.requests) == needed


@pytest.mark.slow
def test_the_report_has_a_line_for_the_judge_and_the_reason_where_it_is_not_believed(run: RunFolder) -> None:
    judged(run, judge_script())
    text = " ".join(Page(write_report(run).read_text(encoding="utf-8")).text.split())
    assert "towns score by openai:judge@" in text
    assert "25.0 75.0 +50.0" in text
    judged(run, judge_script(grade=lambda answer, reference: max(90, fair(answer, reference))))
    text = " ".join(Page(write_report(run).read_text(encoding="utf-8")).text.split())
    assert "on towns: the judge is not trustworthy on this data" in text


def test_a_set_for_judges_without_a_judge_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"evaluation.sets.towns.metric is judge, but there is no judge"):
        check_judge_settings(EvaluationSettings(sets=SETS), named_here=True)


def test_a_set_whose_rows_were_lost_is_told_with_the_command(run: RunFolder) -> None:
    run.test_set("towns").unlink()
    with pytest.raises(RunFolderError, match=r"tutelage evaluate .*run --overwrite"):
        judged(run, judge_script())
