import pytest
from support.rows import make_records

from tutelage.data.formats import InstructionRow, read_instruction_rows
from tutelage.errors import DataError

GOOD = {"instruction": "Name a fruit.", "input": "", "output": "A pear."}


def read(values):
    return read_instruction_rows(make_records(values), source="rows.json")


def refused(values):
    with pytest.raises(DataError) as fault:
        read(values)
    return str(fault.value)


def test_every_field_is_taken_as_it_stands():
    rows, notes = read([GOOD, {"instruction": " a\r\n", "input": "\u2028", "output": "<|im_end|>\x00"}])
    assert rows == [
        InstructionRow(0, "Name a fruit.", "", "A pear."),
        InstructionRow(1, " a\r\n", "\u2028", "<|im_end|>\x00"),
    ]
    assert notes == []


@pytest.mark.parametrize("value", [{"instruction": "a", "output": "b"}, {**GOOD, "input": None}])
def test_an_input_that_is_absent_or_null_is_empty(value):
    assert read([value])[0][0].input == ""


def test_null_in_a_needed_field_is_empty_text_for_the_checks_to_drop():
    rows, _ = read([{"instruction": None, "input": None, "output": None}])
    assert rows == [InstructionRow(0, "", "", "")]


def test_a_missing_field_is_told_with_its_rows_and_the_nearest_key():
    wrong = {"instruction": "a", "ouput": "b"}
    assert refused([GOOD, wrong, GOOD, wrong]) == (
        "rows.json: rows 1 (line 2), 3 (line 4) without 'output'; the first of them has 'instruction', 'ouput'."
        " Rename 'ouput' to 'output'. Rows need 'instruction' and 'output' (and may have 'input')."
    )


def test_a_missing_field_without_a_near_key_names_what_is_there():
    message = refused([{"question": "a", "answer": "b"}])
    assert "row 0 (line 1) without 'instruction'; the first of them has 'question', 'answer'." in message
    assert "Rename" not in message
    assert "has no fields at all" in refused([{}])


def test_many_wrong_rows_are_counted_and_not_all_named():
    message = refused([{"instruction": "a"}] * 1_000)
    assert "7 (line 8) and 992 more without 'output'" in message
    assert len(message) < 400


@pytest.mark.parametrize("field", ["instruction", "input", "output"])
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (5, "a number"),
        (0, "a number"),
        (1.5, "a number"),
        (True, "true or false"),
        (False, "true or false"),
        (["a"], "a list"),
        ([], "a list"),
        ({"a": 1}, "an object"),
        ({}, "an object"),
    ],
)
def test_a_field_that_is_not_text_is_told_by_its_kind(field, value, kind):
    assert refused([GOOD, {**GOOD, field: value}]) == (
        f"rows.json: row 1 (line 2) with {field!r} that is not text; the first of them is {kind}."
        " Put it in quotation marks."
    )


@pytest.mark.parametrize(
    ("value", "kind"), [("text", "text"), (3, "a number"), (None, "null"), ([GOOD], "a list")]
)
def test_a_row_that_is_no_object_is_told_by_its_kind(value, kind):
    assert refused([GOOD, value]) == (
        "rows.json: row 1 (line 2) should be an object with instruction, input and output,"
        f" but the first of them is {kind}."
    )


def test_extra_keys_are_noted_once_with_their_count():
    _, notes = read([{**GOOD, "id": 1, "inptu": "x"}, {**GOOD, "id": 2}])
    assert notes == [
        "The field 'id' (2 rows) is not used.",
        "The field 'inptu' (1 rows) is not used. Did you mean 'input'?",
    ]
