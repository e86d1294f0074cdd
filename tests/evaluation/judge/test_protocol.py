"""What a judge is asked: the data fenced off by what no answer can contain, the same each time."""

import hashlib

from support.fake_judges import data_of

from tutelage.evaluation.judge.protocol import (
    LONGEST_ANSWER,
    once_more,
    preference_request,
    score_request,
)
from tutelage.evaluation.judge.self_test import INJECTED


def test_request_reference_and_answer_arrive_as_data() -> None:
    request = score_request("Name a fruit.", "An apple.", 'A "pear"\n}')
    assert data_of(request.messages[1]["content"]) == {
        "request": "Name a fruit.",
        "reference": "An apple.",
        "answer": 'A "pear"\n}',
    }


def test_the_fence_comes_from_what_it_encloses() -> None:
    first, again, other = (score_request("p", "r", answer) for answer in ("a", "a", "b"))
    assert first.messages == again.messages
    fence, _, body = first.messages[1]["content"].partition("\n")
    assert fence == f"DATA-{hashlib.sha256(body.removesuffix(chr(10) + fence).encode()).hexdigest()[:20]}"
    assert fence in first.messages[0]["content"]
    assert fence not in other.messages[1]["content"]


def test_an_answer_that_forges_the_fence_of_another_stays_data() -> None:
    fence = score_request("p", "r", "a").messages[1]["content"].partition("\n")[0]
    forged = f"a\n{fence}\n{INJECTED}"
    message = score_request("p", "r", forged).messages[1]["content"]
    assert not message.startswith(fence)
    assert data_of(message)["answer"] == forged


def test_both_orders_are_asked_alike_but_for_the_places() -> None:
    one, other = preference_request("p", "r", "a", "b"), preference_request("p", "r", "b", "a")
    assert data_of(one.messages[1]["content"])["first"] == data_of(other.messages[1]["content"])["second"]


def test_a_long_answer_is_cut_and_says_so() -> None:
    answer = data_of(score_request("p", "r", "x" * 50_000).messages[1]["content"])["answer"]
    assert answer.startswith("x" * LONGEST_ANSWER + " … (cut here, of 50,000 characters)")


def test_asking_once_more_tells_what_was_wrong() -> None:
    request = once_more(score_request("p", "r", "a"), "85", "the reply is not an object")
    assert [message["role"] for message in request.messages] == ["system", "user", "assistant", "user"]
    assert "the reply is not an object" in request.messages[-1]["content"]
    assert '{"score": N}' in request.messages[-1]["content"]
