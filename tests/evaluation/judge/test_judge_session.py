"""Questions to a judge: each asked once, each reply kept, and an end where there are none."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tutelage.errors import LanguageModelError
from tutelage.evaluation.judge.cached_responses import CachedResponses
from tutelage.evaluation.judge.judge_session import JudgeSession
from tutelage.evaluation.judge.protocol import JudgeRequest, score_request
from tutelage.llm.language_models import ChatModel, ModelRequest
from tutelage.llm.server_responses import Reply


def session(
    cache: Path,
    reply: Callable[[ModelRequest], str],
    *,
    limit: int | None = None,
    concurrency: int = 1,
    fingerprint: str = "judge",
) -> JudgeSession:
    return JudgeSession(
        lambda: ChatModel("judge", lambda question: Reply(reply(question))),
        CachedResponses(cache, fingerprint),
        limit,
        concurrency,
    )


def requests(n: int) -> list[JudgeRequest]:
    return [score_request("p", "r", f"answer {index}") for index in range(n)]


def nobody() -> ChatModel:
    raise AssertionError("the judge is asked though every reply is there")


def ignore(n: int) -> None:
    pass


def replies_of(*texts: str) -> Callable[[ModelRequest], str]:
    left = list(texts)
    return lambda question: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.parametrize("junk", [b"", b"\n", b"{}", b"[1]", b'{"key": "x"}', b"\xff\xfe", b"null\nnull"])
def test_junk_in_the_file_of_replies_is_passed_over(junk: bytes, tmp_path: Path) -> None:
    CachedResponses(tmp_path, "judge").keep("before", "1")
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes() + b"\n" + junk)
    CachedResponses(tmp_path, "judge").keep("after", "2")
    kept = CachedResponses(tmp_path, "judge")
    assert (kept.get("before"), kept.get("after"), kept.get("x")) == ("1", "2", None)


def test_a_judge_is_asked_as_in_the_book(tmp_path: Path) -> None:
    asked: list[ModelRequest] = []

    def reply(question: ModelRequest) -> str:
        asked.append(question)
        return '{"score": 85}'

    assert session(tmp_path, reply).judge(requests(1), ignore)[0].value == 85
    assert (asked[0].seed, asked[0].temperature) == (123, 0)


def test_what_was_replied_once_is_not_asked_again(tmp_path: Path) -> None:
    first = session(tmp_path, replies_of('{"score": 1}', "prose", "prose", "prose", '{"score": 2}'))
    judged = first.judge(requests(3), ignore)
    assert [judgement.value for judgement in judged] == [1, None, 2]
    again = JudgeSession(nobody, CachedResponses(tmp_path, "judge"), None, 1)
    assert again.judge(requests(3), ignore) == judged
    assert again.requests_made == 0


def test_another_judge_has_replies_of_its_own(tmp_path: Path) -> None:
    session(tmp_path, replies_of('{"score": 1}')).judge(requests(1), ignore)
    other = session(tmp_path, replies_of('{"score": 2}'), fingerprint="other").judge(requests(1), ignore)
    assert other[0].value == 2


def test_a_damaged_reply_in_the_cache_is_asked_for_again(tmp_path: Path) -> None:
    session(tmp_path, replies_of('{"score": 1}')).judge(requests(1), ignore)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-9])  # a crash in the middle of a line
    assert session(tmp_path, replies_of('{"score": 2}')).judge(requests(1), ignore)[0].value == 2
    assert (
        JudgeSession(nobody, CachedResponses(tmp_path, "judge"), None, 1).judge(requests(1), ignore)[0].value
        == 2
    )


def test_equal_questions_are_asked_once(tmp_path: Path) -> None:
    one = session(tmp_path, replies_of('{"score": 5}'), concurrency=4)
    moved: list[int] = []
    assert [judgement.value for judgement in one.judge(requests(1) * 8, moved.append)] == [5] * 8
    assert one.requests_made == 1
    assert sum(moved) == 8


def test_an_unreadable_reply_is_asked_for_twice_more(tmp_path: Path) -> None:
    one = session(tmp_path, replies_of("85", "I said 85", '{"score": 85}'))
    assert one.judge(requests(1), ignore)[0].value == 85
    assert one.requests_made == 3


def test_after_two_retries_there_is_no_score_but_a_reason(tmp_path: Path) -> None:
    one = session(tmp_path, replies_of("8/10", "eight", "", '{"score": 80}'))
    judgement = one.judge(requests(1), ignore)[0]
    assert judgement.value is None
    assert judgement.reason == "the reply is empty"
    assert judgement.responses == ("8/10", "eight", "")
    assert not judgement.is_unasked


def test_a_judge_that_is_gone_is_left_alone_and_asked_later(tmp_path: Path) -> None:
    calls = 0

    def dying(question: ModelRequest) -> str:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise LanguageModelError("llm.no_reply", "connection refused")
        return '{"score": 50}'

    judged = session(tmp_path, dying).judge(requests(20), ignore)
    assert calls == 4 + 3  # three in a row are enough to tell
    assert [judgement.value for judgement in judged] == [50] * 4 + [None] * 16
    assert all(judgement.is_unasked for judgement in judged[4:])
    assert "connection refused" in (judged[4].reason or "") and "in a row" in (judged[-1].reason or "")

    later = session(tmp_path, replies_of('{"score": 60}'))
    assert [judgement.value for judgement in later.judge(requests(20), ignore)] == [50] * 4 + [60] * 16
    assert later.requests_made == 16  # nothing twice


def test_single_failures_do_not_end_the_sitting(tmp_path: Path) -> None:
    calls = 0

    def now_and_then(question: ModelRequest) -> str:
        nonlocal calls
        calls += 1
        if calls % 3:
            raise LanguageModelError("llm.no_reply", "busy")
        return '{"score": 50}'

    judged = session(tmp_path, now_and_then).judge(requests(9), ignore)
    assert [judgement.value for judgement in judged] == [None, None, 50] * 3


def test_a_limit_bounds_the_questions_and_not_the_replies_that_are_there(tmp_path: Path) -> None:
    session(tmp_path, replies_of('{"score": 5}')).judge(requests(4), ignore)
    limited = session(tmp_path, replies_of('{"score": 6}'), limit=2)
    judged = limited.judge(requests(8), ignore)
    assert [judgement.value for judgement in judged] == [5] * 4 + [6] * 2 + [None] * 2
    assert judged[-1].reason == "not asked: evaluation.judge_limit is 2"


def test_questions_are_put_side_by_side(tmp_path: Path) -> None:
    together = threading.Barrier(4, timeout=20)

    def reply(question: ModelRequest) -> str:
        together.wait()  # passes only if four are asked at once
        return '{"score": 5}'

    judged = session(tmp_path, reply, concurrency=4).judge(requests(8), ignore)
    assert [judgement.value for judgement in judged] == [5] * 8


def test_judgements_come_in_the_order_of_the_questions(tmp_path: Path) -> None:
    def reply(question: ModelRequest) -> str:
        number = question.messages[1]["content"].split("answer ")[1].split('"')[0]
        return f'{{"score": {number}}}'

    judged = session(tmp_path, reply, concurrency=8).judge(requests(60), ignore)
    assert [judgement.value for judgement in judged] == list(range(60))


def test_a_fault_of_our_own_is_not_hidden(tmp_path: Path) -> None:
    def broken(question: ModelRequest) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        session(tmp_path, broken).judge(requests(2), ignore)


def test_no_questions_need_no_judge(tmp_path: Path) -> None:
    assert JudgeSession(nobody, CachedResponses(tmp_path, "judge"), None, 4).judge([], ignore) == []
