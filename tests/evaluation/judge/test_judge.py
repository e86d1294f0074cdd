"""Judging a finished evaluation: outage and resume, the same bytes again, and real models (properties 35, 46)."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from support.fake_judges import RIGGED, judge_script
from support.fake_run import make_run
from support.llama_cpp import llama_cpp
from support.scripted_server import Answer, Script, completion, scripted_server
from support.tiers import slow
from support.tiny_gguf import write_tiny_gguf

from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.errors import LanguageModelError, RecipeError
from tutelage.evaluation.judge.judge import check_judge_settings
from tutelage.llm import server_responses
from tutelage.run.folder import RunFolder, read_json, write_json
from tutelage.run.lines import read_json_lines
from tutelage.stages.judge import judge_run

ROWS = 12


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(server_responses.time, "sleep", lambda seconds: None)
    return tmp_path / "cache"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run", test_rows=ROWS)


def judge(run: RunFolder, *names: str, **settings: Any) -> dict[str, Any]:
    chosen = EvaluationSettings(judges=list(names), **settings)
    return judge_run(run, chosen, progress=lambda name, total: lambda n: None).to_record()["judges"]


def name_at(address: str) -> str:
    return f"openai:judge@{address}/v1"


def written(run: RunFolder) -> tuple[bytes, bytes]:
    return run.judges.read_bytes(), run.judgements.read_bytes()


def test_a_fair_judge_is_believed_and_every_reply_is_kept(run: RunFolder) -> None:
    with scripted_server(judge_script()) as server:
        name = name_at(server.address)
        found = judge(run, name)[name]
    assert found["trusted"] and found["missing_scores"] == 0
    base, tuned = (read_json_lines(run.responses(variant)) for variant in ("base", "tuned"))
    exact = [100.0 * (answer["response"] == answer["reference"]) for answer in tuned]
    records = [record for record in read_json_lines(run.judgements) if record["kind"] == "score"]
    by_arm = {(record["row"], record["variant"]): record["value"] for record in records}
    assert [by_arm[answer["row"], "tuned"] == 100 for answer in tuned] == [value == 100 for value in exact]
    assert len(records) == 2 * len(base) and all(record["responses"] for record in records)


@pytest.mark.parametrize("rigging", RIGGED)
def test_a_rigged_judge_makes_no_verdict(rigging: str, run: RunFolder) -> None:
    with scripted_server(RIGGED[rigging]) as server:
        name = name_at(server.address)
        found = judge(run, name)[name]
    assert (found["trusted"], found["verdict"]) == (False, "no verdict")
    assert "not trustworthy" in found["sentence"]


def test_a_repeated_evaluation_asks_nothing_and_writes_the_same_bytes(run: RunFolder) -> None:
    with scripted_server(judge_script()) as server:
        name = name_at(server.address)
        judge(run, name)
        first, asked = written(run), len(server.requests)
        judge(run, name)
        assert len(server.requests) == asked
    judge(run, name)  # the server is gone, and nobody notices
    assert written(run) == first


def faults() -> dict[str, Answer | None]:
    return {
        "500": Answer(status=500),
        "429": Answer(status=429, headers={"retry-after": "1"}),
        "401": Answer(status=401),
        "garbage": Answer(body=b"<html>"),
        "cut off": Answer(body=b'{"choices": [', cut=True),
        "wrong model": completion('{"score": 50}', model="other"),
        "slow": None,
    }


@pytest.mark.parametrize("kind", ["500", *map(slow, [kind for kind in faults() if kind != "500"])])
def test_an_outage_leaves_nulls_and_is_resumed_without_asking_twice(kind: str, run: RunFolder) -> None:
    fair, served = judge_script(), 0
    is_up = False

    def failing(body: dict[str, Any]) -> Answer | None:
        nonlocal served
        served += 1
        return fair(body) if is_up or served <= 20 else faults()[kind]

    with scripted_server(failing) as server:
        name = name_at(server.address)
        partial = judge(run, name, judge_timeout=0.5 if kind == "slow" else 20.0)[name]
        assert not partial["trusted"] and "verdict" in partial
        records = read_json_lines(run.judgements)
        answered = {key(record) for record in records if record["responses"]}
        assert {key(record) for record in records if record["value"] is None}.isdisjoint(answered)
        assert all(record["reason"] for record in records if record["value"] is None)

        is_up = True
        messages = [json.dumps(body["messages"]) for body in server.bodies[:20]]
        before = len(server.requests)
        whole = judge(run, name)[name]
        again = [json.dumps(body["messages"]) for body in server.bodies[before:]]
    assert not set(messages) & set(again)
    assert whole["trusted"] and whole["missing_scores"] == 0


def key(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(record.get(name) for name in ("judge", "row", "kind", "variant", "first", "probe"))


def test_no_server_at_all_invents_no_score(run: RunFolder) -> None:
    with scripted_server(judge_script()) as server:
        name = name_at(server.address)
    found = judge(run, name)[name]
    assert (found["missing_scores"], found["rows"], found["score"]["difference"]) == (ROWS, ROWS, None)
    assert found["notes"][-1]["code"] == "judge.requests_left"
    assert found["bounds"] == {"worst": -100, "best": 100}


def test_replies_that_cannot_be_read_are_nulls_that_forbid_a_claim(run: RunFolder) -> None:
    fair = judge_script()

    def chatty(body: dict[str, Any]) -> Answer:
        said = fair(body)
        assert said is not None
        is_spoiled = "answer" in body["messages"][1]["content"] and "chance" in str(body["messages"])
        return completion("I would say 85 out of 100.") if is_spoiled else said

    rows = read_json_lines(run.responses("tuned"))
    spoiled = rows[0] | {"response": "by chance"}
    run.responses("tuned").write_text("\n".join(map(json.dumps, [spoiled, *rows[1:]])) + "\n")
    with scripted_server(chatty) as server:
        name = name_at(server.address)
        found = judge(run, name)[name]
    assert found["missing_scores"] == 1  # of 12, which is more than 5 %
    assert "1 of 12 rows have no pair of scores" in found["sentence"]
    lost = [record for record in read_json_lines(run.judgements) if record["value"] is None]
    assert {record["reason"] for record in lost} == {"the reply is not JSON alone"}
    assert all(record["responses"] == ["I would say 85 out of 100."] * 3 for record in lost)


def test_several_judges_stand_side_by_side(run: RunFolder) -> None:
    with scripted_server(judge_script()) as fair, scripted_server(RIGGED["always 90"]) as rigged:
        found = judge(run, name_at(fair.address), name_at(rigged.address))
    assert [result["trusted"] for result in found.values()] == [True, False]


def test_labels_are_held_against_the_judge(run: RunFolder, tmp_path: Path) -> None:
    rows = [answer["row"] for answer in read_json_lines(run.responses("base"))]
    labels = [{"row": row, "variant": variant, "score": 50} for row in rows for variant in ("base", "tuned")]
    write_json(tmp_path / "labels.json", labels)
    with scripted_server(judge_script()) as server:
        name = name_at(server.address)
        found = judge(run, name, labels=str(tmp_path / "labels.json"))[name]["labels"]
    assert found["agreement"]["n"] == 2 * ROWS
    assert found["corrected"]["difference"] == pytest.approx(0)


def test_a_limit_leaves_the_rest_without_a_score(run: RunFolder) -> None:
    with scripted_server(judge_script()) as server:
        name = name_at(server.address)
        found = judge(run, name, judge_limit=10)[name]
        assert len(server.requests) == 10
    assert not found["trusted"]


def test_a_real_llama_cpp_server_and_the_same_file_in_process_can_judge(
    run: RunFolder, tmp_path: Path
) -> None:
    path = write_tiny_gguf(tmp_path / "judge.gguf")
    with llama_cpp(path, context=2048) as server:
        for name in (f"gguf:{path}", name_at(server.address)):
            found = judge(run, name, judge_limit=3)[name]
            replied = [record for record in read_json_lines(run.judgements) if record["responses"]]
            assert 1 <= len(replied) <= 3
            assert all(isinstance(record["value"], int) or record["reason"] for record in replied)
            assert not found["trusted"]


def test_the_tuned_model_is_no_judge_of_itself(run: RunFolder, tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "base.gguf")
    preparation = read_json(run.preparation)
    preparation["model_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    write_json(run.preparation, preparation)
    with pytest.raises(LanguageModelError, match="the same model that was fine-tuned"):
        judge(run, f"gguf:{path}")


def test_a_judge_of_the_same_family_is_noted(run: RunFolder) -> None:
    script: Script = lambda body: completion('{"score": 1}', model="smollm2-1.7b")  # noqa: E731
    with scripted_server(script) as server:
        name = f"openai:smollm2-1.7b@{server.address}/v1"
        notes = judge(run, name)[name]["notes"]
    assert [note["code"] for note in notes] == ["judge.same_family"]


def test_a_remote_judge_of_a_recipe_has_to_be_named_on_the_command_line() -> None:
    remote = EvaluationSettings(judges=["openai:m@https://judge.example/v1"])
    with pytest.raises(
        LanguageModelError, match=r"would send the test rows to judge\.example.*--judge openai:m@"
    ):
        check_judge_settings(remote, named_here=False)
    check_judge_settings(remote, named_here=True)
    check_judge_settings(EvaluationSettings(judges=["ollama:llama3"]), named_here=False)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"judges": ["ollama:a", "ollama:a"]}, "lists a judge twice"),
        ({"labels": "labels.json"}, "there is no judge"),
        ({"judges": ["ollama:a"], "labels": "none.json"}, "none.json do not exist"),
        ({"judges": ["llama3"]}, "is not the name of a language model"),
        ({"judges": ["gguf:none.gguf"]}, "cannot be read"),
    ],
)
def test_judges_at_fault_are_refused_before_anything_is_computed(settings: dict[str, Any], said: str) -> None:
    with pytest.raises((RecipeError, LanguageModelError), match=said):
        check_judge_settings(EvaluationSettings(**settings), named_here=True)


def thinking(body: dict[str, Any]) -> Answer:
    """Answer as a model that thinks first, and needs 1,000 tokens for that."""
    if body["max_tokens"] >= 1_000:
        said = judge_script()(body)
        assert said is not None
        return said
    message = {"role": "assistant", "content": "", "reasoning_content": "Let me see."}
    choices = [{"index": 0, "finish_reason": "length", "message": message}]
    return Answer(body=json.dumps({"model": "judge", "choices": choices}).encode())


def test_a_judge_that_thinks_is_told_so_at_once_and_can_be_given_more_tokens(run: RunFolder) -> None:
    with scripted_server(thinking) as server:
        name = name_at(server.address)
        found = judge(run, name, judge_concurrency=1)[name]
        assert found["self_test"]["fault"]["code"] == "judge.reply_only_thoughts"
        assert "reasoning used all 64 tokens" in found["sentence"]
        assert len(server.requests) < 60  # of more than 500 with all retries
        first = written(run)
        judge(run, name)
        assert written(run) == first
        assert judge(run, name, judge_max_tokens=1_000)[name]["trusted"]


def test_a_judge_that_cannot_pass_leaves_out_the_same_each_time(run: RunFolder) -> None:
    with scripted_server(RIGGED["always 90"]) as server:
        name = name_at(server.address)
        found = judge(run, name, judge_concurrency=8)[name]
        first, asked = written(run), len(server.requests)
        judge(run, name, judge_concurrency=1)
        assert len(server.requests) == asked
    assert written(run) == first
    assert found["notes"] == []
    codes = {record["code"] for record in read_json_lines(run.judgements) if record["kind"] == "score"}
    assert codes == {"judge.self_test_failed"}


def test_another_name_is_recorded_and_told_also_when_nobody_is_asked(run: RunFolder) -> None:
    fair = judge_script()

    def dated(body: dict[str, Any]) -> Answer:
        said = fair(body)
        assert said is not None
        return Answer(body=said.body.replace(b'"model": "judge"', b'"model": "judge-2024-08-06"'))

    with scripted_server(dated) as server:
        name = name_at(server.address)
        for _ in range(2):
            found = judge(run, name)[name]
            assert found["answered_as"] == ["judge-2024-08-06"]
            assert [note["code"] for note in found["notes"]] == ["judge.answered_as"]


def test_an_account_without_credit_ends_the_sitting_with_one_question(run: RunFolder) -> None:
    body = json.dumps({"error": {"message": "no", "code": "insufficient_quota"}}).encode()
    with scripted_server(lambda asked: Answer(status=429, body=body)) as server:
        name = name_at(server.address)
        found = judge(run, name)[name]
        assert len(server.requests) == 1
    assert found["notes"][-1]["code"] == "judge.requests_left"
    codes = {record["code"] for record in read_json_lines(run.judgements)}
    assert codes >= {"llm.quota_exhausted", "judge.gave_up"}


def test_a_refused_temperature_is_noted(run: RunFolder) -> None:
    fair = judge_script()
    error = {"error": {"message": "Unsupported value.", "param": "temperature"}}

    def warm(body: dict[str, Any]) -> Answer | None:
        return Answer(status=400, body=json.dumps(error).encode()) if "temperature" in body else fair(body)

    with scripted_server(warm) as server:
        name = name_at(server.address)
        found = judge(run, name)[name]
    assert found["trusted"]
    assert [note["code"] for note in found["notes"]] == ["judge.asked_otherwise"]
