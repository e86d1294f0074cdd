"""Whatever fails, a judge's own count of what it did is never above the budget: 1,000 simulated judges."""

import json
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.tiers import slow

from tutelage.evaluation.judge.cached_responses import CachedResponses
from tutelage.evaluation.judge.costs import PRICED_TOKENS, JudgeBudget
from tutelage.evaluation.judge.judge_session import JudgeSession
from tutelage.evaluation.judge.ledger import SpentLedger
from tutelage.evaluation.judge.protocol import JudgeRequest, preference_request, score_request
from tutelage.llm import language_models, server_responses
from tutelage.llm.language_models import load_chat_model

JUDGES = 1_000
PARTS = 4  # for several processes
QUESTIONS = 6
MAX_TOKENS = 64

# After the work, which the judge counts, unless it says otherwise.
FAULTS = (
    *("good", "good", "good", "prose", "empty", "fenced", "thinks", "no usage", "half a usage", "odd usage"),
    *(
        "total alone",
        "timeout",
        "write timeout",
        "500",
        "502",
        "503",
        "529",
        "408",
        "429",
        "disconnect",
        "cut",
    ),
    *("garbage", "no choices", "error as 200", "compressed", "endless", "other model", "402", "quota", "404"),
    *("refuses limit", "refuses temperature", "refuses vaguely", "out of room", "failed json", "never sent"),
)
STATUSES = {"500", "502", "503", "529", "408", "429", "402", "404"}


class Killed(BaseException):
    """The end of the process in the middle of a question."""


class SimulatedJudge:
    """A server that works, counts what that costs, and then fails in one of many ways."""

    def __init__(self, seed: int, price_in: float, price_out: float) -> None:
        self.chance = random.Random(seed)
        self.prices = Fraction(repr(price_in)), Fraction(repr(price_out))
        self.money = Fraction(0)
        self.faults = self.chance.sample(FAULTS, k=self.chance.randint(1, len(FAULTS)))
        self.kills = self.chance.random() < 0.3

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        sent = sum(len(message["content"].encode()) for message in body["messages"])
        limit = body.get("max_tokens") or body.get("max_completion_tokens") or body["options"]["num_predict"]
        tokens_in = max(1, int(sent / self.chance.uniform(1, 5)))
        tokens_out = self.chance.randint(1, limit)
        fault = self.chance.choice(self.faults)
        if fault == "never sent":
            raise self.chance.choice([httpx2.ConnectError, httpx2.ConnectTimeout])("refused", request=request)
        self.money += (tokens_in * self.prices[0] + tokens_out * self.prices[1]) / PRICED_TOKENS
        if self.kills and self.chance.random() < 0.05:
            raise Killed
        return self.answer(fault, request, body, tokens_in, tokens_out)

    def answer(
        self, fault: str, request: httpx2.Request, body: dict[str, Any], tokens_in: int, tokens_out: int
    ) -> httpx2.Response:
        if fault in STATUSES:
            return httpx2.Response(int(fault), json={"error": {"message": fault}}, headers=self.pause())
        if fault in REFUSALS:
            status, error = REFUSALS[fault]
            return httpx2.Response(status, json={"error": error})
        if fault in BROKEN_CONNECTIONS:
            raise BROKEN_CONNECTIONS[fault]("broken", request=request)
        if fault in BROKEN_BODIES:
            return httpx2.Response(200, **BROKEN_BODIES[fault]())
        model = "other" if fault == "other model" else body["model"]
        return httpx2.Response(200, json=self.reply(fault, model, tokens_in, tokens_out))

    def reply(self, fault: str, model: str, tokens_in: int, tokens_out: int) -> dict[str, Any]:
        texts = {
            "prose": "Certainly!",
            "empty": "",
            "fenced": '```json\n{"score": 5}\n```',
            "thinks": "<think>hm",
        }
        message = {"role": "assistant", "content": texts.get(fault, '{"score": 5}')}
        usage: dict[str, Any] = {
            "prompt_tokens": tokens_in,
            "completion_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
        }
        if fault == "total alone":  # thoughts that only the total counts
            usage["completion_tokens"] = 1
        if fault == "half a usage":
            usage = {"completion_tokens": 0, "prompt_tokens": 3}
        if fault == "odd usage":
            usage = {"prompt_tokens": True, "completion_tokens": -4}
        if fault == "no usage":
            usage = {}
        counts = {
            "prompt_eval_count": usage.get("prompt_tokens"),
            "eval_count": usage.get("completion_tokens"),
        }
        if fault == "total alone":
            counts["eval_count"] = tokens_out
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return {"model": model, "choices": [choice], "message": message, "usage": usage or None, **counts}

    def pause(self) -> dict[str, str]:
        return {"retry-after": "1"} if self.chance.random() < 0.5 else {}


REFUSALS = {
    "quota": (429, {"message": "You exceeded your current quota.", "code": "insufficient_quota"}),
    "refuses limit": (400, {"message": "Use 'max_completion_tokens' instead.", "param": "max_tokens"}),
    "refuses temperature": (400, {"message": "Unsupported value.", "param": "temperature"}),
    "refuses vaguely": (422, {"message": "Unsupported parameter."}),
    "out of room": (400, {"message": "Could not finish the message because the output limit was reached."}),
    "failed json": (400, {"message": "Failed to generate JSON.", "failed_generation": "{"}),
}


BROKEN_CONNECTIONS = {
    "timeout": httpx2.ReadTimeout,
    "write timeout": httpx2.WriteTimeout,
    "disconnect": httpx2.RemoteProtocolError,
}


class CutStream(httpx2.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield b'{"choices": [{"mess'
        raise httpx2.ReadError("cut off")


BROKEN_BODIES: dict[str, Callable[[], dict[str, Any]]] = {
    "cut": lambda: {"stream": CutStream()},
    "garbage": lambda: {"content": b"<html>gateway</html>"},
    "no choices": lambda: {"json": {"choices": [], "message": None}},
    "error as 200": lambda: {"json": {"error": {"message": "overloaded"}}},
    "compressed": lambda: {"headers": {"content-encoding": "gzip"}, "stream": CutStream()},
    "endless": lambda: {"content": b" " * (2**20 + 1)},
}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_responses.time, "sleep", lambda seconds: None)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def questions(chance: random.Random) -> list[JudgeRequest]:
    texts = ["a", "蓝色" * 30, "é" * 200, "word " * 300, "😀"]
    return [
        score_request(chance.choice(texts), chance.choice(texts), f"{number} {chance.choice(texts)}")
        if chance.random() < 0.7
        else preference_request("p", "r", f"{number}", chance.choice(texts))
        for number in range(QUESTIONS)
    ]


def simulate(seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Fraction, Fraction, Fraction]:
    """Ask one judge as a command does, again after each kill; return its own count, ours and the budget."""
    chance = random.Random(f"user {seed}")
    price_in, price_out = round(chance.uniform(0, 20), 2), round(chance.uniform(0, 80), 2)
    judge = SimulatedJudge(seed, price_in, price_out)
    asked = questions(chance)
    most = JudgeBudget(price_in, price_out, None).most(asked[0], MAX_TOKENS)
    budget = float(most) * chance.choice([0, 0.5, 1, 1.5, 3, 7, 12, 40])

    def client(*, is_here: bool) -> httpx2.Client:
        return httpx2.Client(
            transport=httpx2.MockTransport(judge), event_hooks={"response": [server_responses._bound]}
        )

    monkeypatch.setattr(language_models, "http_client", client)
    kind = "openai" if seed % 3 else "ollama"
    while True:
        judge_budget = JudgeBudget(price_in, price_out, budget, SpentLedger(folder, f"judge {seed}"))
        session = JudgeSession(
            lambda: load_chat_model(f"{kind}:judge@http://127.0.0.1:9/v1", timeout_seconds=60),
            CachedResponses(folder, f"judge {seed}"),
            None,
            1 if judge.kills else chance.randint(1, 4),
            judge_budget,
            MAX_TOKENS,
        )
        try:
            session.judge(asked, lambda n: None)
        except Killed:
            continue
        judge_budget.close()
        return judge.money, judge_budget.spent, Fraction(repr(budget))


@pytest.mark.parametrize("part", [0, *map(slow, range(1, PARTS))])
def test_no_simulated_judge_passes_its_budget(
    part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [simulate(seed, tmp_path, monkeypatch) for seed in range(part, JUDGES, PARTS)]
    assert all(own <= told <= budget for own, told, budget in results)
    assert sum(own > 0 for own, _, _ in results) > len(results) / 2
    assert list(tmp_path.glob("*.spent")) == []


@pytest.mark.parametrize("broken", ["failures are free", "a kill forgets"])
def test_a_count_that_leaves_something_out_passes_budgets(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broken == "failures are free":
        settle = JudgeBudget.settle
        monkeypatch.setattr(
            JudgeBudget,
            "settle",
            lambda judge_budget, most, reply, was_sent: settle(
                judge_budget, most, reply, was_sent=reply is not None
            ),
        )
    else:
        monkeypatch.setattr(SpentLedger, "write", lambda ledger, spent: None)
    results = [simulate(seed, tmp_path, monkeypatch) for seed in range(JUDGES // 10)]
    assert any(own > budget for own, _, budget in results)


def test_a_kill_between_charge_and_reply_leaves_the_try_charged(tmp_path: Path) -> None:
    question = score_request("p", "r", "a")
    judge_budget = JudgeBudget(2.0, 10.0, 1.0, SpentLedger(tmp_path, "judge"))
    most = judge_budget.most(question, MAX_TOKENS)
    assert judge_budget.charge(most)
    with next(tmp_path.iterdir()).open("ab") as file:
        file.write(b"12/")  # the line of the next charge, cut short
    again = JudgeBudget(2.0, 10.0, 1.0, SpentLedger(tmp_path, "judge"))
    assert again.spent == most
    again.close()
    assert JudgeBudget(2.0, 10.0, 1.0, SpentLedger(tmp_path, "judge")).spent == 0


def test_a_server_that_keeps_no_limit_is_asked_no_more(tmp_path: Path) -> None:
    def chatty(question: object) -> server_responses.Reply:
        return server_responses.Reply('{"score": 5}', 300, 5_000)

    judge_budget = JudgeBudget(2.0, 10.0, 100.0)
    model = language_models.ChatModel("judge", chatty)
    session = JudgeSession(lambda: model, CachedResponses(tmp_path, "judge"), None, 1, judge_budget)
    judged = session.judge([score_request("p", "r", str(n)) for n in range(5)], lambda n: None)
    assert [one.value for one in judged] == [5, None, None, None, None]
    assert {one.code for one in judged[1:]} == {"judge.gave_up"}
    assert session.requests_made == 1
