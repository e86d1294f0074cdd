"""Every text of a row is repaired: of messages, of tool calls as what they decode to, of rejected answers."""

import json

import pytest

from tutelage.config.recipe import DataSettings
from tutelage.data.formats.formats import read_conversations
from tutelage.data.quality.checks import check_rows
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.data.rows.records import Record

FAULTS = [
    ("hi \ud83d", "hi \ufffd", "data.lone_surrogate"),
    ("a\x00b", "ab", "data.nul_characters"),
    ("a\r\nb", "a\nb", "data.crlf"),
]


def call(name, arguments):
    return json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)


def checked(*calls, text="", rejected=None):
    turns = (ChatMessage("user", "Ask."), ChatMessage("assistant", text, calls=calls))
    return check_rows([Conversation(0, turns, "messages", rejected)])[0]


def codes(one):
    return [reason.code for reason in one.reasons]


@pytest.mark.parametrize(("text", "repaired", "code"), FAULTS)
@pytest.mark.parametrize(
    "of",
    [
        lambda text: call("send", {"text": text}),
        lambda text: call("send", {"a": [1, {"b": [text, None]}]}),
        lambda text: call("send", {text: 1}),
        lambda text: call(text, {}),
        lambda text: call("send", text),  # arguments that are no JSON stay a text
    ],
    ids=["value", "nested", "key", "name", "text"],
)
def test_a_text_of_a_tool_call_is_repaired_wherever_it_stands(of, text, repaired, code):
    one = checked(of(text))
    assert one.row.messages[1].calls == (of(repaired),)
    assert (one.outcome, codes(one)) == ("repaired", [code])


@pytest.mark.parametrize("escape", ["\\ud83d", "\\uD83D"])
def test_an_escaped_half_in_a_call_is_repaired_and_a_whole_pair_is_not(escape):
    one = checked(call("send", {"text": "hi ?"}).replace("?", escape))
    assert json.loads(one.row.messages[1].calls[0])["arguments"] == {"text": "hi \ufffd"}
    whole = call("send", {"text": "?"}).replace("?", f"{escape}\\ude00")
    assert checked(whole).row.messages[1].calls == (whole,)


def test_all_else_of_a_repaired_call_stays_to_the_letter():
    text = '{"name": "n", "arguments": {"a": 1e400, "b": 1.50, "c": "\\u00e9", "d": "x%s"}}'
    assert checked(text % "\\u0000").row.messages[1].calls == (text % "",)


@pytest.mark.parametrize("text", ["C:\\\\u0000", "\\\\ud83d", 'say "\\\\r\\\\n"', "\t\n\x1b\u200b 😀"])
def test_a_call_with_nothing_to_repair_is_kept(text):
    made = call("send", {"text": text})
    assert (checked(made).outcome, checked(made).row.messages[1].calls) == ("kept", (made,))


def test_a_call_whose_keys_a_repair_would_make_equal_is_dropped_and_loses_none_in_silence():
    one = checked(call("send", dict.fromkeys(["\ud83d", "\ud83e"], 1)))
    assert (one.outcome, codes(one)) == ("dropped", ["data.tool_call_keys_equal"])
    assert checked(call("send", {"\ud83d": 1, "\ud83e!": 2})).outcome == "repaired"


@pytest.mark.parametrize(("text", "repaired", "code"), FAULTS)
def test_a_rejected_answer_and_a_call_in_it_are_repaired(text, repaired, code):
    assert checked(text="x", rejected=text).row.rejected == repaired
    block = "<tool_call>\n{}\n</tool_call>"
    one = checked(text="x", rejected=block.format(call("send", {"a": text})))
    assert one.row.rejected == block.format(call("send", {"a": repaired}))
    assert codes(one) == [code]


@pytest.mark.parametrize(
    "value",
    [
        {"messages": [{"role": "system", "content": "\ud83d"}, {"role": "user", "content": "a"},
                      {"role": "assistant", "content": "b"}]},
        {"instruction": "a", "output": "b", "system": "\ud83d"},
        {"instruction": "a", "output": "b", "history": [["c", "\ud83d"]]},
        {"text": "a", "label": "\ud83d"},
        {"prompt": "a", "chosen": "b", "rejected": "\ud83d"},
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "", "tool_calls": [
            {"function": {"name": "f", "arguments": '{"\\ud83d": "x"}'}}]}]},
        {"conversations": [{"from": "human", "value": "a"},
                           {"from": "function_call", "value": '{"name": "f", "arguments": {"x": "\\ud83d"}}'}]},
    ],
)  # fmt: skip
def test_no_format_has_a_place_where_half_a_surrogate_pair_stays(value):
    read = read_conversations([Record(0, 1, value)], source="rows.jsonl", settings=DataSettings())
    (one,) = check_rows(read.rows)
    assert "data.lone_surrogate" in codes(one)
    texts = [text for turn in one.row.messages for text in (turn.content, turn.input)]
    "".join([*texts, one.row.rejected or ""]).encode()  # which half a pair does not survive
