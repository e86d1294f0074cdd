"""Messages that were written into a text, and prompts that stand at the head of their answers."""

import json
import time

import pytest
from support.coded import codes_of
from support.rows import make_records

from tutelage.data.formats.formats import read_conversations
from tutelage.data.lint.row_checks import find_in_rows
from tutelage.data.quality.checks import check_rows

MESSAGES = json.dumps([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
PRINTED = (
    "[{'role': 'user', 'content': 'a'}, {'role': 'assistant', 'content': 'b'}]"  # as pandas writes a cell
)
ASKED = "Question: Name a river.\nAnswer:"
CODES = ("data.messages_in_text", "data.answer_repeats_prompt")


def told(*values):
    """Return what is found of single rows, by code and row, and the codes of the notes that `prepare` gives."""
    read = read_conversations(make_records(list(values)), source="rows")
    checked = check_rows(read.rows)
    found = [(one.code, one.row) for one in find_in_rows(checked, ()) if one.code in CODES]
    return found, [code for code in codes_of(read.notes) if code in CODES]


@pytest.mark.parametrize("text", [MESSAGES, PRINTED, f"  {MESSAGES}", json.dumps(MESSAGES), MESSAGES[:-1]])
@pytest.mark.parametrize(
    "fields",
    [
        ("instruction", "output"),
        ("question", "answer"),
        ("text",),
        ("prompt", "completion"),
    ],
)
def test_messages_in_a_text_that_stays_a_text_are_found(fields, text):
    if fields[-1] == "completion":
        text = text.replace("assistant", "user")  # which cannot be an answer
    value = {**dict.fromkeys(fields, "Say something."), fields[-1]: text}
    fine = dict.fromkeys(fields, "Say something else.")
    assert told(fine, value) == ([("data.messages_in_text", 1)], ["data.messages_in_text"])


@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_messages_as_python_prints_them_are_found_in_both_answers(side):
    value = {"prompt": "a", "chosen": "b", "rejected": "c", side: PRINTED}
    assert told(value) == ([("data.messages_in_text", 0)], ["data.messages_in_text"])


@pytest.mark.parametrize(
    "text",
    [
        '[{"role": "admin", "content": "a"}]',
        "[1, 2]",
        '{"from": "Rome", "value": 3}',
        "role: user",
        "{a}",
        "",
    ],
)
def test_other_json_is_an_answer(text):
    assert told({"instruction": "a", "output": text}) == ([], [])


@pytest.mark.parametrize(
    "value",
    [
        {"prompt": ASKED, "completion": f"{ASKED} The Danube."},
        {"prompt": ASKED, "completion": f"\n{ASKED}\n\nThe Danube."},
        {"prompt": ASKED, "completion": "Question:  Name a river. Answer: The Danube."},
        {"instruction": "Name a river of Europe.", "output": "Name a river of Europe. The Danube."},
        {"instruction": "Correct this.", "input": "a b", "output": "Correct this.\n\na b\n\nA b."},
        {"question": "中国的首都是哪里？", "answer": "中国的首都是哪里？北京。"},
        {"prompt": ASKED, "chosen": f"{ASKED} The Danube.", "rejected": "Mount Etna."},
        {"prompt": ASKED, "chosen": "The Danube.", "rejected": f"{ASKED} Mount Etna."},
        {
            "messages": [
                {"role": "user", "content": ASKED},
                {"role": "assistant", "content": f"{ASKED} The Danube."},
            ]
        },
    ],
)
def test_an_answer_that_begins_with_its_prompt_is_found(value):
    assert told(value) == ([("data.answer_repeats_prompt", 0)], ["data.answer_repeats_prompt"])


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("Hi", "Hi there, what can I do?"),
        ("Complete: the car", "Complete: the cart rolls."),  # another word
        (
            "Name a river of Europe.",
            "Name a river of Europe.",
        ),  # nothing but the prompt, as for a text to be copied
        ("Name a river of Europe.", "Name a lake of Europe. The Danube."),
        ("", "The Danube."),
    ],
)
def test_an_answer_that_only_looks_like_its_prompt_is_not(asked, answered):
    assert told({"prompt": asked, "completion": answered})[1] == []


def test_an_input_at_the_head_of_an_answer_is_what_was_asked_for():
    value = {
        "instruction": "Go on with this text.",
        "input": "It was a dark night.",
        "output": "It was a dark night. Rain.",
    }
    assert told(value) == ([], [])


def test_the_text_of_a_classification_may_be_anything():
    assert told({"text": MESSAGES, "label": "chat"}) == ([], [])


def test_a_look_at_a_long_text_takes_no_more_than_a_pass_over_it():
    begun = time.perf_counter()
    assert told({"prompt": "a", "completion": " " * 300_000 + "b"}) == ([], [])
    assert time.perf_counter() - begun < 1  # a second pass for each character would take minutes
