"""A conversation that becomes a row of another format, in any kind of file, is the same conversation again."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.coded import texts_of
from support.rows import make_records
from support.tiny_tokenizer import chatml_tokenizer

from tutelage.codes import Message
from tutelage.config.extensions import FILE_FORMATS, ROW_FORMATS
from tutelage.config.recipe import DataSettings
from tutelage.data.formats.formats import read_conversations
from tutelage.data.prompts.prompts import make_renderer
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.data.sources.convert_rows import UnfitError, convert_rows, to_format
from tutelage.data.sources.files import look_at_file
from tutelage.data.sources.writing import file_of_rows
from tutelage.errors import DataError

FORMATS = tuple(ROW_FORMATS)
ENDINGS = [*FILE_FORMATS, *(f"{ending}.gz" for ending in FILE_FORMATS)]
STYLES = ("alpaca", "alpaca-compact", "phi3", "chat")
CALL = '{"name": "寻找", "arguments": {"what": ["fruit", 3]}}'
TEXTS = [
    "你好，世界",
    "日本語のテスト。「引用」",
    'مرحبا، "بالعالم"',
    "👩‍👩‍👧‍👦 🙂 é e\u0301",
    'def f(x):\n\treturn {"a": x}, "b;c"\n',
    "line\r\nanother\rthird\u2028fourth",
    '[{"role": "user", "content": "x"}]',
    "=1+1, \"quoted\" ''; tab\t|",
    " <html> ### Response: <|im_end|> \\n \ufeff",
    "null",
    "3",
]


def user(text, given=""):
    return ChatMessage("user", text, given)


def assistant(text, *calls, is_supervised=True):
    return ChatMessage("assistant", text, calls=calls, is_supervised=is_supervised)


def conversations(text):
    """Return one conversation of every shape, its texts made of one text."""
    ask, answer, system = user(f"Q {text}"), assistant(f"A {text}"), ChatMessage("system", f"S {text}")
    return [
        Conversation(0, (ask, answer)),
        Conversation(0, (user(text, f"I {text}"), assistant(text))),
        Conversation(0, (system, ask, answer)),
        Conversation(0, (ask, answer, user(text), assistant(text))),
        Conversation(0, (system, ask, answer, user("b"), assistant(text))),
        Conversation(0, (ask, assistant("", CALL), ChatMessage("tool", text), answer)),
        Conversation(0, (ask, assistant(text, CALL, CALL), ChatMessage("tool", text), answer)),
        Conversation(0, (ask, assistant(text, is_supervised=False), ask, answer)),
        Conversation(0, (ask, answer, user(text))),
        Conversation(0, (answer,)),
        Conversation(0, (ask, assistant("", CALL))),
        Conversation(0, (ChatMessage("assistant", text),), "text"),
        Conversation(0, (ask, answer), "preference", f"R {text}"),
        Conversation(0, (system, ask, answer), "preference", text),
        Conversation(0, (system, ask, answer, user(text), assistant("c")), "preference", text),
        Conversation(0, (ask, assistant("", CALL)), "preference", text),
        Conversation(0, (ChatMessage("system", ""), ask, answer)),
        Conversation(0, ()),
    ]


def meaning(row):
    """What a conversation says, whatever format it came in; an input stands below its instruction."""
    turns = [
        (turn.role, turn.content if turn.role == "user" else turn.text, turn.calls, turn.is_supervised)
        for turn in row.messages
    ]
    return turns, row.is_plain_text, row.rejected


def read_again(path: Path, values, name):
    path.write_bytes(file_of_rows(path, values, DataSettings(format=name)))
    records = list(look_at_file(path, DataSettings()).records())
    return read_conversations(records, source=path.name, settings=DataSettings(format=name))


def in_format(rows, name):
    """Return the rows that a format has a place for, and as what they are written in it."""
    kept, values = [], []
    for row in rows:
        try:
            values.append({"source_row": len(values), **to_format(row, name)})
        except UnfitError:
            continue
        kept.append(replace(row, row=len(kept)))
    return kept, values


@pytest.mark.parametrize(("name", "ending"), list(product(FORMATS, ENDINGS)))
def test_every_script_and_shape_comes_back_from_every_format_and_kind_of_file(tmp_path, name, ending):
    rows, values = in_format([one for text in TEXTS for one in conversations(text)], name)
    path = tmp_path / f"rows{ending}"
    is_table = any(kind in ending for kind in (".csv", ".tsv", ".parquet"))
    if is_table:
        # A table gives every row all columns: rows of one shape each make a table.
        by_shape = {}
        for row, value in zip(rows, values, strict=True):
            shape = tuple((key, type(found)) for key, found in value.items())
            by_shape.setdefault(shape, []).append((row, value))
        tables = [tuple(map(list, zip(*group, strict=True))) for group in by_shape.values()]
    else:
        tables = [(rows, values)]
    written = 0
    for kept, lines in tables:
        try:
            found = read_again(path, lines, name)
        except DataError as fault:
            assert is_table
            assert "Write JSON lines" in str(fault)
            continue
        assert [meaning(row) for row in found.rows] == [meaning(row) for row in kept]
        assert found.formats == {name: len(kept)}
        written += len(kept)
    # In a CSV cell a list of messages is text; `prompt`, `chosen` and their like are texts of their own right there.
    expected = {"preference": 0.4, "prompt-completion": 0.4}.get(name, 1) if "sv" in ending else 1
    assert written >= expected * len(rows) > 0


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=4))
@pytest.mark.parametrize("ending", [".jsonl", ".json.gz", ".csv", ".tsv", ".parquet"])
def test_any_text_comes_back_from_any_kind_of_file(tmp_path, ending, texts):
    values = [
        {"source_row": row, "instruction": text, "output": text[::-1]} for row, text in enumerate(texts)
    ]
    found = read_again(tmp_path / f"rows{ending}", values, "alpaca")
    assert [(row.messages[0].text, row.response) for row in found.rows] == [
        (text, text[::-1]) for text in texts
    ]


@pytest.mark.parametrize("style", STYLES)
def test_the_model_sees_the_same_ids_after_a_row_has_gone_through_every_format(tmp_path, style):
    renderer = make_renderer(chatml_tokenizer(), style)
    rows = [Conversation(row, (user(f"Q {text}"), assistant(f"A {text}"))) for row, text in enumerate(TEXTS)]
    before = renderer.examples(rows, train_on="assistant")
    values = [{"source_row": row.row, **to_format(row, "alpaca")} for row in rows]
    through = ("messages", "sharegpt", "question-answer", "prompt-completion", "text-label", "alpaca")
    for place, name in enumerate(through):
        found = read_again(tmp_path / f"rows-{place}.jsonl.gz", values, None).rows
        values = convert_rows(make_records(values), found, name).values
    found = read_again(tmp_path / "rows.parquet", values, None).rows
    assert list(renderer.examples(found, train_on="assistant")) == list(before)


@pytest.mark.parametrize(
    ("name", "row", "what"),
    [
        ("alpaca", Conversation(0, (user("a"), assistant("b", is_supervised=False))), "not trained on"),
        ("alpaca", Conversation(0, (user("a"), assistant("", CALL))), "messages that do not alternate"),
        (
            "sharegpt",
            Conversation(0, (user("a"), assistant("b", CALL))),
            "a message with both a text and a tool call",
        ),
        ("question-answer", conversations("a")[3], "more than one question"),
        ("text-label", conversations("a")[2], "a system message"),
        ("text", conversations("a")[0], "a question and its answer"),
        ("messages", conversations("a")[11], "plain text"),
        ("messages", conversations("a")[12], "a rejected answer"),
        ("preference", conversations("a")[0], "without a rejected one"),
    ],
)
def test_what_a_format_has_no_place_for_is_said(name, row, what):
    with pytest.raises(UnfitError, match=what):
        to_format(row, name)


def test_a_writer_that_forgets_the_system_text_is_caught():
    row = conversations("a")[2]
    broken = {key: value for key, value in to_format(row, "alpaca").items() if key != "system"}
    (again,) = read_conversations(make_records([broken]), source="x").rows
    assert meaning(again) != meaning(row)


def test_fields_that_no_format_reads_go_along_and_those_that_would_mean_something_stay_behind():
    values = [{"instruction": "a", "output": "b", "id": {"x": 1}, "context": "c"}]
    records = make_records(values)
    made = convert_rows(records, read_conversations(records, source="x").rows, "messages")
    assert [set(value) for value in made.values] == [{"source_row", "messages", "id"}]
    assert made.values[0]["id"] == {"x": 1}
    assert made.left_behind == {"field 'context'": 1}


TALK = [
    {"role": "user", "content": "Is it cold?", "name": "Ann", "weight": 1},
    {"role": "assistant", "content": None, "refusal": None, "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}", "strict": True}},
        {"name": "then", "arguments": {}, "index": 2},
    ]},
    {"role": "tool", "content": "4 degrees", "tool_call_id": "call_1", "name": ""},
    {"role": "assistant", "content": "It is.", "weight": 1, "audio": {"id": 3}},
]  # fmt: skip
NOT_CARRIED = {
    "key 'name' of messages in 'messages'": 1,
    "key 'weight' of messages in 'messages'": 1,
    "key 'tool_call_id' of messages in 'messages'": 1,
    "key 'audio' of messages in 'messages'": 1,
    "key 'id' of tool calls": 1,
    "key 'strict' of tool calls": 1,
    "key 'index' of tool calls": 1,
}


def test_what_stands_inside_of_turns_and_is_not_carried_is_told_with_its_count():
    records = make_records([{"messages": TALK}, {"messages": TALK, "id": 1}])
    read = read_conversations(records, source="x")
    told = [f"The {what} is not used (2 times)." for what in NOT_CARRIED]
    assert sorted(texts_of(read.notes)) == sorted([*told, "The field 'id' (1 rows) is not used."])
    made = convert_rows(records, read.rows, "sharegpt")
    assert made.left_behind == {}  # for no row could be converted: two calls stand in one turn
    single = [{**TALK[1], "tool_calls": TALK[1]["tool_calls"][:1]}]
    records = make_records([{"messages": [TALK[0], *single, *TALK[2:]]}] * 3)
    made = convert_rows(records, read_conversations(records, source="x").rows, "sharegpt")
    assert made.left_behind == {what: 3 for what in NOT_CARRIED if "index" not in what}


def test_a_row_that_stays_in_its_format_keeps_what_stands_inside_of_its_turns():
    records = make_records([{"messages": TALK}])
    made = convert_rows(records, read_conversations(records, source="x").rows, "messages")
    assert (made.values[0]["messages"], made.left_behind) == (TALK, {})


def test_a_prompt_that_a_preference_row_names_a_second_time_is_told():
    sides = {"chosen": "b", "rejected": "c"}
    whole = {
        key: [{"role": "user", "content": "a"}, {"role": "assistant", "content": text}]
        for key, text in sides.items()
    }
    values = [{"prompt": "a", **sides}, {"prompt": "a", "question": "x", **sides}, {"prompt": "y", **whole}]
    notes = read_conversations(make_records(values), source="x").notes
    assert [note.text for note in notes if "two prompts" in note.text] == [
        "The key 'question' of preference rows with two prompts is not used (1 times).",
        "The key 'prompt' of preference rows with two prompts is not used (1 times).",
    ]


def test_rows_that_have_the_format_already_stay_as_they_are():
    value = {
        "messages": [{"role": "user", "content": "a", "name": "Ann"}, {"role": "assistant", "content": "b"}]
    }
    records = make_records([value])
    for to in ("messages", None):
        made = convert_rows(records, read_conversations(records, source="x").rows, to)
        assert made.values == [{"source_row": 0, **value}]


def test_the_chosen_answers_alone_can_be_taken():
    records = make_records([{"prompt": "a", "chosen": "b", "rejected": "c"}])
    rows = read_conversations(records, source="x").rows
    assert convert_rows(records, rows, "alpaca").unfit == {
        0: Message("convert.has_rejected_answer", "a rejected answer")
    }
    made = convert_rows(records, rows, "alpaca", chosen_only=True)
    assert made.values == [{"source_row": 0, "instruction": "a", "input": "", "output": "b"}]
