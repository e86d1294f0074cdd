"""Which rows are KTO rows: a label beside an answer that says whether it is wanted, and not any other label."""

import math
import shlex

import pytest
from support.rows import make_records

from tutelage.config.objectives import OBJECTIVES
from tutelage.config.recipe import DataSettings
from tutelage.data.formats.formats import read_conversations
from tutelage.data.formats.kto_rows import is_desirable
from tutelage.data.quality.checks import check_rows
from tutelage.errors import DataError

ANSWERED = [
    {"prompt": "a", "completion": "b"},
    {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
    {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
    {"instruction": "a", "input": "", "output": "b"},
    {"question": "a", "answer": "b"},
]
# (wanted, unwanted)
LABELS = [
    (True, False),
    (1, 0),
    (1.0, 0.0),
    (1, -1),
    ("true", "false"),
    ("True", " FALSE "),
    ("1", "0"),
    ("1.0", "0.0"),
    ("desirable", "undesirable"),
    ("chosen", "rejected"),
]
OTHERS = [
    ("geography", "biology"),
    ("positive", "negative"),
    (0, 1, 2),
    ("0", "1", "2"),
    (-1, 0, 1),
    (0.2, 0.0, 1.0),
    (10**400, 0, 1),
    ("true", "false", "unknown"),
    ("yes", "no"),
    (None, None),
    ([], ["a"]),
]


def read(values, **more):
    chosen = {key: more.pop(key) for key in list(more) if key not in ("keeps_fields", "needs_labels")}
    return read_conversations(
        make_records(values), source="rows.jsonl", settings=DataSettings(**chosen), **more
    )


def fault_of(values, **chosen):
    with pytest.raises(DataError) as fault:
        read(values, **chosen)
    return fault.value


@pytest.mark.parametrize("value", ANSWERED)
@pytest.mark.parametrize(("wanted", "unwanted"), LABELS)
@pytest.mark.parametrize("field", ["label", "kto_tag"])
def test_an_unwanted_answer_stops_by_name_and_row(value, wanted, unwanted, field):
    fault = fault_of([{**value, field: wanted}, {**value, field: unwanted}, {**value, field: wanted}])
    assert (fault.code, fault.row) == ("data.kto_rows", 1)
    assert "tutelage data filter rows.jsonl wanted.jsonl --desirable" in str(fault)
    assert is_desirable({field: wanted}) is True
    assert is_desirable({field: unwanted}) is False


@pytest.mark.parametrize("value", ANSWERED)
@pytest.mark.parametrize("labels", OTHERS)
def test_a_label_that_says_something_else_stops_nothing(value, labels):
    assert len(read([{**value, "label": label} for label in labels]).rows) == len(labels)


@pytest.mark.parametrize("missing", [None, "", " ", math.nan, "NaN"])
def test_a_missing_label_does_not_hide_the_others(missing):
    value = ANSWERED[0]
    fault = fault_of([{**value, "label": missing}, {**value, "label": 0.0}, {**value, "label": 1.0}])
    assert (fault.code, fault.row) == ("data.kto_rows", 1)


def test_rows_that_are_all_wanted_are_ordinary_rows():
    assert len(read([{**ANSWERED[0], "label": True}, {**ANSWERED[1], "label": 1}]).rows) == 2


def test_false_itself_is_no_topic_whatever_the_other_rows_say():
    value = ANSWERED[0]
    assert fault_of([{**value, "label": "geography"}, {**value, "label": False}]).code == "data.kto_rows"
    assert fault_of([{**value, "label": "geography"}, {**value, "kto_tag": "false"}]).code == "data.kto_rows"


def test_text_with_a_label_is_a_classification_and_a_pair_needs_no_label():
    assert read([{"text": "a", "label": 0}, {"text": "b", "label": 1}]).formats == {"text-label": 2}
    assert read([{"text": "a", "label": "false"}, {"text": "b", "label": "true"}]).formats == {
        "text-label": 2
    }
    assert read([{"prompt": "a", "chosen": "b", "rejected": "c", "label": 0}]).formats == {"preference": 1}


def test_the_command_that_is_offered_reads_the_rows_as_they_were_read():
    values = [{"question": "a", "reply": "b c", "good": False}]
    paths = {"answer": "reply", "label": "good"}
    fault = fault_of(values, column_map=paths, format="question-answer", coerce=True, encoding="utf-8")
    command = str(fault).split("`")[1]
    assert shlex.split(command)[:6] == [
        "tutelage",
        "data",
        "filter",
        "rows.jsonl",
        "wanted.jsonl",
        "--desirable",
    ]
    options = shlex.split(command)[6:]
    assert set(zip(options[::2], options[1::2], strict=True)) == {
        ("--map", "answer=reply"),
        ("--map", "label=good"),
        ("--set", "data.format=question-answer"),
        ("--set", "data.coerce=true"),
        ("--set", "data.encoding=utf-8"),
    }


def test_a_format_that_is_named_changes_nothing_and_another_name_of_the_label_does():
    values = [{**ANSWERED[0], "label": 0}]
    assert fault_of(values, format="prompt-completion").code == "data.kto_rows"
    assert len(read(values, column_map={"topic": "label"}).rows) == 1
    assert len(read(values, keeps_fields=True).rows) == 1


# By field beside those of a format, a value without which the row would say something else.
NEEDED = {"label": False, "kto_tag": False}


@pytest.mark.parametrize("field", [field for one in OBJECTIVES.values() for field in one.fields_beside])
def test_a_row_that_needs_a_field_that_an_objective_reads_is_for_those_alone_who_keep_it(field):
    """So that an objective with a field of its own comes with a reader that refuses to lose it."""
    values = [{**ANSWERED[0], field: NEEDED[field]}]
    with pytest.raises(DataError):
        read(values)
    assert len(read(values, keeps_fields=True).rows) == 1


@pytest.mark.parametrize("nothing", ["", " ", "null", "NaN", None, math.nan])
def test_an_empty_tag_does_not_hide_the_label(nothing):
    for value in ANSWERED:
        assert fault_of([{**value, "kto_tag": nothing, "label": "false"}]).code == "data.kto_rows"
    assert is_desirable({"kto_tag": nothing, "label": "false"}) is False
    assert is_desirable({"kto_tag": nothing, "label": True}) is True
    assert is_desirable({"kto_tag": nothing, "label": nothing}) is None
    assert is_desirable({"kto_tag": "true", "label": "false"}) is True


@pytest.mark.parametrize("value", ANSWERED)
@pytest.mark.parametrize(("wanted", "unwanted"), LABELS)
@pytest.mark.parametrize("field", ["label", "kto_tag"])
def test_where_each_row_needs_a_label_it_says_whether_the_answer_is_desirable(value, wanted, unwanted, field):
    rows = read([{**value, field: wanted}, {**value, field: unwanted}], needs_labels=True).rows
    assert [row.is_desirable for row in rows] == [True, False]
    assert [row.is_desirable for row in read([{**value, field: wanted}]).rows] == [None]


@pytest.mark.parametrize(
    "value",
    [
        ANSWERED[0],
        {**ANSWERED[0], "label": None},
        {**ANSWERED[0], "label": "geography"},
        {**ANSWERED[0], "label": 0.5},
        {"prompt": "a", "chosen": "b", "rejected": "c", "label": True},
        {"text": "a", "label": True},
        {"text": "a", "kto_tag": True},
    ],
)
def test_a_row_without_a_label_is_refused_where_each_row_needs_one(value):
    fault = fault_of(
        [{**ANSWERED[0], "label": True}, value, {**ANSWERED[0], "label": False}], needs_labels=True
    )
    assert (fault.code, fault.row) == ("data.kto_label_missing", 1)


def test_labels_that_are_neither_true_nor_false_are_refused_where_each_row_needs_one():
    values = [{**ANSWERED[0], "label": label} for label in (-1, 0, 1)]
    assert fault_of(values, needs_labels=True).code == "data.kto_label_missing"
    assert [row.is_desirable for row in read(values[1:], needs_labels=True).rows] == [False, True]


def test_the_label_may_have_another_name():
    rows = read([{**ANSWERED[0], "good": False}], column_map={"label": "good"}, needs_labels=True).rows
    assert [row.is_desirable for row in rows] == [False]


def test_an_answer_that_two_people_judge_differently_is_no_repetition():
    values = [{**ANSWERED[0], "label": label} for label in (True, False, True)]
    checked = check_rows(read(values, needs_labels=True).rows)
    assert [one.outcome for one in checked] == ["kept", "kept", "dropped"]
    assert [one.outcome for one in check_rows(read(values, keeps_fields=True).rows)] == [
        "kept",
        "dropped",
        "dropped",
    ]


@pytest.mark.parametrize("field", ["label", "kto_tag"])
def test_a_label_that_is_read_is_not_said_to_be_unused(field):
    values = [{**ANSWERED[0], field: True, "topic": "x"}]
    told = [
        " ".join(note.text for note in read(values, **more).notes) for more in ({"needs_labels": True}, {})
    ]
    assert [f"'{field}'" in text for text in told] == [False, True]
    assert all("'topic'" in text for text in told)
