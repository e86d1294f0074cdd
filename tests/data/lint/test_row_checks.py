"""Every text of a row is looked at, wherever it stands."""

import json
import time

import pytest

from tutelage.data.lint.row_checks import find_in_rows
from tutelage.data.quality.checks import check_rows
from tutelage.data.rows.conversations import ChatMessage, Conversation

FOUND = [
    ("sk-notarealkey00000000000000", "data.secret"),
    ("stop at <|im_end|> please", "data.control_token_text"),
    ("### Response:", "data.template_heading"),
    ("a \x07 bell", "data.invisible_characters"),
    ("no \u200b width", "data.invisible_characters"),
    ("cafe\u0301", "data.not_nfc"),
]


def call(name, arguments):
    return json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)


def row(*calls, asked="Ask.", given="", before=(), answer="Yes.", rejected=None, format="messages"):
    turns = (*before, ChatMessage("user", asked, given), ChatMessage("assistant", answer, calls=calls))
    return Conversation(0, turns, format, rejected)


PLACES = {
    "question": lambda text: row(asked=text),
    "input": lambda text: row(given=text),
    "system": lambda text: row(before=(ChatMessage("system", text),)),
    "history": lambda text: row(before=(ChatMessage("user", "a"), ChatMessage("assistant", text))),
    "tool": lambda text: row(
        before=(
            ChatMessage("user", "a"),
            ChatMessage("assistant", "", calls=("{}",)),
            ChatMessage("tool", text),
        )
    ),
    "answer": lambda text: row(answer=text),
    "label": lambda text: row(answer=text, format="text-label"),
    "argument": lambda text: row(call("send", {"a": text})),
    "nested": lambda text: row(call("send", {"a": [{"b": text}]})),
    "key": lambda text: row(call("send", {text: 1})),
    "function": lambda text: row(call(text, {})),
    "second call": lambda text: row(call("send", {}), call("send", [text])),
    "rejected": lambda text: row(rejected=text, format="preference"),
    "rejected call": lambda text: row(
        rejected=f"<tool_call>\n{call('send', {'a': text})}\n</tool_call>", format="preference"
    ),
}


def found_in(one):
    return {finding.code for finding in find_in_rows(check_rows([one]), ())}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("text", "code"), FOUND)
def test_a_text_is_found_wherever_it_stands(place, text, code):
    assert found_in(PLACES[place](text)) == {code}
    assert found_in(PLACES[place]("plain")) == set()


def test_an_answer_that_is_cut_is_found_among_earlier_and_rejected_ones():
    cut = "It is a long way to the harbour. And from there on it takes half an hour to the bridge over the"
    assert found_in(row(before=(ChatMessage("user", "a"), ChatMessage("assistant", cut)))) == {
        "data.truncated_answer"
    }
    assert found_in(row(rejected=cut)) == {"data.truncated_answer"}
    assert found_in(row(asked=cut)) == set()


def test_no_secret_is_repeated():
    findings = find_in_rows(check_rows([PLACES["key"]("sk-notarealkey00000000000000")]), ())
    assert all("sk-not" not in finding.message for finding in findings)


def test_the_same_is_asked_whichever_earlier_answers_are_trained():
    turns = (
        ChatMessage("user", "a"),
        ChatMessage("assistant", "b"),
        ChatMessage("user", "c"),
        ChatMessage("assistant", "d"),
    )
    masked = (
        turns[0],
        ChatMessage("assistant", "b", is_supervised=False),
        turns[2],
        ChatMessage("assistant", "e"),
    )
    rows = [Conversation(0, turns, "messages"), Conversation(1, masked, "messages")]
    found = [(finding.row, finding.code) for finding in find_in_rows(check_rows(rows), ())]
    assert found == [(1, "data.conflicting_answers")]


def test_a_text_of_many_beginnings_of_web_tokens_is_searched_in_linear_time():
    begin = time.process_time()
    assert not list(find_in_rows(check_rows([row(answer="x.eyJ " + "-eyJaaaaaaaaaa" * 16_000 + ".")]), ()))
    assert time.process_time() - begin < 1.5  # without a bound, more than ten times as long
    token = f"eyJ{'a' * 300}.eyJ{'b' * 6_000}.{'c' * 40}"
    (found,) = find_in_rows(check_rows([row(answer=f"It is ({token}).")]), ())
    assert found.code == "data.secret"
