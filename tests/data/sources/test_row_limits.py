"""data.max_row_bytes and the other limits, which hold for every kind of file as for JSON lines."""

import gzip
import io
import json
import time
import tracemalloc

import pyarrow
import pytest
from pyarrow import parquet
from support.coded import codes_of
from support.rows import csv_of, json_lines_of, parquet_of

from tutelage.config.recipe import DataSettings
from tutelage.data.dataset.preparation import sizes_of
from tutelage.data.formats.formats import read_conversations
from tutelage.data.formats.table_shape import TableShape
from tutelage.data.quality.checks import check_rows
from tutelage.data.rows.json_rows import read_json_rows
from tutelage.data.sources.csv_rows import read_csv_rows
from tutelage.data.sources.sources import read_source
from tutelage.data.sources.tables import read_parquet_rows
from tutelage.errors import DataError

LIMIT = 2_000
ROWS = [
    {"instruction": "Name a shoe.", "output": "A boot."},
    {"instruction": "Repeat.", "output": "梨 word\n" * 1_000},
    {"instruction": "Name a hat.", "output": "A cap."},
]
CONTENTS = {
    "list": json.dumps(ROWS).encode(),
    "lines": json_lines_of(ROWS),
    "data": json.dumps({"version": 1, "data": ROWS, "more": [1]}, indent=1).encode(),
    "utf-16": b"\xff\xfe" + json.dumps({"data": ROWS}).encode("utf-16-le"),
    "csv": csv_of(ROWS),
    "tsv": csv_of(ROWS, "\t"),
    "parquet": parquet_of(ROWS),
}
MEGABYTES = 10


def dropped_rows(name, cache, **chosen):
    settings = DataSettings(max_row_bytes=LIMIT, **chosen)
    source = read_source(name, cache=cache, settings=settings)
    read = read_conversations(source.records, source=source.name, settings=settings)
    checked = check_rows(read.rows, settings, sizes_of(source))
    assert [one.row.row for one in checked] == [record.row for record in source.records]
    return {one.row.row: codes_of(one.reasons) for one in checked if one.outcome == "dropped"}


@pytest.mark.parametrize("packs", [bytes, gzip.compress])
@pytest.mark.parametrize("kind", CONTENTS)
def test_a_row_above_the_limit_is_dropped_by_its_size_whatever_the_format(tmp_path, kind, packs):
    path = tmp_path / "rows"
    path.write_bytes(packs(CONTENTS[kind]))
    assert dropped_rows(str(path), tmp_path) == {1: ["data.row_too_large"]}


def test_in_a_folder_and_a_data_set_too(tmp_path):
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "a.parquet").write_bytes(CONTENTS["parquet"])
    assert dropped_rows(f"hf:{folder}", tmp_path) == {1: ["data.row_too_large"]}
    (folder / "b.csv").write_bytes(CONTENTS["csv"])
    (folder / "c.json").write_bytes(CONTENTS["data"])
    dropped = dropped_rows(str(folder), tmp_path)
    assert [row for row, codes in dropped.items() if codes == ["data.row_too_large"]] == [1, 4, 7]


@pytest.mark.parametrize("kind", CONTENTS)
def test_without_the_limit_no_row_is_dropped(tmp_path, kind):
    path = tmp_path / "rows"
    path.write_bytes(CONTENTS[kind])
    source = read_source(str(path), cache=tmp_path, settings=DataSettings())
    assert [record.value for record in source.records] == ROWS
    assert all(record.size for record in source.records)


def test_a_row_too_large_is_not_asked_for_its_format(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(json_lines_of([ROWS[0], {"unknown": "x" * LIMIT}]))
    assert dropped_rows(str(path), tmp_path) == {1: ["data.row_too_large"]}


# Sizes


def test_the_size_of_a_row_of_text_is_that_of_its_bytes(tmp_path):
    cells = '"a\r\nb",é'
    records = list(
        read_csv_rows(
            io.BytesIO(f"x,y\r\n{cells}\r\n\r\n1,2".encode()), "f", encoding="utf-8", shape=TableShape(",")
        )
    )
    assert [record.size for record in records] == [len(cells.encode()), 3]
    inner = json.dumps(ROWS[1], ensure_ascii=False)
    [record] = read_json_rows(io.BytesIO(f'{{"data": [ {inner} ]}}'.encode()), "f")
    assert (record.size, record.offset) == (len(inner.encode()), 11)


def test_the_size_of_a_row_of_parquet_is_that_of_its_json_or_of_its_texts_if_they_are_too_large_already():
    file = io.BytesIO(CONTENTS["parquet"])
    sizes = [record.size for record in read_parquet_rows(file, "f", max_bytes=10**9, max_row_bytes=LIMIT)]
    texts = sum(len(value.encode()) for value in ROWS[1].values())
    assert sizes == [len(json.dumps(ROWS[0])), texts, len(json.dumps(ROWS[2]))]


@pytest.mark.parametrize("content", [*CONTENTS.values()][:3])
@pytest.mark.parametrize("limit", [10, 60, 200])
def test_the_window_of_the_json_reader_changes_nothing_under_a_limit(content, limit):
    whole = list(read_json_rows(io.BytesIO(content), "f"))
    for block in (1, 7, 64, 2**20):
        found = list(read_json_rows(io.BytesIO(content), "f", block=block, max_row_bytes=limit))
        assert [(one.row, one.line, one.offset, one.size) for one in found] == [
            (one.row, one.line, one.offset, one.size) for one in whole
        ]
        assert [one.value for one in found] == [one.value if one.size <= limit else None for one in whole]


@pytest.mark.parametrize("limit", [1, 4, 9, 30])
def test_a_csv_row_above_the_limit_ends_where_the_reader_of_csv_ends_it(limit):
    content = 'x,y\r\na,"b ""c"",\r\nd"\r"e\rf",\n"","""g"""\n\nh i,j"k\n梨,"l\r\n"'.encode()
    whole, found = (
        list(read_csv_rows(io.BytesIO(content), "f", encoding="utf-8", shape=TableShape(","), **chosen))
        for chosen in ({}, {"max_row_bytes": limit})
    )
    assert [(one.line, one.size) for one in found] == [(one.line, one.size) for one in whole]
    assert [one.value for one in found] == [one.value if one.size <= limit else None for one in whole]


# Faults inside of rows that are too large


@pytest.mark.parametrize(
    ("content", "code", "row"),
    [
        ('{"data": [{"a": 1}, {"a": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",}]}', "data.malformed_json", 1),
        ('{"data": [{"a": 1}, {"a": 2}', "data.malformed_json", 2),
        ('{"data": [{"a": 1}, {"a": 2}]} {"b": 1}', "data.malformed_json", 1),
        ('{"data": [{"a": 1}], "data": []}', "data.not_strict_json", 1),
        ('[{"a": 1}, {"a": "xxxxxxxxxxxxxxxxxxxx\\q"}]', "data.malformed_json", 1),
        ('[{"a": 1}, {"a": "xxxxxxxxxxxxxxxxxxxx\n"}]', "data.malformed_json", 1),
        ('[{"a": "xxxxxxxxxxxxxxxxxxxxxxxxxxx", "a": 1}]', "data.not_strict_json", 0),
        ('[{"a": ["xxxxxxxxxxxxxxxxxxxxxxxxxxx", NaN]}]', "data.not_strict_json", 0),
        ('[{"a": ["xxxxxxxxxxxxxxxxxxxxxxxxxxx", 1}]', "data.malformed_json", 0),
    ],
)
@pytest.mark.parametrize("limit", [12, 10**6])
def test_json_is_as_strict_in_a_row_too_large_and_counts_the_rows_before(content, code, row, limit):
    for block in (1, 2**20):
        with pytest.raises(DataError) as fault:
            list(read_json_rows(io.BytesIO(content.encode()), "f", block=block, max_row_bytes=limit))
        assert (fault.value.code, fault.value.row) == (code, row)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ('a,b\n1,2\nx,"wwwwwwwwwwwwwww', "data.malformed_csv"),
        ('a,b\n1,2\nx,"wwwwwwwwwwwwwww"w\n3,4\n', "data.malformed_csv"),
        ("a,b\n1,2\nx,wwwwwwwwwwwwwww,3\n3,4\n", "data.row_width"),
        ('a,b\n1,2\n"wwwwwww\nwwwwwwwwwwwwwwww"\n3,4\n', "data.row_width"),
    ],
)
@pytest.mark.parametrize("limit", [5, 10**6])
def test_csv_is_as_strict_in_a_row_too_large(content, code, limit):
    with pytest.raises(DataError) as fault:
        list(
            read_csv_rows(
                io.BytesIO(content.encode()),
                "f",
                encoding="utf-8",
                shape=TableShape(","),
                max_row_bytes=limit,
            )
        )
    assert (fault.value.code, fault.value.row) == (code, 1)


@pytest.mark.parametrize("wrapped", ['[{{"a": {}}}]', '{{"data": [{{"a": {}}}]}}', '{{"a": {}}}'])
def test_a_row_of_more_than_64_levels_stops_wherever_it_stands(wrapped):
    for levels, is_read in ((63, True), (64, False), (5_000, False)):
        content = wrapped.format("[" * levels + "]" * levels).encode()
        if is_read:
            assert len(list(read_json_rows(io.BytesIO(content), "f"))) == 1
            continue
        with pytest.raises(DataError) as fault:
            list(read_json_rows(io.BytesIO(content), "f"))
        assert fault.value.code == "data.not_strict_json"


# Memory and time


def huge(kind):
    text = "word " * (MEGABYTES * 2**18)
    quoted = text.replace("d ", '""')
    return {
        "lines": f'{{"a": 1}}\n{{"a": "{text}"}}\n{{"a": 2}}\n',
        "data": f'{{"data": [{{"a": 1}}, {{"b": [{{"c": "{text}"}}]}}, {{"a": 2}}]}}',
        "wrapper": '{"data": [' + ", ".join([json.dumps({"a": text[:1_000]})] * (MEGABYTES * 2**10)) + "]}",
        "csv": f"a,b\n1,2\nx,{text}\n3,4\n",
        "quoted": f'a,b\n1,2\nx,"{quoted}"\n3,4\n',
    }[kind].encode()


@pytest.mark.parametrize("kind", ["lines", "data", "wrapper", "csv", "quoted"])
def test_a_huge_row_or_wrapper_takes_little_more_memory_than_the_limit(kind):
    file = io.BytesIO(huge(kind))
    tables = {"encoding": "utf-8", "shape": TableShape(",")}
    read, chosen = (read_csv_rows, tables) if kind in ("csv", "quoted") else (read_json_rows, {})
    tracemalloc.start()
    read_rows = [record.row for record in read(file, "f", max_row_bytes=2**16, **chosen) if record.was_read]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if kind == "wrapper":
        assert len(read_rows) == MEGABYTES * 2**10
    else:
        assert read_rows == [0, 2]
    assert peak < 2**23 + 40 * len(read_rows)


def test_many_keys_of_which_one_is_repeated_are_refused_soon():
    keys = [f"k{number}" for number in range(60_000)]
    repeated = "{" + ", ".join(f'"{key}": 1' for key in [*keys, keys[-1]]) + "}"
    begin = time.process_time()
    with pytest.raises(DataError) as fault:
        list(read_json_rows(io.BytesIO(repeated.encode()), "f"))
    assert fault.value.code == "data.not_strict_json"
    with pytest.raises(DataError) as fault:
        header = ",".join([*keys, keys[-1]])
        list(read_csv_rows(io.BytesIO(header.encode()), "f", encoding="utf-8", shape=TableShape(",")))
    assert fault.value.code == "data.duplicate_column"
    assert time.process_time() - begin < 2


# Parquet that holds little and unpacks to much


def packed(columns, **chosen):
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file, **chosen)
    return file


def said_often(text, times):
    return pyarrow.DictionaryArray.from_arrays([0] * times, [text])


def read_packed(file, **chosen):
    return list(read_parquet_rows(file, "f", **{"max_bytes": 100 * 2**20, "max_row_bytes": 2**20, **chosen}))


def test_a_text_that_many_rows_share_is_in_memory_once():
    file = packed({"a": said_often("word " * 2**18, 500)})
    assert len(file.getvalue()) < 2**18
    before = pyarrow.default_memory_pool().max_memory()
    records = read_packed(file, max_bytes=10**9)
    assert [record.was_read for record in records] == [False] * 500
    assert {record.size for record in records} == {5 * 2**18}
    assert pyarrow.default_memory_pool().max_memory() < before + 32 * 2**20


def test_a_list_of_one_text_many_times_is_a_row_too_large():
    lists = pyarrow.ListArray.from_arrays([0, 500, 501], said_often("word " * 2**12, 501))
    records = read_packed(packed({"messages": lists, "n": [1, 2]}))
    assert [record.was_read for record in records] == [False, True]
    assert records[0].size == 500 * 5 * 2**12
    assert records[1].value == {"messages": ["word " * 2**12], "n": 2}


@pytest.mark.parametrize(
    ("columns", "chosen", "code"),
    [
        ({"a": ["ab" * 2**23]}, {"use_dictionary": False, "compression": "zstd"}, "data.compression_ratio"),
        ({"a": pyarrow.nulls(200_000, pyarrow.bool_())}, {}, "data.file_too_large"),
        ({"a": said_often("word " * 2_000, 100)}, {}, "data.file_too_large"),
        ({"a": pyarrow.DictionaryArray.from_arrays([0] * 300, pyarrow.array([b"z" * 999], pyarrow.binary(999)))}, {},
         "data.file_too_large"),
    ],
)  # fmt: skip
def test_parquet_that_unpacks_to_much_stops(columns, chosen, code):
    with pytest.raises(DataError) as fault:
        read_packed(packed(columns, **chosen), max_bytes=150_000 if "large" in code else 10**9)
    assert fault.value.code == code


def test_rows_of_every_type_are_what_arrow_makes_of_them():
    rows = [
        {
            "text": "é" * number,
            "messages": [{"role": "user", "content": f"hello {number}"}, {"role": None, "content": None}],
            "maybe": None if number % 3 else {"deep": [["x" * number]], "number": number},
            "none": [],
            "truth": number % 2 == 0,
        }
        for number in range(700)
    ]
    table = pyarrow.Table.from_pylist(rows)
    assert [
        record.value
        for record in read_packed(packed(dict(zip(table.column_names, table.columns, strict=True))))
    ] == rows


def test_prefixes_that_are_packed_one_on_the_other_are_unpacked_row_by_row():
    texts = [f"{'word ' * 20_000}{number}" for number in range(20)]
    file = packed({"a": texts}, use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY")
    assert [record.value["a"] for record in read_packed(file)] == texts
