"""One file of rows: its encoding, what it is packed with, and tables."""

import gzip
import json
import os

import pytest
from support.coded import codes_of
from support.rows import SPELLINGS, csv_of, json_lines_of, parquet_of, values_of


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
    source = read(b"\xef\xbb\xbf" + json.dumps(SPELLINGS).encode())
    assert values_of(source) == SPELLINGS
    assert codes_of(source.notes) == ["data.byte_order_mark"]


@pytest.mark.parametrize("mark_and_encoding", [(b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")])
def test_utf_16_with_its_mark_is_read_and_noted(read, refused, mark_and_encoding):
    mark, encoding = mark_and_encoding
    content = mark + json.dumps(SPELLINGS, ensure_ascii=False).encode(encoding)
    source = read(content)
    assert values_of(source) == SPELLINGS
    assert codes_of(source.notes) == ["data.utf_16"]
    assert "starts like UTF-16 but is damaged at byte" in refused(content + b"\x00")


def test_latin_1_is_refused_with_the_first_bad_byte_and_its_line(refused, tmp_path):
    content = '[\n{"a": "ok"},\n{"a": "caf\xe9"}]'.encode("latin-1")
    bad = content.index(b"\xe9")
    message = refused(content)
    assert message.startswith(f"{tmp_path / 'rows.json'}:3: byte {bad} (0xe9) is not valid UTF-8.")
    assert "--set data.encoding=windows-1252" in message


def test_lone_surrogates_are_read_and_pairs_are_joined(read):
    assert values_of(read('[{"a": "\\ud800x", "b": "\\ud83d\\ude00"}]')) == [{"a": "\ud800x", "b": "😀"}]


# Encodings


def test_an_encoding_that_is_named_is_read_with_and_a_wrong_one_told(read, refused):
    content = json.dumps([*SPELLINGS[:1], {"a": "请把句子改写"}], ensure_ascii=False).encode("gb18030")
    assert values_of(read(content, encoding="gb18030"))[1] == {"a": "请把句子改写"}
    assert "is not valid UTF-8" in refused(content)
    assert "is not valid ASCII" in refused(content, encoding="ascii")
    assert "which is not a text encoding" in refused(content, encoding="rot13")
    assert "which is not a text encoding" in refused(content, encoding="klingon")


# Gzip


def test_any_kind_of_file_is_read_packed_as_unpacked(read, tmp_path):
    for content in (
        json.dumps(SPELLINGS).encode(),
        json_lines_of(SPELLINGS),
        csv_of(SPELLINGS),
        parquet_of(SPELLINGS),
    ):
        packed = read(gzip.compress(content), "rows.gz")
        assert values_of(packed) == values_of(read(content)) == SPELLINGS
        assert packed.kind.endswith(", gzipped")


@pytest.mark.parametrize("cut", [3, 15, -9, -1])
def test_a_damaged_gzip_file_is_told(refused, cut):
    assert "is a damaged gzip file" in refused(gzip.compress(json.dumps(SPELLINGS).encode())[:cut])


def test_a_flipped_byte_in_a_gzip_file_is_found_by_its_checksum(refused):
    content = bytearray(gzip.compress(os.urandom(64) + json.dumps(SPELLINGS).encode()))
    content[-6] ^= 1
    assert "is a damaged gzip file" in refused(bytes(content))


def test_a_gzip_bomb_is_refused_before_it_fills_the_memory(refused):
    bomb = gzip.compress(b" " * (40 * 2**20))
    assert "unpacks to more than 100 times its size" in refused(bomb)
    assert "unpacks to more than 1,000,000 bytes" in refused(bomb, max_file_bytes=1_000_000)


# CSV and Parquet


@pytest.mark.parametrize("name", ["rows.csv", "rows", "rows.json"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_csv_is_known_by_its_header_and_every_cell_is_text(read, name, delimiter):
    rows = [
        {"instruction": 'Say "a, b";\tthen\nstop.', "input": "007", "output": "1e5"},
        {"instruction": "写", "input": "", "output": "null"},
    ]
    source = read(csv_of(rows, delimiter), name)
    assert (values_of(source), source.kind) == (rows, "CSV")


def test_csv_is_known_by_its_ending_where_the_header_says_nothing(read, refused):
    assert values_of(read("ask,reply\na,b\n", "rows.csv")) == [{"ask": "a", "reply": "b"}]
    assert values_of(read("ask\treply\na\tb\n", "rows.tsv")) == [{"ask": "a", "reply": "b"}]
    assert "neither JSON nor JSON lines" in refused("ask,reply\na,b\n", "rows.txt")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("instruction,output\na,b\n\nc\n", "rows.csv:4: row 1 has 1 cells, but the header names 2 columns"),
        ("instruction,output,output\na,b,c\n", "has two columns named 'output'"),
        ("instruction,output\n", "holds no rows"),
        (
            'instruction,output\na,b\na,"b\n',
            "malformed CSV: unexpected end of data. 1 complete rows come before",
        ),
        ('instruction,output\na,"b"c\n', "rows.csv:2: malformed CSV: ',' expected after"),
        (b"instruction,output\na,caf\xe9\n", "(0xe9) is not valid UTF-8"),
    ],
)
def test_csv_that_is_not_whole_is_told(refused, content, told):
    assert told in refused(content, "rows.csv")


def test_a_row_of_csv_knows_its_line_whatever_line_breaks_stand_in_cells(read):
    source = read('instruction,output\n"a\nb",c\n\nd,"e\n"\nf,g\n', "rows.csv")
    assert [record.line for record in source.records] == [2, 5, 7]


def test_csv_with_a_byte_order_mark_or_another_encoding_is_read(read):
    rows = [{"instruction": "写", "output": "é"}]
    assert values_of(read(b"\xef\xbb\xbf" + csv_of(rows), "rows.csv")) == rows
    assert values_of(read(csv_of(rows).decode().encode("gb18030"), "rows.csv", encoding="gb18030")) == rows


def test_parquet_keeps_nested_values(read):
    rows = [{"messages": [{"role": "user", "content": "写"}, {"role": "assistant", "content": None}]}]
    source = read(parquet_of(rows), "rows.bin")
    assert (values_of(source), source.kind) == (rows, "Parquet")


def test_damaged_or_enormous_parquet_is_told(refused):
    assert "is not a complete Parquet file" in refused(b"PAR1 and nothing more")
    whole = parquet_of([{"text": "a" * 1_000_000, "label": "b"}] * 40)
    assert len(whole) < 100_000  # one text, said forty times
    assert "unpacks to more than 30,000,000 bytes" in refused(whole, max_file_bytes=30_000_000)
    assert "is not a complete Parquet file" in refused(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("begin", "told"),
    [
        (b"PK\x03\x04", "an Excel sheet. Save the sheet as CSV"),
        (b"\xfd7zXZ", "compressed with xz"),
        (b"BZh9", "compressed with bzip2"),
        (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
        (b"SQLite format 3\x00", "an SQLite database"),
        (b"ARROW1\x00\x00", "Write it as Parquet"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer, not the data"),
    ],
)
def test_other_kinds_of_files_are_told_by_their_first_bytes(refused, begin, told):
    assert told in refused(begin + b" and more")
