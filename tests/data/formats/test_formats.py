import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.book_data import book_file
from support.coded import codes_of, texts_of
from support.rows import make_records

from tutelage.config.recipe import DataSettings
from tutelage.data.formats.column_map import left_by_map
from tutelage.data.formats.formats import read_conversations
from tutelage.data.quality.rules import Finding
from tutelage.data.rows.conversations import ChatMessage, Conversation, single_exchange_of
from tutelage.data.sources.sources import read_source
from tutelage.errors import DataError

GOOD = {"instruction": "Name a fruit.", "input": "", "output": "A pear."}
TEXTS = [
    "你好，世界",
    "日本語テスト",
    "مرحبا بالعالم",
    "👩‍👩‍👧‍👦 🙂",
    "def f(x):\n\treturn {'a': x}\n",
    "<|im_end|>",
]


def read(values, **chosen):
    return read_conversations(make_records(values), source="rows.json", settings=DataSettings(**chosen))


def turns(value, **chosen):
    (row,) = read([value], **chosen).rows
    return row.messages


def refused(values, **chosen):
    with pytest.raises(DataError) as fault:
        read(values, **chosen)
    return str(fault.value)


def user(text, input=""):
    return ChatMessage("user", text, input)


def assistant(text, *calls, is_supervised=True):
    return ChatMessage("assistant", text, calls=calls, is_supervised=is_supervised)


def test_every_field_is_taken_as_it_stands():
    found = read([GOOD, {"instruction": " a\r\n", "input": "\u2028", "output": "<|im_end|>\x00"}])
    assert found.rows == [
        single_exchange_of(0, "Name a fruit.", "", "A pear."),
        single_exchange_of(1, " a\r\n", "\u2028", "<|im_end|>\x00"),
    ]
    assert found.formats == {"alpaca": 2}
    assert found.notes == []


ASKED, ANSWERED = "Name a fruit.", "A pear."
PAIR = (user(ASKED), assistant(ANSWERED))
SYSTEM = ChatMessage("system", "Be brief.")
CALL = '{"name": "find", "arguments": {"what": "fruit"}}'
FORMATS = [
    ("alpaca", {"instruction": ASKED, "output": ANSWERED}, PAIR),
    ("alpaca", {**GOOD, "input": "A red one."}, (user(ASKED, "A red one."), assistant(ANSWERED))),
    ("alpaca", {**GOOD, "system": "Be brief."}, (SYSTEM, *PAIR)),
    ("alpaca", {**GOOD, "history": []}, PAIR),
    ("alpaca", {**GOOD, "history": [["Hi.", "Hello."]]}, (user("Hi."), assistant("Hello."), *PAIR)),
    (
        "sharegpt",
        {"conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": ANSWERED}]},
        PAIR,
    ),
    (
        "sharegpt",
        {
            "system": "Be brief.",
            "conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": ANSWERED}],
        },
        (SYSTEM, *PAIR),
    ),
    (
        "sharegpt",
        {
            "conversations": [
                {"from": "system", "value": "Be brief."},
                {"from": "human", "value": ASKED},
                {"from": "function_call", "value": CALL},
                {"from": "observation", "value": "pear"},
                {"from": "gpt", "value": ANSWERED},
            ]
        },
        (SYSTEM, user(ASKED), assistant("", CALL), ChatMessage("tool", "pear"), assistant(ANSWERED)),
    ),
    (
        "sharegpt",
        {"conversations": [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}]},
        PAIR,
    ),
    (
        "messages",
        {"messages": [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}]},
        PAIR,
    ),
    (
        "messages",
        {
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": ASKED}]},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"type": "function", "function": {"name": "find", "arguments": '{"what": "fruit"}'}}
                    ],
                },
                {"role": "tool", "tool_call_id": "1", "content": "pear"},
                {"role": "assistant", "content": ANSWERED},
            ]
        },
        (SYSTEM, user(ASKED), assistant("", CALL), ChatMessage("tool", "pear"), assistant(ANSWERED)),
    ),
    (
        "messages",
        {
            "messages": [
                {"role": "user", "content": "Hi."},
                {"role": "assistant", "content": "Hello.", "weight": 0},
                {"role": "user", "content": ASKED},
                {"role": "assistant", "content": ANSWERED, "weight": 1},
            ]
        },
        (user("Hi."), assistant("Hello.", is_supervised=False), *PAIR),
    ),
    ("prompt-completion", {"prompt": ASKED, "completion": ANSWERED}, PAIR),
    (
        "prompt-completion",
        {
            "prompt": [{"role": "user", "content": ASKED}],
            "completion": [{"role": "assistant", "content": ANSWERED}],
        },
        PAIR,
    ),
    ("question-answer", {"question": ASKED, "answer": ANSWERED}, PAIR),
    ("text", {"text": ANSWERED}, (assistant(ANSWERED),)),
    ("text-label", {"text": ASKED, "label": "fruit"}, (user(ASKED), assistant("fruit"))),
    ("text-label", {"text": ASKED, "label": 1}, (user(ASKED), assistant("1"))),
    ("preference", {"prompt": ASKED, "chosen": ANSWERED, "rejected": "No."}, PAIR),
    ("preference", {**GOOD, "output": "Other.", "chosen": ANSWERED, "rejected": "No."}, PAIR),
    ("preference", {"question": ASKED, "chosen": ANSWERED, "rejected": "No."}, PAIR),
    (
        "preference",
        {
            "chosen": [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}],
            "rejected": [{"role": "user", "content": ASKED}, {"role": "assistant", "content": "No."}],
        },
        PAIR,
    ),
    (
        "preference",
        {
            "prompt": ASKED,
            "chosen": [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}],
            "rejected": [{"role": "user", "content": ASKED}, {"role": "assistant", "content": "No."}],
        },
        PAIR,
    ),
    (
        "preference",
        {
            "conversations": [{"from": "human", "value": ASKED}],
            "chosen": {"from": "gpt", "value": ANSWERED},
            "rejected": {"from": "gpt", "value": "No."},
        },
        PAIR,
    ),
]


@pytest.mark.parametrize(("name", "value", "wanted"), FORMATS)
def test_each_format_is_found_and_read_as_turns(name, value, wanted):
    found = read([value])
    rejected = "No." if name == "preference" else None
    assert found.rows == [Conversation(0, wanted, name, rejected)]
    assert found.formats == {name: 1}
    assert turns(value, format=name) == wanted


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(("name", "value", "wanted"), FORMATS)
def test_any_script_comes_through_any_format(name, value, wanted, text):
    sides = json.dumps(value).replace(ANSWERED, "A").replace(ASKED, "Q")
    changed = json.loads(sides.replace('"A"', json.dumps(text)).replace('"Q"', json.dumps(text)))
    said = [turn.text for turn in turns(changed)]
    assert said == [text if turn.text in (ASKED, ANSWERED) else turn.text for turn in wanted]


def test_a_list_in_a_csv_cell_is_read_as_json():
    messages = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}]
    assert turns({"messages": json.dumps(messages)}) == PAIR
    assert "whose text is not valid JSON" in refused([{"messages": "[{'role': 'user'}]"}])


def test_the_preference_file_of_the_book_trains_the_chosen_answers(tmp_path):
    path = book_file().with_name("instruction-data-with-preference.json")
    source = read_source(str(path), cache=tmp_path)
    found = read_conversations(source.records, source=source.name)
    assert found.formats == {"preference": 1100}
    values = json.loads(path.read_text(encoding="utf-8"))
    assert [(row.messages[0].text, row.response, row.rejected) for row in found.rows] == [
        (value["instruction"], value["chosen"], value["rejected"]) for value in values
    ]
    assert codes_of(found.notes) == ["data.rejected_not_used", "data.field_not_used"]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("rejected", "no", "data.rejected_not_used"),
        ("label", "sport", "data.label_not_used"),
        ("reject_reason", "no", "data.field_not_used"),
        ("labels", "sport", "data.field_not_used"),
    ],
)
def test_a_rejected_answer_or_a_label_that_is_not_trained_on_is_warned_of(field, value, code):
    read_rows = read([{**GOOD, field: value}, GOOD])
    assert codes_of(read_rows.notes) == [code]
    assert Finding(code, None, "").is_warning
    assert "1 rows" in read_rows.notes[0].text


# Several formats in one source


def test_rows_of_several_formats_are_counted_where_each_fits_exactly_one():
    found = read([GOOD, {"text": "a"}, {"messages": []}, GOOD])
    assert found.formats == {"alpaca": 2, "text": 1, "messages": 1}
    assert codes_of(found.notes)[0] == "data.several_formats"


def test_rows_that_fit_two_formats_stop_and_are_named_and_can_be_decided():
    both = {**GOOD, "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    assert refused([GOOD, both, both]) == (
        "rows.json: rows 1 (line 2), 2 (line 3) could be alpaca or messages. Choose one with --set"
        " data.format=alpaca, or remove the fields of the other."
    )
    assert turns(both, format="messages") == (user("a"), assistant("b"))


def test_a_larger_format_is_not_taken_for_the_smaller_one_in_it():
    assert read([{"text": "a", "label": "b"}]).formats == {"text-label": 1}
    assert read([{**GOOD, "chosen": "a", "rejected": "b"}]).formats == {"preference": 1}


# The column map


def test_a_map_takes_nested_fields_in_place_of_their_names():
    nested = {"task": {"ask": ["x", ASKED]}, "reply": ANSWERED, "input": "A red one."}
    assert turns(nested, column_map={"instruction": "task.ask.1", "output": "reply"}) == (
        user(ASKED, "A red one."),
        assistant(ANSWERED),
    )
    alone = {**nested, "task": {"ask": [None, ASKED]}}
    assert read([alone], column_map={"instruction": "task.ask.1", "output": "reply"}).notes == []


@pytest.mark.parametrize(
    ("value", "paths", "lost"),
    [
        ({"data": {"messages": [], "system": "S", "weight": 0}}, {"messages": "data.messages"}, 2),
        ({"instruction": "a", "question": "b", "output": "c"}, {"instruction": "question"}, 1),
        ({"instruction": "", "question": "b", "output": "c"}, {"instruction": "question"}, 0),
        ({"instruction": "a", "output": "c"}, {"instruction": "question"}, 0),
        ({"q": "a", "answers": ["b", "c", "d"]}, {"instruction": "q", "output": "answers.0"}, 2),
        ({"a": {"q": "x", "r": {"s": "y", "t": None}}}, {"instruction": "a.q", "output": "a.r.s"}, 0),
        ({"a": {"q": "x", "r": {"s": "y", "t": "z"}}}, {"instruction": "a.q", "output": "a.r.s"}, 1),
        ({"a": {"q": "x", "r": "y", "more": [0]}, "b": 1}, {"instruction": "a.q", "output": "a.r"}, 1),
        ({"a": {"q": "x"}, "output": "y"}, {"instruction": "a.q", "input": "a"}, 0),
        ({"output": "a", "instruction": "b"}, {"output": "instruction", "instruction": "output"}, 0),
        ({"instruction": "q", "input": "i", "output": "o", "context": "text"}, {"input": "context.page"}, 1),
    ],
)
def test_what_a_map_leaves_behind_is_counted(value, paths, lost):
    assert sum(Counter(left_by_map(value, paths)).values()) == lost


def test_what_a_map_leaves_behind_is_told():
    value = {"data": {"question": "q", "system": "S"}, "instruction": "other", "output": "a"}
    notes = read([value, value], column_map={"instruction": "data.question"}).notes
    assert [note.code for note in notes] == ["data.field_not_used"] * 2
    assert all("2 times" in note.text for note in notes)
    assert ["system" in note.text for note in notes] == [False, True]


def test_a_map_may_exchange_names_and_prefers_a_key_with_a_dot_in_it():
    swapped = {"instruction": ANSWERED, "output": ASKED}
    assert turns(swapped, column_map={"instruction": "output", "output": "instruction"}) == PAIR
    dotted = {"a.b": ASKED, "a": {"b": "wrong"}, "output": ANSWERED}
    assert turns(dotted, column_map={"instruction": "a.b"}) == PAIR


def test_a_map_that_leads_nowhere_is_told_with_its_rows():
    message = refused([{"a": {}, "output": "x"}], column_map={"instruction": "a.b"})
    assert "row 0 (line 1) without 'instruction'" in message
    assert "data.column_map fills it from 'a.b', which does not exist." in message


@pytest.mark.parametrize(
    ("field", "meant"),
    [("instuction", "instruction"), ("ouput", "output"), ("Input", "input"), ("rejectd", "rejected")],
)
def test_a_map_that_fills_a_misspelt_field_stops_with_the_one_that_is_meant(field, meant):
    with pytest.raises(DataError) as fault:
        read([{"ask": ASKED, "reply": ANSWERED}], column_map={field: "ask"})
    assert fault.value.code == "data.unknown_map_field"
    assert f"Did you mean {meant}=ask?" in str(fault.value)


@pytest.mark.parametrize("field", ["topic", "inputs", "response", "kto_tag", "chosen_answer", "source_row"])
def test_a_map_may_fill_what_is_like_no_field_that_is_missing(field):
    assert read([{"other": "a", "input": "b", **GOOD}], column_map={field: "other"}).formats == {"alpaca": 1}


# What is wrong with a row


@pytest.mark.parametrize("value", [{"instruction": "a", "output": "b"}, {**GOOD, "input": None}])
def test_an_input_that_is_absent_or_null_is_empty(value):
    assert turns(value)[0].input == ""


def test_null_in_a_needed_field_is_empty_text_for_the_checks_to_drop():
    assert turns({"instruction": None, "input": None, "output": None}) == (user(""), assistant(""))


def test_a_missing_field_is_told_with_its_rows_and_the_nearest_key():
    wrong = {"instruction": "a", "ouput": "b"}
    assert refused([GOOD, wrong, GOOD, wrong]) == (
        "rows.json: rows 1 (line 2), 3 (line 4) without 'output'; the first has 'instruction', 'ouput'."
        " Rename 'ouput' to 'output'. Rows of the format alpaca need 'instruction' and 'output' (and may"
        " have 'input', 'system', 'history')."
    )


def test_columns_of_unknown_names_are_shown_and_a_mapping_is_proposed():
    with pytest.raises(DataError) as fault:
        read([{"ask": "Which plural has cactus?", "reply": "It is cacti, mostly."}])
    assert fault.value.code == "data.unknown_columns"
    assert "--map instruction=ask --map output=reply" in str(fault.value)
    assert "has no fields at all" in refused([{}])


def test_a_row_is_told_by_the_format_that_it_is_nearest_to():
    assert "without 'completion'" in refused([{"prompt": "a", "completions": "b"}])
    assert "without 'conversations'" in refused([{"conversation": []}])


def test_many_wrong_rows_are_counted_and_not_all_named():
    message = refused([{"instruction": "a"}] * 1_000)
    assert "7 (line 8) and 992 more without 'output'" in message
    assert len(message) < 500


@pytest.mark.parametrize("field", ["instruction", "input", "output"])
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (5, "a number"),
        (0, "a number"),
        (1.5, "a number"),
        (True, "true or false"),
        (False, "true or false"),
        ([3], "a list"),
        ([], "a list"),
        ({"a": 1}, "an object"),
        ({}, "an object"),
    ],
)
def test_a_field_that_is_not_text_is_told_by_its_kind(field, value, kind):
    message = refused([GOOD, {**GOOD, field: value}])
    told = f"rows.json: row 1 (line 2) with {field!r} that is not text; the first has {kind}."
    assert message.startswith(f"{told} Put it in quotation marks")
    assert ("data.coerce=true" in message) == (not isinstance(value, list | dict))


def test_nobody_is_led_to_put_a_list_of_answers_in_quotation_marks():
    message = refused([{**GOOD, "output": ["a", "b", "c"]}])
    assert "'chosen'" in message
    assert "'rejected'" in message
    assert "quotation" not in message


@pytest.mark.parametrize(("value", "text"), [(42, "42"), (1.5, "1.5"), (True, "true"), (0, "0")])
def test_a_scalar_becomes_its_text_only_when_it_is_asked_for(value, text):
    assert turns({**GOOD, "output": value}, coerce=True)[1].text == text
    assert "that is not text" in refused([{**GOOD, "output": [value]}], coerce=True)


@pytest.mark.parametrize(
    ("value", "kind"), [("text", "text"), (3, "a number"), (None, "null"), ([GOOD], "a list")]
)
def test_a_row_that_is_no_object_is_told_by_its_kind(value, kind):
    assert refused([GOOD, value]) == (
        "rows.json: row 1 (line 2) should be an object with instruction, input and output,"
        f" but the first is {kind}."
    )


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"messages": "a"}, "with 'messages' that is not a list of messages; the first has text."),
        (
            {"messages": ["a"]},
            "with a message in 'messages' that is not an object; the first has text.",
        ),
        (
            {"messages": [{"role": "robot", "content": "a"}]},
            "with a message in 'messages' that has an unknown role; the first has 'robot'. The roles are"
            " system,",
        ),
        ({"messages": [{"content": "a"}]}, "that has an unknown role; the first has null."),
        (
            {"messages": [{"role": "user", "content": 3}]},
            "with 'content' in 'messages' that is not text; the first has a number.",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "that holds more than text; the first has a part without text.",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": 3}]}]},
            "with a tool call that names no function",
        ),
        (
            {"conversations": [{"from": "human", "value": ["a", 1]}]},
            "that holds more than text",
        ),
        ({**GOOD, "history": "a"}, "with 'history' that is not a list of pairs of texts"),
        ({**GOOD, "history": [["a"]]}, "with 'history' that is not a list of pairs of texts"),
        ({"chosen": "a", "rejected": "b"}, "with 'chosen' and 'rejected' but without a prompt"),
        ({"text": "a", "label": None, "x": 1}, None),
        ({"text": "a", "label": 1.5}, "with 'label' that is not text"),
    ],
)
def test_a_fault_inside_a_row_is_told_with_what_stands_there(value, told):
    if told is None:
        assert turns(value)[-1].text == ""  # for the checks to drop
    else:
        message = refused([GOOD, value])
        assert message.startswith("rows.json: row 1 (line 2) ")
        assert told in message


def test_extra_keys_are_noted_once_with_their_count():
    assert texts_of(read([{**GOOD, "id": 1, "inptu": "x"}, {**GOOD, "id": 2}]).notes) == [
        "The field 'id' (2 rows) is not used.",
        "The field 'inptu' (1 rows) is not used. Did you mean 'input'?",
    ]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "from",
                    "value",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                    "text",
                    "weight",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
FIELDS = [
    "instruction",
    "input",
    "output",
    "history",
    "system",
    "conversations",
    "messages",
    "prompt",
    "label",
]
FIELDS += ["completion", "question", "answer", "text", "chosen", "rejected", "tools"]


@settings(
    suppress_health_check=[HealthCheck.too_slow]
)  # a busy machine draws slowly; that is no fault of ours
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), anything, max_size=5), min_size=1, max_size=4))
def test_any_json_is_read_or_refused_and_nothing_else(values):
    try:
        found = read(values)
    except DataError as fault:
        assert str(fault).startswith("rows.json: row") or fault.code == "data.unknown_columns"
    else:
        assert [row.row for row in found.rows] == list(range(len(values)))
        assert sum(found.formats.values()) == len(values)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "text": "", "image_url": {"url": "a.png"}},
        {"type": "image", "text": "a picture"},
        {"type": "tool_use", "text": "", "name": "f", "input": {}},
        {"type": "thinking", "text": "hm"},
        {"type": "text", "text": "Look.", "image_url": "a.png"},
        {"text": "Look.", "image": "a.png"},
        {"type": None, "text": "", "input_audio": {"data": "AA"}},
        {"type": 3, "text": "a"},
        {"type": "text", "text": None},
        None,
    ],
)
def test_a_content_part_that_is_not_text_stops(part):
    for said in ([part], [{"type": "text", "text": "a"}, part]):
        value = {"messages": [{"role": "user", "content": said}, {"role": "assistant", "content": "b"}]}
        with pytest.raises(DataError) as fault:
            read([GOOD, value])
        assert (fault.value.code, fault.value.row) == ("data.content_not_text", 1)
        with pytest.raises(DataError) as fault:
            read([{"messages": value["messages"][::-1], "system": said}])
        assert fault.value.code == "data.content_not_text"


@pytest.mark.parametrize(
    "part",
    [
        "a",
        {"type": "text", "text": "a", "image_url": None},
        {"type": "Text", "text": "a"},
        {"type": "input_text", "text": "a"},
        {"type": "output_text", "text": "a", "annotations": []},
        {"text": "a", "image_url": ""},
        {"type": None, "value": "a"},
    ],
)
def test_a_content_part_that_is_text_is_read(part):
    value = {"messages": [{"role": "user", "content": [part]}, {"role": "assistant", "content": [part]}]}
    found = read([value])
    assert [turn.text for turn in found.rows[0].messages] == ["a", "a"]
    assert found.notes == []


def test_what_else_stands_in_a_text_part_is_noted():
    part = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
    value = {"messages": [{"role": "user", "content": [part]}, {"role": "assistant", "content": "b"}]}
    assert codes_of(read([value]).notes) == ["data.field_not_used"]
