"""What a judge costs by the user's prices: never more than the budget, and what was scored so far is kept."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from support.fake_judges import reply
from support.fake_run import make_run
from support.scripted_server import Answer, Script, completion, ollama_reply, scripted_server

from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.errors import LanguageModelError
from tutelage.evaluation.judge.cached_responses import CachedResponses
from tutelage.evaluation.judge.costs import JudgeBudget
from tutelage.evaluation.judge.judge_session import JudgeSession
from tutelage.evaluation.judge.protocol import score_request
from tutelage.llm import server_responses
from tutelage.llm.language_models import ChatModel, load_chat_model
from tutelage.llm.server_responses import Reply
from tutelage.run.folder import RunFolder
from tutelage.run.lines import read_json_lines
from tutelage.stages.judge import judge_run

IN, OUT = 2.0, 10.0  # for a million tokens
USAGE = {"prompt_tokens": 300, "completion_tokens": 8, "total_tokens": 308}
COST = (300 * IN + 8 * OUT) / 1e6


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(server_responses.time, "sleep", lambda seconds: None)
    return make_run(tmp_path / "run", test_rows=12)


def paid(usage: object = USAGE) -> Script:
    """Answer as a fair judge that says how many tokens it took."""

    def script(body: dict[str, Any]) -> Answer:
        said = json.loads(completion(reply(body)).body)
        return Answer(body=json.dumps({**said, "usage": usage}).encode())

    return script


def judged(run: RunFolder, address: str, **settings: Any) -> tuple[dict[str, Any], list[str]]:
    told: list[str] = []
    name = f"openai:judge@{address}/v1"
    chosen = EvaluationSettings(judges=[name], judge_price_in=IN, judge_price_out=OUT, **settings)
    found = judge_run(run, chosen, progress=lambda label, total: lambda n: None, tell=told.append)
    return found.to_record()["judges"][name], told


def test_a_budget_is_never_passed_and_the_same_command_goes_on_without_asking_twice(run: RunFolder) -> None:
    budget = 100 * COST
    with scripted_server(paid()) as server:
        partial, told = judged(run, server.address, judge_budget=budget)
        first = len(server.requests)
        assert 0 < first * COST <= budget
        assert not partial["trusted"]
        assert f"not asked: evaluation.judge_budget is {budget:g}" in partial["notes"][-1]["message"]
        assert f"It stops before evaluation.judge_budget, {budget:g}." in told[0]
        assert told[1].endswith(f"{first} questions for {first * COST:.4g} at the prices given.")
        scored = [
            one for one in read_json_lines(run.judgements) if one["value"] is not None and one["responses"]
        ]
        assert len(scored) >= first  # equal questions share a reply

        whole, told = judged(run, server.address)
        assert whole["trusted"]
        asked = [json.dumps(body["messages"]) for body in server.bodies]
        assert len(set(asked)) == len(asked)
        assert "It stops before" not in told[0]
        assert judged(run, server.address, judge_budget=0.0)[1] == []  # nothing is new, nothing costs


def test_questions_at_once_set_their_most_aside_so_that_they_do_not_pass_the_budget_together() -> None:
    question = score_request("p", "r", "a")
    judge_budget = JudgeBudget(IN, OUT, None)
    most = judge_budget.most(question, 64)
    judge_budget = JudgeBudget(IN, OUT, 2.5 * most)
    for has_budget in (True, True, False):
        assert judge_budget.has_budget(most) is has_budget
        judge_budget.set_aside += most * has_budget
    judge_budget.settle(most, Reply("x", 300, 8))
    assert (judge_budget.spent, judge_budget.set_aside) == (pytest.approx(COST), pytest.approx(most))
    # Broken on purpose: without what is set aside, the third question would have had room.
    assert JudgeBudget(IN, OUT, 2.5 * most).has_budget(most)


def test_the_most_of_a_question_is_no_less_than_its_bytes() -> None:
    question = score_request("蓝色的天空", "r", "a")
    sent = sum(len(message["content"].encode()) for message in question.messages)
    assert JudgeBudget(1.0, 0.0, None).most(question, 64) * 1e6 > sent
    assert JudgeBudget(0.0, 1.0, None).most(question, 64) * 1e6 == pytest.approx(64)


@pytest.mark.parametrize(
    "usage", [None, {}, {"prompt_tokens": -5, "completion_tokens": 1}, {"prompt_tokens": 3}]
)
def test_a_reply_without_a_count_of_tokens_is_taken_at_its_most(usage: object, run: RunFolder) -> None:
    with scripted_server(paid(usage)) as server:
        _, told = judged(run, server.address, judge_limit=3)
    assert "of which 3 returned no token usage and count at their maximum" in told[1]


def test_a_question_that_got_no_reply_counts_at_its_most(tmp_path: Path) -> None:
    def fails(question: object) -> Reply:
        raise LanguageModelError("llm.no_reply", "gone")

    judge_budget = JudgeBudget(IN, OUT, None)
    session = JudgeSession(
        lambda: ChatModel("judge", fails), CachedResponses(tmp_path, "judge"), None, 1, judge_budget
    )
    question = score_request("p", "r", "a")
    session.judge([question], lambda n: None)
    assert (judge_budget.spent, judge_budget.set_aside) == (pytest.approx(judge_budget.most(question, 64)), 0)


def test_ollama_counts_too() -> None:
    def script(body: dict[str, Any]) -> Answer:
        said = json.loads(ollama_reply("hello").body)
        return Answer(body=json.dumps({**said, "prompt_eval_count": 31, "eval_count": 2}).encode())

    with scripted_server(script) as server:
        model = load_chat_model(f"ollama:judge@{server.address}", timeout_seconds=20)
        said = model.ask(
            [{"role": "user", "content": "hi"}], seed=1, temperature=0, max_tokens=4, json_schema=None
        )
    assert said == Reply("hello", 31, 2)


@pytest.mark.parametrize(
    ("settings", "lacking"),
    [
        ({"judge_budget": 1.0}, "judge_price_in and evaluation.judge_price_out"),
        ({"judge_price_in": 1.0}, "judge_price_out"),
        ({"judge_price_out": 1.0, "judge_budget": 1.0}, "judge_price_in"),
    ],
)
def test_a_budget_and_its_prices_belong_together(settings: dict[str, float], lacking: str) -> None:
    with pytest.raises(ValidationError, match=f"set evaluation.{lacking} too"):
        EvaluationSettings(**settings)
