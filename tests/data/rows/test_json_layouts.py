"""JSON files whose rows are not one object each."""

import json

import pytest
from support.coded import codes_of
from support.rows import values_of

from tutelage.errors import DataError

ROWS = [
    {"instruction": "Name a soup.", "output": "Borscht."},
    {"instruction": "Name a bread.", "output": "Rye."},
]
LAYOUTS = {
    "columns": {name: {str(place): row[name] for place, row in enumerate(ROWS)} for name in ROWS[0]},
    "lists": {name: [row[name] for row in ROWS] for name in ROWS[0]},
    "split": {"columns": [*ROWS[0]], "index": [0, 1], "data": [[*row.values()] for row in ROWS]},
    "train": {"train": ROWS},
    "data": {"version": 1, "data": ROWS},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_are_read_whatever_their_layout(read, layout):
    source = read(json.dumps(LAYOUTS[layout]))
    assert values_of(source) == ROWS
    assert ("data.rows_by_column" in codes_of(source.notes)) == (layout in ("columns", "lists", "split"))


@pytest.mark.parametrize(
    "row", [{"messages": [{"role": "user", "content": "a"}]}, {"a": {"b": "c"}}, {"text": "a"}]
)
def test_one_row_is_no_table_of_columns(read, row):
    assert values_of(read(json.dumps(row))) == [row]


@pytest.mark.parametrize("layout", ["columns", "split"])
def test_a_table_by_column_that_is_larger_than_a_row_is_named_for_what_it_is(read, layout):
    content = json.dumps(LAYOUTS[layout]).replace("Borscht", "Borscht " * 2**18)
    with pytest.raises(DataError) as fault:
        read(content)
    assert fault.value.code == "data.rows_by_column"


def test_a_mark_between_rows_of_joined_files_is_skipped_and_noted(read):
    lines = [json.dumps(row) for row in ROWS]
    source = read(f"{lines[0]}\n\ufeff{lines[1]}\n")
    assert values_of(source) == ROWS
    assert codes_of(source.notes) == ["data.byte_order_mark"]
