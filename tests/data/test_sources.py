import json
import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.book_data import book_file

from tutelage.data.sources import INSTRUCTION_DATA_SHA256, MAX_FILE_BYTES, read_source
from tutelage.errors import DataError, FetchError

ROWS = [
    {"instruction": f"Spell word {number}.", "input": "", "output": f"word {number}"} for number in range(4)
]


@pytest.fixture
def read(tmp_path):
    """Write bytes or text to a file and read it as a source."""

    def write_and_read(content, name="rows.json"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_source(str(path), cache=tmp_path / "cache")

    return write_and_read


@pytest.fixture
def refused(read):
    def message(content, name="rows.json"):
        with pytest.raises(DataError) as fault:
            read(content, name)
        return str(fault.value)

    return message


def values(source):
    return [record.value for record in source.records]


def json_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.txt", "rows"])
@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        "\n\n  " + json.dumps(ROWS) + "\n\n",
        json_lines(ROWS),
        "\n" + json_lines(ROWS).replace("\n", "\r\n\r\n"),
        json_lines(ROWS).rstrip("\n"),
        "\n".join(json.dumps(row, indent=1) for row in ROWS),
        json.dumps({"data": ROWS}),
    ],
)
def test_the_content_decides_what_a_file_is_whatever_its_name(read, content, name):
    source = read(content, name)
    assert values(source) == ROWS
    assert [record.row for record in source.records] == [0, 1, 2, 3]


def test_a_record_knows_the_line_on_which_it_begins(read):
    assert [record.line for record in read(json_lines(ROWS)).records] == [1, 2, 3, 4]
    assert [record.line for record in read(json.dumps(ROWS, indent=1)).records] == [2, 7, 12, 17]


def test_rows_inside_a_wrapping_object_claim_no_line(read):
    assert {record.line for record in read(json.dumps({"data": ROWS}, indent=1)).records} == {None}


def test_one_row_alone_is_a_row(read):
    assert values(read(json.dumps(ROWS[0]))) == ROWS[:1]
    assert values(read(json.dumps(ROWS[:1]))) == ROWS[:1]


@pytest.mark.parametrize(
    ("content", "place", "told"),
    [
        ('[\n {"a": "x"},\n {"a": "y"},\n]', "3:12", "a comma stands before the closing bracket"),
        ('[\n {"a": "x"}\n {"a": "y"}\n]', "3:2", "expected a comma"),
        ('[\n {"a": "x"},\n {"a": y}\n]', "3:8", "Expecting value"),
        ('[\n {"a": "x",}\n]', "2:12", ""),
        ("[\n {'a': 'x'}\n]", "2:3", "property name enclosed in double quotes"),
        ('[\n {"a": "two\nlines"}\n]', "2:12", "Invalid control character"),
        ('[{"a": "x"}]\n[{"a": "y"}]', "2:1", "more text after the list"),
        ('{"a": "x"}\n{"a": "y"},\n{"a": "z"}', "2:11", "expected a new line after the row"),
        ('{"a": "x"} {"a": "y"}', "1:12", "expected a new line after the row"),
        ('[{"a": NaN}]', "1:2", "NaN is not JSON"),
        ('[\n{"a": -Infinity}]', "2:1", "-Infinity is not JSON"),
        ('[\n{"a": "x"},\n{"a": "x", "b": 1, "a": "y"}]', "3:1", "the key 'a' stands twice"),
        ('[\n{"a": "\\x"}]', "2:8", "Invalid \\escape"),
    ],
)
def test_malformed_json_is_told_by_line_column_and_excerpt(refused, tmp_path, content, place, told):
    message = refused(content)
    line = int(place.split(":")[0])
    assert message.startswith(f"{tmp_path / 'rows.json'}:{place}: malformed JSON: ")
    assert told in message
    assert content.split("\n")[line - 1].strip()[:6] in message.split("near ")[1]
    assert message.endswith("Mend the file there.")


@pytest.mark.parametrize(
    "content", [json.dumps(ROWS), json.dumps(ROWS, indent=2), json_lines(ROWS), '[{"a": "\\ud83d\\ude00"}]']
)
def test_a_file_cut_anywhere_is_refused_with_the_number_of_whole_rows_before_the_cut(read, refused, content):
    whole = len(values(read(content)))
    for end in range(1, len(content.rstrip())):
        cut = content[:end]
        if _is_whole_json_lines(cut):
            assert len(values(read(cut))) < whole
            continue
        message = refused(cut)
        assert "malformed JSON" in message
        rows_before = _whole_rows(cut)
        told = "1 whole row stands" if rows_before == 1 else f"{rows_before} whole rows stand"
        assert (f" {told} before it." in message) == (rows_before > 0), cut


def _is_whole_json_lines(cut):
    return cut.startswith("{") and cut.rstrip().endswith("}")


def _whole_rows(cut):
    """Count closing braces of the outermost objects; the texts hold none."""
    return cut.count("}")


def test_the_excerpt_is_short_however_long_the_line_is(refused):
    message = refused('[{"a": "' + "long " * 10_000 + '" "b": 1}]')
    assert len(message.split("near ")[1]) < 120


def test_deep_nesting_is_refused_without_a_crash(refused):
    assert "nested too deeply" in refused('[{"a": ' + "[" * 100_000 + "]" * 100_000 + "}]")
    assert "nested too deeply" in refused('{"a": ' * 100_000)


def test_a_number_of_a_hundred_thousand_digits_is_refused(refused):
    assert "malformed JSON" in refused('[{"a": ' + "9" * 100_000 + "}]")


@pytest.mark.parametrize("content", ["", " \n\t\r\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(refused, content):
    assert "is empty. Give a file with at least one row" in refused(content)


@pytest.mark.parametrize("content", ["[]", "[ \n ]", '{"data": []}'])
def test_an_empty_list_is_refused(refused, content):
    assert "holds no rows. Give a file with at least one row" in refused(content)


@pytest.mark.parametrize("content", ["<!DOCTYPE html><html>404</html>", "\n <html lang='en'>", "<?xml ?>"])
def test_an_error_page_in_place_of_the_data_is_recognised(refused, content):
    assert "holds HTML or XML, not JSON. Was an error page saved" in refused(content)


@pytest.mark.parametrize("content", ["instruction,input,output\na,b,c\n", '"text"', "42", "PAR1\x00"])
def test_other_content_is_told_by_how_it_begins(refused, content):
    message = refused(content)
    assert "neither JSON nor JSON lines: it begins with" in message
    assert repr(content.strip())[:12] in message


def test_a_byte_order_mark_is_skipped_and_noted(read):
    source = read(b"\xef\xbb\xbf" + json.dumps(ROWS).encode())
    assert values(source) == ROWS
    assert source.notes == ["The file began with a byte-order mark, which was skipped."]


@pytest.mark.parametrize("mark_and_encoding", [(b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")])
def test_utf_16_with_its_mark_is_read_and_noted(read, refused, mark_and_encoding):
    mark, encoding = mark_and_encoding
    content = mark + json.dumps(ROWS, ensure_ascii=False).encode(encoding)
    source = read(content)
    assert values(source) == ROWS
    assert source.notes == ["The file was UTF-16 and was read as such."]
    assert "begins like UTF-16 but is damaged at byte" in refused(content + b"\x00")


def test_latin_1_is_refused_with_the_first_bad_byte_and_its_line(refused, tmp_path):
    content = '[\n{"a": "ok"},\n{"a": "caf\xe9"}]'.encode("latin-1")
    bad = content.index(b"\xe9")
    assert refused(content) == (
        f"{tmp_path / 'rows.json'}:3: byte {bad} (0xe9) is not UTF-8. Save the file as UTF-8."
    )


def test_lone_surrogates_are_read_and_pairs_are_joined(read):
    assert values(read('[{"a": "\\ud800x", "b": "\\ud83d\\ude00"}]')) == [{"a": "\ud800x", "b": "😀"}]


def test_a_missing_file_is_told_with_the_nearest_name(tmp_path):
    (tmp_path / "my-rows.json").write_text("[]")
    with pytest.raises(DataError, match=r"my-row.json does not exist. Did you mean my-rows.json\?"):
        read_source(str(tmp_path / "my-row.json"), cache=tmp_path)
    with pytest.raises(DataError, match=r"startr does not exist. Did you mean starter\?"):
        read_source("startr", cache=tmp_path)
    with pytest.raises(DataError, match=r"does not exist. Check the path given as data.source or --data"):
        read_source(str(tmp_path / "none" / "zzz"), cache=tmp_path)


def test_a_folder_in_place_of_a_file_is_told_with_the_files_in_it(tmp_path):
    (tmp_path / "rows.jsonl").write_text("")
    with pytest.raises(DataError, match=r"is a folder; data.source takes one .* It contains rows.jsonl."):
        read_source(str(tmp_path), cache=tmp_path)


@pytest.mark.parametrize("name", ["x" * 300 + ".json", "a\x00b.json", "", "rows.json/inside"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.json").write_text("[]")
    with pytest.raises(DataError):
        read_source(name, cache=tmp_path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is no ordinary file"):
        read_source(str(tmp_path / "pipe"), cache=tmp_path)


def test_a_file_beyond_the_limit_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(DataError, match="files are read up to 104,857,600. Split it"):
        read_source(str(tmp_path / "huge.json"), cache=tmp_path)


def test_the_books_file_is_taken_from_the_cache_by_its_hash_and_never_otherwise(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    cached = tmp_path / "data" / "instruction-data.json"
    cached.parent.mkdir()
    cached.write_bytes(b"[]")
    with pytest.raises(FetchError, match="put the file at .*instruction-data.json yourself"):
        read_source("instruction-data", cache=tmp_path)
    cached.write_bytes(book_file().read_bytes())
    source = read_source("instruction-data", cache=tmp_path)
    assert (len(source.records), source.sha256) == (1100, INSTRUCTION_DATA_SHA256)
    assert source.records[50].value["input"] == "Ocassion"


def test_the_starter_data_ship_with_the_package(tmp_path):
    source = read_source("starter", cache=tmp_path)
    assert len(source.records) >= 1000
    assert all(set(record.value) == {"instruction", "input", "output"} for record in source.records)


MUTATED = json.dumps(ROWS, indent=1).encode()


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 6))
def test_a_mutated_file_is_read_or_refused_and_nothing_else(tmp_path_factory, seed, count):
    chance = random.Random(seed)
    content = bytearray(MUTATED)
    for _ in range(count):
        begin = chance.randrange(len(content))
        inserted = chance.choice(
            [bytes([chance.randrange(256)]), b'"', b"{", b"]", b",", b"\\u", b"1e999", b""]
        )
        content[begin : begin + chance.randrange(4)] = inserted
    path = tmp_path_factory.getbasetemp() / f"mutated-{os.getpid()}.json"
    path.write_bytes(content)
    try:
        source = read_source(str(path), cache=path.parent)
    except DataError as fault:
        assert str(path) in str(fault)
    else:
        assert source.records
