"""The strict reader of JSON and JSON lines: what it takes, what it tells, and where a row stands."""

import gzip
import io
import json
import os
import random
import re
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.rows import SPELLINGS, json_lines_of, values_of

from tutelage.data.rows import json_rows
from tutelage.data.rows.json_rows import read_json_rows
from tutelage.data.sources.sources import read_source
from tutelage.errors import DataError

LINES = json_lines_of(SPELLINGS).decode()


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.txt", "rows"])
@pytest.mark.parametrize(
    "content",
    [
        json.dumps(SPELLINGS),
        json.dumps(SPELLINGS, indent=2),
        "\n\n  " + json.dumps(SPELLINGS) + "\n\n",
        LINES,
        "\n" + LINES.replace("\n", "\r\n\r\n"),
        LINES.rstrip("\n"),
        "\n".join(json.dumps(row, indent=1) for row in SPELLINGS),
        json.dumps({"data": SPELLINGS}),
    ],
)
def test_the_content_decides_what_a_file_is_whatever_its_name(read, content, name):
    source = read(content, name)
    assert values_of(source) == SPELLINGS
    assert [record.row for record in source.records] == [0, 1, 2, 3]


def test_a_record_knows_the_line_on_which_it_begins(read):
    assert [record.line for record in read(LINES).records] == [1, 2, 3, 4]
    assert [record.line for record in read(json.dumps(SPELLINGS, indent=1)).records] == [2, 7, 12, 17]


def test_rows_inside_a_wrapping_object_know_their_lines(read):
    records = read(json.dumps({"data": SPELLINGS}, indent=1)).records
    assert [record.line for record in records] == [3, 8, 13, 18]


def test_one_row_alone_is_a_row(read):
    assert values_of(read(json.dumps(SPELLINGS[0]))) == SPELLINGS[:1]
    assert values_of(read(json.dumps(SPELLINGS[:1]))) == SPELLINGS[:1]


@pytest.mark.parametrize(
    ("content", "place", "told"),
    [
        ('[\n {"a": "x"},\n {"a": "y"},\n]', "3:12", "there is a comma before the closing bracket"),
        ('[\n {"a": "x"}\n {"a": "y"}\n]', "3:2", "expected a comma"),
        ('[\n {"a": "x"},\n {"a": y}\n]', "3:8", "Expecting value"),
        ('[\n {"a": "x",}\n]', "2:12", ""),
        ("[\n {'a': 'x'}\n]", "2:3", "property name enclosed in double quotes"),
        ('[\n {"a": "two\nlines"}\n]', "2:12", "Invalid control character"),
        ('[{"a": "x"}]\n[{"a": "y"}]', "2:1", "more text after the list"),
        ('{"a": "x"}\n{"a": "y"},\n{"a": "z"}', "2:11", "expected a new line after the row"),
        ('{"a": "x"} {"a": "y"}', "1:12", "expected a new line after the row"),
        ('[{"a": NaN}]', "1:2", "NaN is not valid JSON"),
        ('[\n{"a": -Infinity}]', "2:1", "-Infinity is not valid JSON"),
        ('[\n{"a": "x"},\n{"a": "x", "b": 1, "a": "y"}]', "3:1", "the key 'a' appears twice"),
        ('[\n{"a": "\\x"}]', "2:8", "Invalid \\escape"),
    ],
)
def test_malformed_json_is_told_by_line_column_and_excerpt(refused, tmp_path, content, place, told):
    message = refused(content)
    line = int(place.split(":")[0])
    assert message.startswith(f"{tmp_path / 'rows.json'}:{place}: malformed JSON: ")
    assert told in message
    assert content.split("\n")[line - 1].strip()[:6] in message.split("near ")[1]
    assert message.endswith("Fix the file there.")


@pytest.mark.parametrize(
    "content", [json.dumps(SPELLINGS), json.dumps(SPELLINGS, indent=2), LINES, '[{"a": "\\ud83d\\ude00"}]']
)
def test_a_file_cut_anywhere_is_refused_with_the_number_of_whole_rows_before_the_cut(read, refused, content):
    whole = len(values_of(read(content)))
    for end in range(1, len(content.rstrip())):
        cut = content[:end]
        if _is_whole_json_lines(cut):
            assert len(values_of(read(cut))) < whole
            continue
        message = refused(cut)
        assert "malformed JSON" in message
        rows_before = _whole_rows(cut)
        told = "1 complete row comes" if rows_before == 1 else f"{rows_before} complete rows come"
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


MUTATED = [
    json.dumps(SPELLINGS, indent=1).encode(),
    json_lines_of(SPELLINGS),
    json.dumps(SPELLINGS).encode("utf-16"),
]
MUTATED += [b'instruction,input,output\na,b,c\nd,"e",f\n', gzip.compress(json.dumps(SPELLINGS).encode())]
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
    json.dumps(SPELLINGS, indent=1),
    json.dumps(
        [{"a": "梨 \\u 😀 \u00e9", "b": [1, -2.5e3, True, None]}, {"a": "\ud83d\ude00\ud800"}, 12345, 'x"y']
    ),
    LINES + '{"a": 1}   \n\n\n  {"b": "\\ud83d\\ude00"}\n',
    json.dumps({"data": SPELLINGS}),
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
        return re.sub("near .*?(?= [0-9]+ complete|Fix)", "", str(fault), flags=re.DOTALL)


def test_a_file_larger_than_the_window_is_read_with_its_places(read):
    rows = [{"text": "é" * 3_000, "row": row} for row in range(700)]
    content = json.dumps(rows, indent=2, ensure_ascii=False)
    source = read(content)
    assert values_of(source) == rows
    last = source.records[-1]
    assert json.loads(content.encode()[last.offset :][: last.size]) == rows[-1]
    assert last.line == 4 * 699 + 2


def test_reading_takes_less_than_four_times_the_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json_lines_of([{"text": "word " * 200, "row": row} for row in range(8_000)]).decode())
    tracemalloc.start()
    count = 0
    with path.open("rb") as file:
        for _ in read_json_rows(file, str(path)):
            count += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 8_000
    assert peak < 4 * path.stat().st_size
