import csv
import gzip
import hashlib
import io
import json
import os
import random
import re
import socket
import tracemalloc

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from support.book_data import book_file

from tutelage.data import json_rows
from tutelage.data.json_rows import read_json_rows
from tutelage.data.sources import INSTRUCTION_DATA_SHA256, read_source
from tutelage.errors import DataError, FetchError
from tutelage.recipe import DataSettings

ROWS = [
    {"instruction": f"Spell word {number}.", "input": "", "output": f"word {number}"} for number in range(4)
]


@pytest.fixture
def read(tmp_path):
    """Write bytes or text to a file and read it as a source."""

    def write_and_read(content, name="rows.json", **chosen):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_source(str(path), cache=tmp_path / "cache", settings=DataSettings(**chosen))

    return write_and_read


@pytest.fixture
def refused(read):
    def message(content, name="rows.json", **chosen):
        with pytest.raises(DataError) as fault:
            read(content, name, **chosen)
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


@pytest.mark.parametrize("content", ["one,two\na,b\n", '"text"', "42", "null", "name: yaml\n"])
def test_other_content_is_told_by_how_it_begins(refused, content):
    message = refused(content)
    assert "neither JSON nor JSON lines: it begins with" in message
    assert repr(content.strip())[:9] in message


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
        f"{tmp_path / 'rows.json'}:3: byte {bad} (0xe9) is not UTF-8. Save the file as UTF-8, or name its"
        " encoding with --set data.encoding=…"
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
        file.truncate(DataSettings().max_file_bytes + 1)
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


MUTATED = [json.dumps(ROWS, indent=1).encode(), json_lines(ROWS).encode(), json.dumps(ROWS).encode("utf-16")]
MUTATED += [b'instruction,input,output\na,b,c\nd,"e",f\n', gzip.compress(json.dumps(ROWS).encode())]
INSERTED = [
    b'"',
    b"{",
    b"]",
    b",",
    b"\\u",
    b"\\ud800",
    b"1e999",
    b"-",
    b"NaN",
    b"",
    b"\n",
    b"\xef\xbb\xbf",
    b"\x00",
]


@settings(max_examples=3_000, deadline=5_000)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 6), which=st.integers(0, len(MUTATED) - 1))
def test_a_mutated_file_is_read_or_refused_and_nothing_else(tmp_path_factory, seed, count, which):
    chance = random.Random(seed)
    content = bytearray(MUTATED[which])
    for _ in range(count):
        begin = chance.randrange(len(content) + 1)
        inserted = chance.choice([*INSERTED, bytes([chance.randrange(256)])])
        content[begin : begin + chance.randrange(4)] = inserted
    path = tmp_path_factory.getbasetemp() / f"mutated-{os.getpid()}.json"
    path.write_bytes(content)
    try:
        source = read_source(str(path), cache=path.parent)
    except DataError as fault:
        assert str(path) in str(fault)
    else:
        assert source.records


# Where a row stands


@pytest.mark.parametrize(
    ("content", "mark", "encoding"),
    [
        (json.dumps([{"a": "äöü"}, {"a": "梨😀"}, {"a": "x"}], ensure_ascii=False, indent=1), b"", "utf-8"),
        ('{"a": "äöü"}\n\n{"a": "梨😀"}\r\n{"a": "x"}\n', b"", "utf-8"),
        ('{"a": "äöü"}\n{"a": "梨😀"}\n{"a": "x"}', b"\xef\xbb\xbf", "utf-8"),
        ('{"a": "äöü"}\n{"a": "梨😀"}\n{"a": "x"}', b"\xff\xfe", "utf-16-le"),
    ],
)
def test_the_bytes_at_the_offset_of_a_row_are_the_row(read, content, mark, encoding):
    bytes_of_file = mark + content.encode(encoding)
    for record in read(bytes_of_file).records:
        own = bytes_of_file[record.offset : record.offset + record.size].decode(encoding)
        assert json.loads(own) == record.value
        assert record.line == bytes_of_file[: record.offset].decode(encoding, "ignore").count("\n") + 1


CONTENTS = [
    json.dumps(ROWS, indent=1),
    json.dumps(
        [{"a": "梨 \\u 😀 \u00e9", "b": [1, -2.5e3, True, None]}, {"a": "\ud83d\ude00\ud800"}, 12345, 'x"y']
    ),
    json_lines(ROWS) + '{"a": 1}   \n\n\n  {"b": "\\ud83d\\ude00"}\n',
    json.dumps({"data": ROWS}),
    '[\n {"a": "x"},\n {"a": "y"},\n]',
    '[{"a": "x"}, {"a": NaN}, {"a": 1}]',
    '[{"a": "two\nlines"}, {"a": "x"}]',
    '{"a": 1} {"a": 2}',
    '[{"a": 1}, {"a": "never ends}]',
    '[{"a": 1}] and more',
    '[{"a": 1, "b": {"c": 1, "c": 2}}]',
    '[{"a": "\\ud83d\\ude0"}]',
    '[tru, {"a": 1}]',
    "[-, 1]",
    '[{"a": 1}, ',
]


@pytest.mark.parametrize("content", CONTENTS)
def test_the_size_of_the_window_changes_nothing(content):
    whole = outcome(content, block=2**20)
    assert [outcome(content, block=block) for block in range(1, 40)] == [whole] * 39


def test_the_window_check_catches_a_reader_that_takes_a_cut_value_for_a_whole_one(monkeypatch):
    monkeypatch.setattr(json_rows, "LONGEST_CUT_TOKEN", 0)
    differing = [
        c for c in CONTENTS if any(outcome(c, block=b) != outcome(c, block=2**20) for b in range(1, 40))
    ]
    assert differing


def outcome(content, *, block):
    try:
        return list(read_json_rows(io.BytesIO(content.encode("utf-8")), "rows.json", block=block))
    except DataError as fault:
        # What stands around the fault is shown as far as it is seen.
        return re.sub("near .*?(?= [0-9]+ whole|Mend)", "", str(fault), flags=re.DOTALL)


def test_a_file_larger_than_the_window_is_read_with_its_places(read):
    rows = [{"text": "é" * 3_000, "row": row} for row in range(700)]
    content = json.dumps(rows, indent=2, ensure_ascii=False)
    source = read(content)
    assert values(source) == rows
    last = source.records[-1]
    assert json.loads(content.encode()[last.offset :][: last.size]) == rows[-1]
    assert last.line == 4 * 699 + 2


def test_reading_takes_less_than_four_times_the_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json_lines([{"text": "word " * 200, "row": row} for row in range(8_000)]))
    tracemalloc.start()
    count = 0
    with path.open("rb") as file:
        for _ in read_json_rows(file, str(path)):
            count += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 8_000
    assert peak < 4 * path.stat().st_size


# Encodings


def test_an_encoding_that_is_named_is_read_with_and_a_wrong_one_told(read, refused):
    content = json.dumps([*ROWS[:1], {"a": "请把句子改写"}], ensure_ascii=False).encode("gb18030")
    assert values(read(content, encoding="gb18030"))[1] == {"a": "请把句子改写"}
    assert "is not UTF-8" in refused(content)
    assert "is not ASCII" in refused(content, encoding="ascii")
    assert "which is no encoding of text" in refused(content, encoding="rot13")
    assert "which is no encoding of text" in refused(content, encoding="klingon")


# Gzip


def test_any_kind_of_file_is_read_packed_as_unpacked(read, tmp_path):
    for content in (json.dumps(ROWS).encode(), json_lines(ROWS).encode(), csv_of(ROWS), parquet_of(ROWS)):
        packed = read(gzip.compress(content), "rows.gz")
        assert values(packed) == values(read(content)) == ROWS
        assert packed.kind.endswith(", gzipped")


@pytest.mark.parametrize("cut", [3, 15, -9, -1])
def test_a_damaged_gzip_file_is_told(refused, cut):
    assert "is a damaged gzip file" in refused(gzip.compress(json.dumps(ROWS).encode())[:cut])


def test_a_flipped_byte_in_a_gzip_file_is_found_by_its_checksum(refused):
    content = bytearray(gzip.compress(os.urandom(64) + json.dumps(ROWS).encode()))
    content[-6] ^= 1
    assert "is a damaged gzip file" in refused(bytes(content))


def test_a_gzip_bomb_is_refused_before_it_fills_the_memory(refused):
    bomb = gzip.compress(b" " * (40 * 2**20))
    assert "unpacks to more than 100 times its size" in refused(bomb)
    assert "unpacks to more than 1,000,000 bytes" in refused(bomb, max_file_bytes=1_000_000)


# CSV and Parquet


def csv_of(rows, delimiter=","):
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def parquet_of(rows):
    target = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), target)
    return target.getvalue()


@pytest.mark.parametrize("name", ["rows.csv", "rows", "rows.json"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_csv_is_known_by_its_header_and_every_cell_is_text(read, name, delimiter):
    rows = [
        {"instruction": 'Say "a, b";\tthen\nstop.', "input": "007", "output": "1e5"},
        {"instruction": "写", "input": "", "output": "null"},
    ]
    source = read(csv_of(rows, delimiter), name)
    assert (values(source), source.kind) == (rows, "CSV")


def test_csv_is_known_by_its_ending_where_the_header_says_nothing(read, refused):
    assert values(read("ask,reply\na,b\n", "rows.csv")) == [{"ask": "a", "reply": "b"}]
    assert values(read("ask\treply\na\tb\n", "rows.tsv")) == [{"ask": "a", "reply": "b"}]
    assert "neither JSON nor JSON lines" in refused("ask,reply\na,b\n", "rows.txt")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("instruction,output\na,b\n\nc\n", "rows.csv:4: row 1 has 1 cells, but the header names 2 columns"),
        ("instruction,output,output\na,b,c\n", "names the column 'output' twice"),
        ("instruction,output\n", "holds no rows"),
        (
            'instruction,output\na,b\na,"b\n',
            "malformed CSV: unexpected end of data. 1 whole rows stand before",
        ),
        ('instruction,output\na,"b"c\n', "rows.csv:2: malformed CSV: ',' expected after"),
        (b"instruction,output\na,caf\xe9\n", "(0xe9) is not UTF-8"),
    ],
)
def test_csv_that_is_not_whole_is_told(refused, content, told):
    assert told in refused(content, "rows.csv")


def test_a_row_of_csv_knows_its_line_whatever_line_breaks_stand_in_cells(read):
    source = read('instruction,output\n"a\nb",c\n\nd,"e\n"\nf,g\n', "rows.csv")
    assert [record.line for record in source.records] == [2, 5, 7]


def test_csv_with_a_byte_order_mark_or_another_encoding_is_read(read):
    rows = [{"instruction": "写", "output": "é"}]
    assert values(read(b"\xef\xbb\xbf" + csv_of(rows), "rows.csv")) == rows
    assert values(read(csv_of(rows).decode().encode("gb18030"), "rows.csv", encoding="gb18030")) == rows


def test_parquet_keeps_nested_values(read):
    rows = [{"messages": [{"role": "user", "content": "写"}, {"role": "assistant", "content": None}]}]
    source = read(parquet_of(rows), "rows.bin")
    assert (values(source), source.kind) == (rows, "Parquet")


def test_damaged_or_enormous_parquet_is_told(refused):
    assert "is no whole Parquet file" in refused(b"PAR1 and nothing more")
    whole = parquet_of([{"text": "a" * 1_000_000, "label": "b"}] * 40)
    assert len(whole) < 100_000  # one text, said forty times
    assert "unpacks to more than 30,000,000 bytes" in refused(whole, max_file_bytes=30_000_000)
    assert "is no whole Parquet file" in refused(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("begin", "told"),
    [
        (b"PK\x03\x04", "an Excel sheet. Save the sheet as CSV"),
        (b"\xfd7zXZ", "packed with xz"),
        (b"BZh9", "packed with bzip2"),
        (b"\x28\xb5\x2f\xfd", "packed with zstd"),
        (b"SQLite format 3\x00", "an SQLite database"),
        (b"ARROW1\x00\x00", "Write it as Parquet"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS, not the data"),
    ],
)
def test_other_kinds_of_files_are_told_by_their_first_bytes(refused, begin, told):
    assert told in refused(begin + b" and more")


# Folders


def test_a_folder_is_read_file_by_file_in_the_order_of_the_names(tmp_path):
    folder = tmp_path / "data"
    (folder / "b").mkdir(parents=True)
    (folder / "a.jsonl").write_text(json_lines(ROWS[:2]))
    (folder / "b" / "c.csv.gz").write_bytes(gzip.compress(csv_of(ROWS[2:])))
    (folder / "README.md").write_text("about")
    (folder / ".hidden.json").write_text("broken")
    source = read_source(str(folder), cache=tmp_path)
    assert values(source) == ROWS
    assert [record.row for record in source.records] == [0, 1, 2, 3]
    assert [record.file for record in source.records] == ["a.jsonl", "a.jsonl", "b/c.csv.gz", "b/c.csv.gz"]
    assert source.notes == ["Not read, for their names are no data file's: README.md."]
    assert source.kind == "2 files of JSON lines and CSV, gzipped"
    before = source.sha256
    (folder / "a.jsonl").rename(folder / "z.jsonl")
    assert read_source(str(folder), cache=tmp_path).sha256 != before


def test_a_fault_in_a_file_of_a_folder_names_the_file(tmp_path):
    (tmp_path / "a.json").write_text("[{}")
    (tmp_path / "b.json").write_text(json.dumps(ROWS))
    with pytest.raises(DataError, match=r"a.json:1:4: malformed JSON"):
        read_source(str(tmp_path), cache=tmp_path)


# Hashes, addresses and the hub


def test_a_hash_that_is_named_has_to_be_the_files(read, refused):
    content = json.dumps(ROWS)
    right = hashlib.sha256(content.encode()).hexdigest()
    assert read(content, sha256=right).sha256 == right
    assert f"has the SHA-256 {right}, not the {'0' * 64} of data.sha256" in refused(content, sha256="0" * 64)


def test_an_address_needs_a_hash_and_https(tmp_path):
    with pytest.raises(DataError, match="Name the SHA-256 that you expect: --set data.sha256"):
        read_source("https://files.example/rows.json", cache=tmp_path)
    for address in ("http://files.example/rows.json", "ftp://files.example/rows", "file:///etc/passwd"):
        with pytest.raises(FetchError, match="is not an https address"):
            read_source(address, cache=tmp_path, settings=DataSettings(sha256="0" * 64))


def test_an_address_whose_file_was_fetched_is_not_asked_again(tmp_path, monkeypatch):
    content = json.dumps(ROWS).encode()
    sha256 = hashlib.sha256(content).hexdigest()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / sha256).write_bytes(content)
    monkeypatch.setattr(socket, "socket", None)  # any use of the network would fail
    settings = DataSettings(sha256=sha256)
    assert values(read_source("https://files.example/rows.json", cache=tmp_path, settings=settings)) == ROWS


def test_a_local_data_set_is_read_through_datasets(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").write_text(json_lines(ROWS[:3]))
    (tmp_path / "set" / "test.jsonl").write_text(json_lines(ROWS[3:]))
    source = read_source(f"hf:{tmp_path / 'set'}", cache=tmp_path)
    assert values(source) == ROWS[:3]
    held_back = read_source(f"hf:{tmp_path / 'set'}", cache=tmp_path, settings=DataSettings(hub_split="test"))
    assert values(held_back) == ROWS[3:]
    assert source.sha256 != held_back.sha256
    with pytest.raises(DataError, match="could not be had"):
        read_source(f"hf:{tmp_path / 'set'}", cache=tmp_path, settings=DataSettings(hub_split="nothing"))
    with pytest.raises(DataError, match="could not be had"):
        read_source(f"hf:{tmp_path / 'none'}", cache=tmp_path)
