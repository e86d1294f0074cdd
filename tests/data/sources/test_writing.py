import gzip
import json
from pathlib import Path

import pytest
from support.rows import alpaca_values, make_records

from tutelage.config.recipe import DataSettings
from tutelage.data.formats.formats import read_conversations
from tutelage.data.rows.records import Record
from tutelage.data.sources.files import look_at_file
from tutelage.data.sources.writing import file_of_rows, require_known_extension, source_row, with_row_numbers
from tutelage.errors import DataError

TALK = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


def write(path: Path, values) -> Path:
    path.write_bytes(file_of_rows(path, with_row_numbers(make_records(values))))
    return path


def refused(name, values):
    with pytest.raises(DataError) as fault:
        file_of_rows(Path(name), with_row_numbers(make_records(values)))
    return str(fault.value)


def test_a_row_keeps_its_number_through_any_number_of_files(tmp_path):
    records = make_records(alpaca_values(9))
    for name in ("a.csv", "b.parquet", "c.json.gz", "d.tsv", "e.jsonl"):
        path = tmp_path / name
        path.write_bytes(file_of_rows(path, with_row_numbers(records[1::2] or records)))
        records = list(look_at_file(path, DataSettings()).records())
    # Every second row was taken while there were two: 1, 3, 5, 7, then 3, 7, then 7.
    assert [source_row(record) for record in records] == [7]
    assert read_conversations(records, source="e.jsonl").notes == []


def test_a_field_of_the_same_name_that_holds_something_else_is_not_overwritten():
    for other in ("first", -1, 1.0, True, "²"):
        with pytest.raises(DataError, match="Row 4 has .* as 'source_row'"):
            source_row(Record(4, None, {"source_row": other}))
    assert source_row(Record(4, None, {"source_row": None})) == 4


def test_rows_stand_on_lines_of_their_own(tmp_path):
    values = alpaca_values(3)
    lines = write(tmp_path / "a.json", values).read_text(encoding="utf-8").splitlines()
    assert [lines[0], lines[-1], len(lines)] == ["[", "]", 5]
    assert [record.line for record in list(look_at_file(tmp_path / "a.json", DataSettings()).records())] == [
        2,
        3,
        4,
    ]


def test_the_same_rows_make_the_same_bytes(tmp_path):
    first, second = (
        write(tmp_path / name, alpaca_values(3)).read_bytes() for name in ("a.jsonl.gz", "b.jsonl.gz")
    )
    assert first == second
    assert json.loads(gzip.decompress(first).splitlines()[2])["source_row"] == 2


def test_half_a_surrogate_pair_goes_into_json_alone(tmp_path):
    values = [{"instruction": "a\ud800", "output": "😀"}]
    for name in ("a.json", "a.jsonl.gz"):
        (record,) = look_at_file(write(tmp_path / name, values), DataSettings()).records()
        assert {**record.value} == {"source_row": 0, **values[0]}
    for name in ("a.csv", "a.parquet"):
        assert "half of a surrogate pair" in refused(name, values)


def test_a_table_that_would_be_read_as_other_rows_is_not_written():
    alpaca = {"instruction": "a", "output": "b"}
    for name in ("a.csv", "a.tsv.gz", "a.parquet"):
        assert "in a table every row has all columns" in refused(name, [alpaca, TALK])
    mixed = [{"text": "a"}, {"text": "b", "label": "c"}]
    assert "Row 0 would be read differently" in refused("a.csv", mixed)
    assert "Write JSON lines" in refused("a.parquet", [alpaca | {"x": 1}, alpaca | {"x": "one"}])


def test_what_json_has_no_form_for_is_told():
    assert "Write Parquet" in refused("a.jsonl", [{"instruction": "a", "output": "b", "x": float("nan")}])
    assert "Write Parquet" in refused("a.json", [{"instruction": "a", "output": "b", "x": b"bytes"}])


def test_a_name_without_a_known_ending_and_a_file_without_rows_are_refused():
    for name in ("rows", "rows.txt", "rows.gz", "rows.xlsx"):
        with pytest.raises(DataError, match="does not end in a known file type"):
            require_known_extension(Path(name))
    require_known_extension(Path("ROWS.JSONL.GZ"))
    assert "No row is left" in refused("a.csv", [])


@pytest.mark.parametrize("field", ["prompt", "completion", "chosen", "rejected"])
@pytest.mark.parametrize("ending", ["csv", "tsv.gz"])
def test_turns_in_a_cell_are_read_again_as_turns(tmp_path, field, ending):
    sides = ("prompt", "chosen", "rejected") if field in ("chosen", "rejected") else ("prompt", "completion")
    turns = [{"role": "user" if field == "prompt" else "assistant", "content": "b"}]
    plain = dict.fromkeys(sides, "a")
    path = tmp_path / f"o.{ending}"
    path.write_bytes(file_of_rows(path, with_row_numbers(make_records([plain, plain | {field: turns}]))))
    row = read_conversations(list(look_at_file(path, DataSettings()).records()), source="o").rows[1]
    said = [turn.text for turn in row.messages] + ([row.rejected] if "chosen" in sides else [])
    assert said == ["b" if side == field else "a" for side in sides]


@pytest.mark.parametrize("turns", [[], [{"role": "critic", "content": "a"}], {"id": 3}])
def test_lists_that_a_cell_would_give_back_as_text_are_refused(turns):
    with pytest.raises(DataError) as fault:
        file_of_rows(Path("o.csv"), with_row_numbers(make_records([{"prompt": "a", "completion": turns}])))
    assert fault.value.code == "convert.messages_in_text_cell"


def test_an_answer_that_is_a_list_in_json_stays_the_text_that_it_is(tmp_path):
    answer = '[{"role": "user", "content": "a"}]'
    values = [{"prompt": "Write a list of messages.", "completion": answer}]
    path = tmp_path / "o.csv"
    path.write_bytes(file_of_rows(path, with_row_numbers(make_records(values))))
    (row,) = read_conversations(list(look_at_file(path, DataSettings()).records()), source="o.csv").rows
    assert [turn.text for turn in row.messages] == ["Write a list of messages.", answer]
