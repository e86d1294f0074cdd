"""Masks of messages: 0 and 1 are honoured in any spelling, and nothing else passes in silence."""

import math
from dataclasses import replace

import pytest
from support.coded import codes_of
from support.rows import make_records

from tutelage.config.recipe import DataSettings
from tutelage.data.formats.formats import read_conversations
from tutelage.errors import DataError

ASKED = {"role": "user", "content": "Name a gas."}


def talk(mask, *, asked=None):
    return {
        "messages": [
            {**ASKED, **(asked or {})},
            {"role": "assistant", "content": "I will not say.", **mask},
            {"role": "user", "content": "Please."},
            {"role": "assistant", "content": "Neon."},
        ]
    }


def read(value, *, is_from_arrow=False, **chosen):
    records = make_records([talk({}), value])
    records = [replace(record, is_from_arrow=is_from_arrow) for record in records]
    return read_conversations(records, source="rows.json", settings=DataSettings(**chosen))


def is_learnt(value, **chosen):
    """Whether the first of the two answers is learnt; the other one always is."""
    first, second = [turn for turn in read(value, **chosen).rows[1].messages if turn.role == "assistant"]
    assert second.is_supervised
    return first.is_supervised


def fault(value, **chosen):
    with pytest.raises(DataError) as found:
        read(value, **chosen)
    return found.value.code, found.value.row


ZEROS = [0, 0.0, -0.0, False, "0", "0.0", " 0 ", "false", "False", "FALSE"]
ONES = [1, 1.0, True, "1", "1.0", "true", "True"]
KEYS = ["weight", "loss_weight", "loss", "loss_mask", "lossScale", "train", "Training", "trainable", "Weight"]


@pytest.mark.parametrize("key", KEYS)
def test_zero_masks_and_one_does_not_in_any_spelling(key):
    assert [is_learnt(talk({key: zero})) for zero in ZEROS] == [False] * len(ZEROS)
    assert [is_learnt(talk({key: one})) for one in ONES] == [True] * len(ONES)
    assert [is_learnt(talk({key: nothing})) for nothing in (None, "", " ")] == [True] * 3


def test_masked_says_the_opposite():
    assert [is_learnt(talk({"masked": said})) for said in (True, 1, "true", False, 0, None)] == [
        *(False, False, False),
        *(True, True, True),
    ]


@pytest.mark.parametrize("role", ["from", "role"])
def test_masks_hold_in_every_format_of_messages(role):
    text = {"from": "value", "role": "content"}[role]
    turns = [
        {role: one["role"], text: one["content"], **({"weight": "0"} if one["content"][0] == "I" else {})}
        for one in talk({})["messages"]
    ]
    assert not is_learnt({"conversations": turns})
    assert not is_learnt({"prompt": turns[:3], "completion": turns[3:]})
    assert not is_learnt({"prompt": turns[:3], "chosen": turns[3:], "rejected": "No."})


@pytest.mark.parametrize(
    "value", [0.5, -1, 2, "0.5", "half", "-1", 1e-9, [], [0], {}, {"a": 1}, "nan", 10**400, "no", "on"]
)
@pytest.mark.parametrize("key", ["weight", "loss_weight", "masked"])
def test_anything_else_stops_by_row(key, value):
    assert fault(talk({key: value})) == ("data.weight_not_0_or_1", 1)


@pytest.mark.parametrize("value", [0.5, -1, "half"])
def test_the_mask_of_another_role_is_looked_at_too(value):
    assert fault(talk({}, asked={"weight": value})) == ("data.weight_not_0_or_1", 1)
    assert fault({"messages": [{"role": "system", "content": "a", "weight": value}]})[1] == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mask", 0),
        ("mask", True),
        ("loss_off", True),
        ("train_detail", [{"begin_offset": 0, "end_offset": 3, "train": False}]),
        ("do_not_train", "true"),
        ("noLoss", 1),
        ("is-learned", False),
        ("weights", [0, 1]),
        ("ignore", True),
        ("trained", 0.5),
    ],
)
def test_what_looks_like_a_mask_stops_by_row(key, value):
    assert fault(talk({key: value})) == ("data.unknown_mask", 1)


@pytest.mark.parametrize(
    ("key", "value"),
    [("training_notes", "from the web"), ("train_id", None), ("name", "0"), ("id", 0), ("heavyweight", 1)],
)
def test_other_fields_are_no_masks(key, value):
    found = read(talk({key: value}))
    assert found.rows[0].messages == found.rows[1].messages
    assert codes_of(found.notes) == ([] if value is None else ["data.field_not_used"])


def test_two_masks_that_disagree_stop_by_row():
    assert fault(talk({"weight": 1, "train": False})) == ("data.masks_disagree", 1)
    assert fault(talk({"weight": 0, "masked": False})) == ("data.masks_disagree", 1)
    assert not is_learnt(talk({"weight": 0, "train": "false", "masked": True}))


def test_a_missing_number_of_pandas_is_no_mask():
    assert is_learnt(talk({"weight": math.nan}), is_from_arrow=True)


def test_a_mask_on_a_prompt_is_honoured_or_said():
    zero, one = talk({}, asked={"weight": 0}), talk({}, asked={"weight": 1})
    assert codes_of(read(zero).notes) == []  # prompts are not learnt
    assert codes_of(read(one).notes) == ["data.field_not_used"]
    assert codes_of(read(one, train_on="all").notes) == []
    assert fault(zero, train_on="all") == ("data.weight_0_on_prompt", 1)
    assert not is_learnt(talk({"weight": 0}), train_on="all")
