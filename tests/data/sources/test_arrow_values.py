"""Parquet and data sets of the Hub: what is missing, what has no place in JSON, and the names of classes."""

import datetime
import json
import math
import uuid
from decimal import Decimal
from io import BytesIO

import pyarrow as pa
import pytest
from pyarrow import parquet
from support.coded import codes_of

from tutelage.config.recipe import DataSettings
from tutelage.data.formats.formats import read_conversations
from tutelage.data.quality.checks import check_rows
from tutelage.data.sources.sources import read_source
from tutelage.errors import DataError

NAN, INFINITY = math.nan, math.inf
FLOATS = (pa.float16(), pa.float32(), pa.float64())


def class_label(*names):
    return {"names": list(names), "_type": "ClassLabel"}


def table_of(columns, features=None):
    table = pa.table(columns)
    if features is None:
        return table
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


@pytest.fixture
def rows_of(tmp_path):
    """Return the rows of a table that went through a Parquet file."""

    def read(columns, features=None):
        path = tmp_path / "rows.parquet"
        parquet.write_table(table_of(columns, features), path)
        return [record.value for record in read_source(str(path), cache=tmp_path).records]

    return read


@pytest.fixture
def checked(tmp_path):
    """Return what becomes of each row of a table that went through a Parquet file."""

    def read(columns, features=None, **chosen):
        path = tmp_path / "rows.parquet"
        parquet.write_table(table_of(columns, features), path)
        settings = DataSettings(**chosen)
        source = read_source(str(path), cache=tmp_path, settings=settings)
        rows = read_conversations(source.records, source=source.name, settings=settings).rows
        return check_rows(rows, settings)

    return read


@pytest.fixture
def fault_of(checked):
    """Return the code and the row of the error that a table stops with."""

    def read(columns, features=None, **chosen):
        with pytest.raises(DataError) as fault:
            checked(columns, features, **chosen)
        return fault.value.code, fault.value.row

    return read


def labels_of(found):
    return [one.row.response if one.outcome != "dropped" else None for one in found]


def texts(count):
    return [f"text {number}" for number in range(count)]


# What is missing


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("coerce", [True, False])
def test_a_missing_label_is_dropped_and_whole_numbers_are_named_without_a_point(checked, kind, coerce):
    found = checked({"text": texts(5), "label": pa.array([1.0, 0.0, NAN, None, -0.0], kind)}, coerce=coerce)
    assert labels_of(found) == ["1", "0", None, None, "0"]
    assert [codes_of(one.reasons) for one in found] == [[], [], ["data.empty"], ["data.empty"], []]


def test_a_missing_label_is_no_class_of_its_own_even_where_empty_answers_are_kept(checked):
    columns = {"text": texts(2), "label": pa.array([1.0, NAN])}
    assert labels_of(checked(columns, keep_empty_output=True)) == ["1", None]
    assert labels_of(checked(columns, keep_empty_output=True, label_separator="|")) == ["1", ""]


def test_large_whole_labels_keep_all_their_digits(checked):
    assert labels_of(checked({"text": ["a"], "label": [2.0**70]})) == [str(2**70)]


def test_a_missing_answer_is_dropped_and_the_others_have_the_digits_of_their_own_precision(checked):
    for kind in FLOATS:
        column = pa.array([1.5, NAN, 0.1, None], kind)
        found = checked({"instruction": texts(4), "output": column}, coerce=True)
        assert labels_of(found) == ["1.5", None, "0.1", None]


def test_a_missing_value_nested_in_messages_is_empty(checked):
    message = pa.struct([("role", pa.string()), ("content", pa.float64())])
    talks = [
        [{"role": "user", "content": 1.5}, {"role": "assistant", "content": answer}] for answer in (NAN, 2.5)
    ]
    found = checked({"messages": pa.array(talks, pa.list_(message))}, coerce=True)
    assert labels_of(found) == [None, "2.5"]


def test_missing_values_of_every_type_are_null(rows_of):
    columns = {
        "instant": pa.array([None], pa.timestamp("ns")),
        "day": pa.array([None], pa.date32()),
        "nothing": pa.nulls(1),
        "mixed": pa.array([None], pa.string()),
        "dictionary": pa.array([None], pa.dictionary(pa.int32(), pa.float64())),
        "coded": pa.array([NAN]).dictionary_encode(),
        "nested": pa.array([{"a": [NAN, 1.0]}]),
        "map": pa.array([[("a", NAN)]], pa.map_(pa.string(), pa.float64())),
    }
    (row,) = rows_of(columns)
    assert (row.pop("nested"), row.pop("map")) == ({"a": [None, 1.0]}, {"a": None})
    assert set(row.values()) == {None}


def test_texts_that_say_nan_stay_texts(checked):
    said = ["nan", "NaN", "null", "None", "Infinity"]
    assert labels_of(checked({"instruction": texts(5), "output": said}, coerce=True)) == said


# What has no place in JSON


@pytest.mark.parametrize("value", [INFINITY, -INFINITY])
@pytest.mark.parametrize("kind", FLOATS)
def test_an_infinity_stops_by_its_row_in_answers_labels_and_nested(fault_of, value, kind):
    column = pa.array([1.0, value], kind)
    expected = ("data.infinite_number", 1)
    assert fault_of({"instruction": texts(2), "output": column}, coerce=True) == expected
    assert fault_of({"text": texts(2), "label": column}) == expected
    call = {"function": {"name": "add", "arguments": {"a": value}}}
    talk = [{"role": "user", "content": "Add."}, {"role": "assistant", "content": "", "tool_calls": [call]}]
    assert fault_of({"messages": [[talk[0]], talk]}) == expected


def test_an_infinity_that_no_format_reads_stops_nothing(checked):
    columns = {"instruction": texts(2), "output": ["a", "b"], "score": [1.0, INFINITY]}
    assert labels_of(checked(columns)) == ["a", "b"]


def test_an_infinity_that_a_json_number_overflows_to_stops_by_its_row(read):
    source = read('{"instruction": "a", "output": 1}\n{"instruction": "b", "output": 1e999}\n')
    with pytest.raises(DataError) as fault:
        read_conversations(source.records, source="rows", settings=DataSettings(coerce=True))
    assert (fault.value.code, fault.value.row) == ("data.infinite_number", 1)


TEXTS = (
    (pa.array([datetime.date(2024, 2, 29)]), "2024-02-29"),
    (pa.array([datetime.date(2024, 2, 29)], pa.date64()), "2024-02-29"),
    (pa.array([datetime.time(8, 30)]), "08:30:00"),
    (pa.array([datetime.datetime(2024, 2, 29, 8, 30)], pa.timestamp("s")), "2024-02-29T08:30:00"),
    (pa.array([1], pa.int64()).cast(pa.timestamp("ns")), "1970-01-01T00:00:00.000000001"),
    (pa.array([0], pa.int64()).cast(pa.timestamp("us", "UTC")), "1970-01-01T00:00:00+00:00"),
    (pa.array([Decimal("19.90")]), "19.90"),
    (pa.array([Decimal("1e-7")]), "0.0000001"),
    (pa.array([uuid.UUID(int=1)], pa.uuid()), "00000000-0000-0000-0000-000000000001"),
    (pa.array(["a"]).dictionary_encode(), "a"),
    (pa.array(["a"], pa.large_string()), "a"),
    (pa.array(["a"], pa.string_view()), "a"),
    (pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array(["a"])), "a"),
)


@pytest.mark.parametrize(("column", "expected"), TEXTS)
def test_dates_decimals_and_the_like_are_texts_also_inside_of_lists(tmp_path, column, expected):
    from tutelage.data.sources.arrow_values import row_reader

    nested = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), column)
    for table in (pa.table({"a": column}), pa.table({"a": nested})):
        (row,) = row_reader(table.schema)(table)
        assert row["a"] in (expected, [expected])


def test_whole_decimals_are_whole_numbers(checked):
    assert labels_of(checked({"text": ["a"], "label": [Decimal(7)]})) == ["7"]


NOT_JSON = (
    pa.array([b"a"]),
    pa.array([b"a"], pa.large_binary()),
    pa.array([b"a"], pa.binary(1)),
    pa.array([datetime.timedelta(1)]),
    pa.array([10**12], pa.int64()).cast(pa.timestamp("s")),
    pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64())),
)


@pytest.mark.parametrize("column", NOT_JSON, ids=lambda column: str(column.type))
def test_what_json_has_no_place_for_stops_by_its_row_where_it_is_read_and_nowhere_else(
    fault_of, checked, column
):
    columns = {"instruction": ["b"], "output": column}
    assert fault_of(columns, coerce=True) == ("data.not_json_value", 0)
    assert labels_of(checked({**columns, "output": ["c"], "unread": column})) == ["c"]


def test_bytes_that_are_not_utf_8_stop_by_their_row(fault_of):
    column = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xe9")]
    )
    assert fault_of({"instruction": texts(2), "output": column}) == ("data.wrong_encoding", 1)


def test_a_column_that_stands_twice_is_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    parquet.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(DataError) as fault:
        read_source(str(tmp_path / "rows.parquet"), cache=tmp_path)
    assert fault.value.code == "data.duplicate_column"


# The names of classes

NAMES = {"text": {"dtype": "string", "_type": "Value"}, "label": class_label("ham", "spam")}


@pytest.mark.parametrize("kind", [pa.int64(), pa.int8(), pa.float64()])
def test_classes_have_the_names_in_the_metadata_and_minus_one_is_missing(checked, kind):
    columns = {"text": texts(4), "label": pa.array([1, 0, -1, None], kind)}
    assert labels_of(checked(columns, NAMES)) == ["spam", "ham", None, None]
    assert labels_of(checked(columns)) == ["1", "0", "-1", None]


def test_a_class_without_a_name_stops_by_its_row(fault_of):
    assert fault_of({"text": texts(2), "label": [0, 2]}, NAMES) == ("data.unknown_class", 1)
    assert fault_of({"text": texts(2), "label": [0, 0.5]}, NAMES) == ("data.unknown_class", 1)


@pytest.mark.parametrize(
    "items",
    [
        {"feature": class_label("ham", "spam"), "_type": "Sequence"},
        {"feature": class_label("ham", "spam"), "_type": "List"},
        [class_label("ham", "spam")],
    ],
)
def test_classes_have_names_in_lists_and_in_objects_too(checked, rows_of, items):
    columns = {"text": texts(3), "label": [[1, 0], [0], []]}
    assert labels_of(checked(columns, {"label": items}, label_separator="|")) == ["ham|spam", "ham", None]
    assert rows_of({"a": [{"b": [1]}]}, {"a": {"b": items}}) == [{"a": {"b": ["spam"]}}]
    inside = {"feature": {"b": class_label("ham", "spam")}, "_type": "Sequence"}
    assert rows_of({"a": [{"b": [1]}]}, {"a": inside}) == [{"a": {"b": ["spam"]}}]


@pytest.mark.parametrize(
    "metadata",
    [b"{", b"[]", b"{}", b'{"info": 1}', b'{"info": {"features": []}}', b'{"info": {"features": null}}'],
)
def test_metadata_of_another_kind_says_nothing(metadata):
    from tutelage.data.sources.arrow_values import row_reader

    table = pa.table({"label": [1]}).replace_schema_metadata({"huggingface": metadata})
    assert row_reader(table.schema)(table) == [{"label": 1}]


def test_rows_of_the_hub_are_read_like_those_of_parquet(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    columns = {
        "text": texts(4),
        "label": pa.array([1, 0, 1, 0]),
        "score": pa.array([NAN, 0.5, INFINITY, None], pa.float32()),
        "day": pa.array([datetime.date(2024, 2, 29)] * 4),
        "picture": pa.array([b"a"] * 4),
    }
    features = {
        **NAMES,
        "score": {"dtype": "float32", "_type": "Value"},
        "day": {"dtype": "date32", "_type": "Value"},
        "picture": {"dtype": "binary", "_type": "Value"},
    }
    parquet.write_table(table_of(columns, features), folder / "train.parquet")
    source = read_source(f"hf:{folder}", cache=tmp_path)
    assert [record.value["label"] for record in source.records] == ["spam", "ham", "spam", "ham"]
    assert [record.value["score"] for record in source.records] == [None, 0.5, INFINITY, None]
    assert source.records[0].value["day"] == "2024-02-29"
    assert [record.row for record in source.records] == [0, 1, 2, 3]
    again = read_source(f"hf:{folder}", cache=tmp_path)
    assert source.sha256 == again.sha256


def test_a_file_without_columns_has_rows_without_fields():
    from tutelage.data.sources.arrow_values import row_reader

    packed = BytesIO()
    parquet.write_table(pa.table({"a": [1, 2]}).select([]), packed)
    table = parquet.read_table(packed)
    assert row_reader(table.schema)(table) == [{} for _ in range(table.num_rows)]
