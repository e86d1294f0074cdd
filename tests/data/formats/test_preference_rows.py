"""Preference rows in every layout in which they are written, and what makes two answers answers to one prompt."""

import io
import json
import math

import pytest
from support.coded import codes_of
from support.rows import make_records, parquet_of

from tutelage.config.recipe import DataSettings
from tutelage.data.formats.formats import read_conversations
from tutelage.data.formats.preference_rows import up_to_answer
from tutelage.data.quality.checks import check_rows
from tutelage.data.rows.reading import Unreadable
from tutelage.data.sources.convert_rows import convert_rows
from tutelage.data.sources.tables import read_parquet_rows
from tutelage.errors import DataError

ASKED, CHOSEN, REJECTED = "Name a fruit.", "A pear.", "A spoon."


def system(text):
    return {"role": "system", "content": text}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def human(text):
    return {"from": "human", "value": text}


def gpt(text):
    return {"from": "gpt", "value": text}


def whole(answer):
    return [user(ASKED), assistant(answer)]


def transcript(*parts):
    return "".join(
        f"\n\n{name}: {text}" for name, text in zip(["Human", "Assistant"] * 9, parts, strict=False)
    )


def read(*values, **chosen):
    return read_conversations(make_records(list(values)), source="rows", settings=DataSettings(**chosen))


def sides(value, **chosen):
    """Return the prompt as (role, text) pairs, the chosen and the rejected answer of one row."""
    (row,) = read(value, **chosen).rows
    assert row.format == "preference"
    return [(turn.role, turn.content) for turn in row.context], row.response, row.rejected


ONE_PROMPT = ([("user", ASKED)], CHOSEN, REJECTED)
OPENAI = {"preferred_output": [assistant(CHOSEN)], "non_preferred_output": [assistant(REJECTED)]}
LAYOUTS = [
    {"input": {"messages": [user(ASKED)], "tools": [], "parallel_tool_calls": True}, **OPENAI},
    {"input": [user(ASKED)], **OPENAI},
    {"input": ASKED, "preferred_output": CHOSEN, "non_preferred_output": REJECTED},
    {"messages": whole(CHOSEN), "rejected_response": REJECTED},
    {"messages": whole(CHOSEN), "rejected_messages": whole(REJECTED)},
    {"conversations": [human(ASKED), gpt(CHOSEN)], "rejected_response": REJECTED},
    {"query": ASKED, "response": CHOSEN, "rejected_response": REJECTED},
    {"prompt": ASKED, "chosen_response": CHOSEN, "rejected_response": REJECTED},
    {"instruction": ASKED, "input": "", "output": CHOSEN, "rejected_output": REJECTED},
    {"question": ASKED, "answer": CHOSEN, "rejected_answer": REJECTED},
    {"prompt": ASKED, "completion": CHOSEN, "rejected_completion": REJECTED},
    {"chosen_messages": whole(CHOSEN), "rejected_messages": whole(REJECTED)},
    {"instruction": ASKED, "input": "", "output": [CHOSEN, REJECTED]},
    {"chosen": transcript(ASKED, CHOSEN), "rejected": transcript(ASKED, REJECTED)},
    {"conversations": [human(ASKED)], "chosen": gpt(CHOSEN), "rejected": gpt(REJECTED)},
    {"messages": whole(CHOSEN), "chosen": CHOSEN, "rejected": REJECTED},
    {"prompt": ASKED, "chosen": whole(CHOSEN), "rejected": whole(REJECTED)},
    {"prompt": [user(ASKED)], "chosen": whole(CHOSEN), "rejected": REJECTED},
]


@pytest.mark.parametrize("value", LAYOUTS)
def test_every_layout_gives_the_same_pair(value):
    assert sides(value) == ONE_PROMPT
    assert sides(value, format="preference") == ONE_PROMPT


@pytest.mark.parametrize("value", LAYOUTS)
def test_a_cell_of_a_table_may_hold_the_json_of_messages(value):
    cells = {
        key: json.dumps(found) if isinstance(found, list | dict) else found for key, found in value.items()
    }
    if isinstance(value.get("output"), list):
        return  # two texts in brackets may be the answer itself
    assert sides(cells) == ONE_PROMPT


@pytest.mark.parametrize("value", LAYOUTS)
@pytest.mark.parametrize("to", ["messages", "alpaca", "prompt-completion"])
def test_every_layout_is_written_back_as_its_chosen_answer_and_nothing_of_the_rejected_one(value, to):
    records = make_records([{**value, "id": 7}])
    made = convert_rows(records, read(*[record.value for record in records]).rows, to, chosen_only=True)
    (again,) = read_conversations(make_records(made.values), source="rows").rows
    assert (again.format, again.rejected, again.response) == (to, None, CHOSEN)
    assert made.values[0]["id"] == 7
    assert REJECTED not in json.dumps(made.values)


@pytest.mark.parametrize("value", LAYOUTS)
def test_no_field_of_a_layout_is_called_unused(value):
    told = [note for note in read(value).notes if note.code == "data.field_not_used"]
    assert [note.text for note in told if "tool" not in note.text and "'messages'" not in note.text] == []


def test_a_second_pair_of_answers_is_not_lost_without_a_word():
    value = {
        "prompt": ASKED,
        "chosen": CHOSEN,
        "rejected": REJECTED,
        "chosen_response": "x",
        "rejected_response": "y",
    }
    assert sides(value) == ONE_PROMPT
    assert codes_of(read(value).notes).count("data.field_not_used") == 2


@pytest.mark.parametrize("nothing", [None, "", []])
def test_a_table_that_gives_every_row_all_fields_is_read_by_those_that_hold_something(nothing):
    fields = {name for value in LAYOUTS for name in value} - {
        "output"
    }  # an empty one of which is an alpaca row's
    for value in LAYOUTS:
        if "output" not in value:
            assert sides({**dict.fromkeys(sorted(fields), nothing), **value}) == ONE_PROMPT


def test_the_system_text_belongs_to_both_conversations():
    both = {"chosen": whole(CHOSEN), "rejected": whole(REJECTED)}
    prompt = [("system", "Be brief."), ("user", ASKED)]
    for value in (
        {"system": "Be brief.", **both},
        {"prompt": [system("Be brief."), user(ASKED)], **both},
        {"prompt": ASKED, **{name: [system("Be brief."), *turns] for name, turns in both.items()}},
        {"system": "Be brief.", "prompt": ASKED, "chosen": CHOSEN, "rejected": whole(REJECTED)},
        {"system": "Be brief.", "query": ASKED, "response": CHOSEN, "rejected_response": REJECTED},
    ):
        assert sides(value) == (prompt, CHOSEN, REJECTED)


A_TALK = [assistant("By train or by car?"), user("By train."), assistant("Take the night train.")]
PARTED = [
    # the prompt apart, and the answers part at once, later, or in what the user says
    {
        "prompt": ASKED,
        "chosen": A_TALK,
        "rejected": [assistant("Where to?"), *A_TALK[1:2], assistant("Drive.")],
    },
    {"prompt": ASKED, "chosen": A_TALK, "rejected": [A_TALK[0], user("By car."), assistant("Drive.")]},
    {"prompt": ASKED, "chosen": A_TALK, "rejected": [assistant("Drive.")]},
    {"prompt": ASKED, "chosen": A_TALK, "rejected": "Drive."},
    {"prompt": ASKED, "chosen": CHOSEN, "rejected": [*A_TALK[:2], assistant("Drive.")]},
    {"conversations": [human(ASKED)], "chosen": [gpt("a"), human("b"), gpt("c")], "rejected": [gpt("d")]},
    {
        "input": {"messages": [user(ASKED)]},
        "preferred_output": A_TALK,
        "non_preferred_output": [assistant("d")],
    },
    # whole conversations
    {"chosen": whole(CHOSEN), "rejected": [user("Name a tool."), assistant(REJECTED)]},
    {"messages": whole(CHOSEN), "rejected_messages": [user("Name a tool."), assistant(REJECTED)]},
    {"chosen": [system("a"), *whole(CHOSEN)], "rejected": [system("b"), *whole(REJECTED)]},
    {"chosen": whole(CHOSEN), "rejected": [*whole(CHOSEN), user("More."), assistant(REJECTED)]},
    {"chosen": transcript(ASKED, "a", "b", "c"), "rejected": transcript(ASKED, "x", "b", "c")},
    {"prompt": ASKED, "chosen": CHOSEN, "rejected": [user("Name a tool."), assistant(REJECTED)]},
    # turns after the last answer are left out, so that the rejected answer is to a later question
    {
        "chosen": [*whole(CHOSEN), user("More.")],
        "rejected": [*whole(CHOSEN), user("More."), assistant(REJECTED)],
    },
    {
        "chosen": [*whole(CHOSEN), user("b"), assistant("c", weight=0)],
        "rejected": [*whole(CHOSEN), user("b"), assistant("d")],
    },
]


@pytest.mark.parametrize("value", PARTED)
def test_a_rejected_answer_to_another_prompt_is_dropped_by_name(value):
    (row,) = read(value).rows
    (checked,) = check_rows([row], row_format="preference")
    assert checked.outcome == "dropped"
    assert codes_of(checked.reasons) == ["data.rejected_other_prompt"]


OTHER_TALK = [*A_TALK[:2], assistant(REJECTED)]


@pytest.mark.parametrize(
    "value",
    [
        {"prompt": ASKED, "chosen": A_TALK, "rejected": OTHER_TALK},
        {"chosen": [user(ASKED), *A_TALK], "rejected": OTHER_TALK},
        {"chosen": [user(ASKED), *A_TALK], "rejected": REJECTED},
        {"prompt": ASKED, "chosen": [user(ASKED), *A_TALK], "rejected": [user(ASKED), *OTHER_TALK]},
        {"messages": [user(ASKED), *A_TALK], "rejected_response": REJECTED},
        {"chosen": [user(ASKED), *A_TALK], "rejected": [user(ASKED), *OTHER_TALK, user("Oh.")]},
        {
            "chosen": [user(ASKED), {**A_TALK[0], "weight": 0}, *A_TALK[1:]],
            "rejected": [user(ASKED), *OTHER_TALK],
        },
    ],
)
def test_conversations_that_part_at_the_last_answer_are_a_pair(value):
    (row,) = read(value).rows
    (checked,) = check_rows([row], row_format="preference")
    assert checked.outcome == "kept"
    assert (checked.row.response, checked.row.rejected) == ("Take the night train.", REJECTED)
    assert len(up_to_answer(row.messages)) == 4


def test_an_alpaca_row_with_other_lists_than_a_good_and_a_bad_answer_stops():
    for output in ([], ["a"], ["a", "b", "c"], ["a", 3]):
        with pytest.raises(DataError) as fault:
            read(
                {"instruction": ASKED, "output": [CHOSEN, REJECTED]}, {"instruction": ASKED, "output": output}
            )
        assert (fault.value.code, fault.value.row) == ("data.not_text", 1)
    with pytest.raises(DataError) as fault:
        read({"instruction": ASKED, "output": [CHOSEN, REJECTED]}, format="alpaca")
    assert fault.value.code == "data.not_text"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"input": {"tools": []}, **OPENAI}, "data.missing_prompt"),
        ({"chosen": CHOSEN, "rejected": REJECTED}, "data.missing_prompt"),
        ({"chosen": transcript(ASKED, CHOSEN), "rejected": REJECTED}, "data.missing_prompt"),
        ({"instruction": ASKED, "output": "ab"}, "data.missing_field"),
        ({"prompt": ASKED, "chosen_text": CHOSEN, "rejected_text": REJECTED}, "data.missing_field"),
    ],
)
def test_a_preference_row_without_its_parts_stops(value, code):
    with pytest.raises(DataError) as fault:
        read(value, format="preference")
    assert fault.value.code == code


def test_a_text_that_is_json_is_read_as_messages_only_where_it_certainly_holds_them():
    texts = [
        '[{"role": "admin", "content": "rw"}]',
        '[{"role": "assistant"}]',
        '{"role": "assistant", "content": "a"',
        '["assistant", "content"]',
        "[]",
        '{"from": "Berlin", "value": 3}',
        '[{"role": "user", "content": "a"}]',  # no answer
    ]
    for text in texts:
        assert sides({"prompt": ASKED, "chosen": text, "rejected": REJECTED}) == (
            [("user", ASKED)],
            text,
            REJECTED,
        )
        (row,) = read({"prompt": ASKED, "completion": text}).rows
        assert row.response == text


def test_texts_that_are_read_as_messages_are_noted_with_their_field():
    cell = json.dumps([assistant(CHOSEN)])
    notes = read({"prompt": ASKED, "completion": cell}).notes
    assert codes_of(notes) == ["data.text_read_as_messages"]


def test_messages_that_begin_with_the_prompt_hold_it_once():
    for prompt in (ASKED, [user(ASKED)], json.dumps([user(ASKED)])):
        for completion in (whole(CHOSEN), json.dumps(whole(CHOSEN)), [assistant(CHOSEN)], CHOSEN):
            (row,) = read({"prompt": prompt, "completion": completion}).rows
            assert [turn.text for turn in row.messages] == [ASKED, CHOSEN]
    (row,) = read({"prompt": [system("s"), user(ASKED)], "completion": whole(CHOSEN)}).rows
    assert [turn.text for turn in row.messages] == ["s", ASKED, CHOSEN]


def test_an_answer_that_is_the_json_of_messages_stays_a_text_when_it_is_written_in_another_format():
    text = json.dumps([assistant("a")])
    records = make_records([{"instruction": ASKED, "output": text}])
    rows = read_conversations(records, source="rows").rows
    for to in ("prompt-completion", "messages", "question-answer"):
        (again,) = read_conversations(
            make_records(convert_rows(records, rows, to).values), source="rows"
        ).rows
        assert again.response == text


def test_a_system_field_and_another_system_text_in_the_chosen_messages_stop():
    with pytest.raises(DataError) as fault:
        read(
            {
                "system": "a",
                "chosen": [system("b"), *whole(CHOSEN)],
                "rejected": [system("b"), *whole(REJECTED)],
            }
        )
    assert fault.value.code == "data.two_system_texts"
    same = {
        "system": "b",
        "chosen": [system("b"), *whole(CHOSEN)],
        "rejected": [system("b"), *whole(REJECTED)],
    }
    assert sides(same) == ([("system", "b"), ("user", ASKED)], CHOSEN, REJECTED)


@pytest.mark.parametrize("value", PARTED)
def test_a_pair_that_parts_early_is_dropped_whether_or_not_its_rejected_answer_is_trained(value):
    (checked,) = check_rows(read(value).rows)
    assert (checked.outcome, codes_of(checked.reasons)) == ("dropped", ["data.rejected_other_prompt"])


@pytest.mark.parametrize(
    "rejected",
    [
        [assistant(REJECTED, weight=0)],
        assistant(REJECTED, weight="0"),
        [user(ASKED), assistant(REJECTED, masked=True)],
        json.dumps([assistant(REJECTED, weight=False)]),
    ],
)
def test_a_rejected_answer_with_the_weight_0_is_dropped_by_name_as_a_chosen_one_is(rejected):
    value = {"prompt": ASKED, "chosen": [assistant(CHOSEN)], "rejected": rejected}
    for one in (value, {**value, "chosen": rejected, "rejected": value["chosen"]}):
        (checked,) = check_rows(read(one).rows, row_format="preference")
        assert (checked.outcome, codes_of(checked.reasons)) == ("dropped", ["data.no_supervised_answer"])
    (checked,) = check_rows(read(value).rows)
    assert (checked.outcome, checked.row.response) == ("kept", CHOSEN)


def test_two_system_texts_of_prompt_and_answer_stop():
    talk = [user(ASKED), assistant(CHOSEN)]
    for own in (
        {"chosen": [system("b"), *talk], "rejected": [system("b"), *whole(REJECTED)]},
        {"completion": [system("b"), *talk]},
        {"completion": json.dumps([system("b"), *talk])},
    ):
        value = {"prompt": [system("a"), user(ASKED)], **own}
        with pytest.raises(DataError) as fault:
            read(value)
        assert fault.value.code == "data.two_system_texts"
        for prompt in ([system("b"), user(ASKED)], [system(" "), user(ASKED)], [user(ASKED)], ASKED):
            (row,) = read({**value, "prompt": prompt}).rows
            assert [turn.text for turn in row.messages] == ["b", ASKED, CHOSEN]
            assert row.rejected == (REJECTED if "rejected" in own else None)
    blank = {"chosen": [system(" "), *talk], "rejected": [system(""), *whole(REJECTED)]}
    assert sides({"prompt": [system("a"), user(ASKED)], **blank}) == (
        [("system", "a"), ("user", ASKED)],
        CHOSEN,
        REJECTED,
    )


def test_a_prompt_with_calls_is_known_again_in_rows_from_arrow():
    def asked(**arguments):
        call = {"type": "function", "function": {"name": "look", "arguments": arguments}}
        return [user(ASKED), assistant(None, tool_calls=[call]), {"role": "tool", "content": "ok"}]

    values = [
        {
            "prompt": [system("Be brief."), *asked(**one)],
            "chosen": [*asked(**one), assistant(CHOSEN)],
            "rejected": [*asked(**one), assistant(REJECTED)],
        }
        for one in ({"city": "Rome"}, {"day": "Monday"})
    ]
    records = list(read_parquet_rows(io.BytesIO(parquet_of(values)), "rows.parquet", max_bytes=2**30))
    found = read_conversations(records, source="rows")
    assert [row.messages[0].text for row in found.rows] == ["Be brief."] * 2
    assert [row.rejected for row in found.rows] == [REJECTED] * 2
    assert "data.field_not_used" not in codes_of(found.notes)


@pytest.mark.parametrize("name", ["prompt", "question", "query", "instruction"])
@pytest.mark.parametrize("end", ["", " ", "\n"])
def test_a_prompt_that_is_a_transcript_up_to_the_answer_is_a_conversation(name, end):
    begin = f"{transcript(ASKED)}\n\nAssistant:"
    longer = f"{transcript('Hi.', 'Hello.', ASKED)}\n\nAssistant:"
    talk = [("user", "Hi."), ("assistant", "Hello."), ("user", ASKED)]
    for line_end in ("\n", "\r\n"):
        for text, context in ((begin, talk[2:]), (longer, talk)):
            value = {
                name: text.replace("\n", line_end) + end,
                "chosen": f" {CHOSEN}",
                "rejected": f" {REJECTED}",
            }
            assert sides(value) == (context, CHOSEN, REJECTED)
            assert sides({**value, "system": "s"}) == ([("system", "s"), *context], CHOSEN, REJECTED)


@pytest.mark.parametrize("prompt", [ASKED, [user(ASKED)], f"{transcript(ASKED)}\n\nAssistant:"])
def test_transcripts_that_begin_with_the_prompt_apart_hold_it_once(prompt):
    value = {
        "prompt": prompt,
        "chosen": transcript(ASKED, CHOSEN),
        "rejected": transcript(ASKED, REJECTED),
    }
    assert sides(value) == ONE_PROMPT


def test_a_text_that_is_no_transcript_up_to_the_answer_stays_a_text():
    talk = transcript(ASKED, CHOSEN)
    for prompt in (
        ASKED,
        "Write a talk.\n\nHuman: a\n\nAssistant:",
        "Human: a",
        transcript(ASKED),
        "Assistant:",
    ):
        value = {"prompt": prompt, "chosen": f" {CHOSEN}", "rejected": REJECTED}
        assert sides(value) == ([("user", prompt)], f" {CHOSEN}", REJECTED)
    value = {"prompt": "Write a talk.", "chosen": talk, "rejected": transcript(ASKED, REJECTED)}
    assert sides(value) == ([("user", "Write a talk.")], talk, value["rejected"])


DEEP = 70


@pytest.mark.parametrize(
    "more",
    ['"id": NaN', '"id": 1, "id": 2', f'"id": {"[" * DEEP}{"]" * DEEP}', f'"id": {"[" * 9000}{"]" * 9000}'],
)
def test_the_json_in_a_text_is_as_strictly_read_as_the_row(more):
    answer = f'[{{"role": "assistant", "content": "a", {more}}}]'
    asked = f'[{{"role": "user", "content": "a", {more}}}, {{"role": "assistant", "content": "b"}}]'
    for value in (
        {"messages": asked},
        {"conversations": asked},
        {"instruction": "a", "output": "b", "history": f'[["a", "b"], {{{more}}}]'},
        {**OPENAI, "input": f'{{"messages": [{{"role": "user", "content": "a"}}], {more}}}'},
    ):
        with pytest.raises(DataError) as fault:
            read(value)
        assert fault.value.code == "data.messages_malformed_json"
    found = read({"prompt": ASKED, "chosen": answer, "rejected": REJECTED})
    assert (found.rows[0].response, codes_of(found.notes)[-1]) == (answer, "data.messages_in_text")
    call = f'{{"name": "f", "arguments": {{{more}}}}}'
    for value in (
        {"messages": [user(ASKED), assistant(None, tool_calls=call)]},
        {"messages": [user(ASKED), assistant(None, tool_calls=[{"name": "f", "arguments": f"{{{more}}}"}])]},
    ):
        with pytest.raises(DataError) as fault:
            read(value)
        assert fault.value.code == "data.tool_call_malformed_json"


@pytest.mark.parametrize(
    "layout",
    [("chosen", "rejected"), ("completion", "rejected_completion"), ("chosen_response", "rejected_response")],
)
@pytest.mark.parametrize("place", [0, 1])
def test_a_value_that_is_no_json_stops_in_each_name_of_an_answer(layout, place):
    value = {"prompt": ASKED, **dict(zip(layout, ([assistant(CHOSEN)], [assistant(REJECTED)]), strict=True))}
    for odd, code in (
        (math.inf, "data.infinite_number"),
        (Unreadable("data.not_json_value", "bytes", "."), "data.not_json_value"),
    ):
        with pytest.raises(DataError) as fault:
            read({**value, layout[place]: [{**value[layout[place]][0], "score": odd}]})
        assert fault.value.code == code
