"""Tool calls: one form of each call, whatever the format, and nothing in it that the user did not write."""

import datetime
import io
import json
import math

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from support.coded import codes_of
from support.rows import make_records, parquet_of

from tutelage.config.recipe import DataSettings
from tutelage.data.dataset.ledger import Ledger
from tutelage.data.formats.formats import read_conversations
from tutelage.data.lint.report import lint_rows
from tutelage.data.quality.checks import check_rows
from tutelage.data.rows.records import SourceReader
from tutelage.data.sources.convert_rows import convert_rows
from tutelage.data.sources.tables import read_parquet_rows
from tutelage.data.sources.writing import file_of_rows, with_row_numbers
from tutelage.errors import DataError

ROME = {"name": "get_weather", "arguments": {"city": "Rome", "days": 2}}
OSLO = {"name": "get_weather", "arguments": {"city": "Oslo"}}
MONEY = {"name": "convert_money", "arguments": {"amount": 5, "to": "EUR"}}
ASKED = {"role": "user", "content": "How warm is it?"}
ANSWERED = {"role": "assistant", "content": "Warm."}


def encoded(value, times=1):
    for _ in range(times):
        value = json.dumps(value)
    return value


def in_messages(**answer):
    return {"messages": [ASKED, {"role": "assistant", "content": None, **answer}]}


def in_sharegpt(value, role="function_call"):
    return {"conversations": [{"from": "human", "value": "How warm is it?"}, {"from": role, "value": value}]}


def as_openai(call, arguments):
    return in_messages(
        tool_calls=[{"type": "function", "function": {"name": call["name"], "arguments": arguments}}]
    )


def read(records, **chosen):
    return read_conversations(records, source="rows", settings=DataSettings(**chosen)).rows


def calls(row):
    return [json.loads(call) for turn in row.messages for call in turn.calls]


def calls_of(value):
    (row,) = read(make_records([value]))
    return calls(row)


def fault(value):
    with pytest.raises(DataError) as found:
        read(make_records([{"messages": [ASKED, ANSWERED]}, value]))
    return found.value.code, found.value.row


FORMS = [
    as_openai(ROME, ROME["arguments"]),
    as_openai(ROME, encoded(ROME["arguments"])),
    as_openai(ROME, encoded(ROME["arguments"], 2)),
    as_openai(ROME, f"\n {encoded(ROME['arguments'])}"),
    in_messages(tool_calls=[ROME]),
    in_messages(tool_calls=ROME),
    in_messages(tool_calls=encoded([ROME])),
    in_messages(tool_calls=encoded([{"function": {**ROME, "arguments": encoded(ROME["arguments"])}}])),
    in_messages(tool_calls=[encoded(ROME)]),
    in_messages(tool_calls=[{"function": "get_weather", "arguments": ROME["arguments"]}]),
    in_messages(tool_calls=[{"name": "get_weather", "parameters": ROME["arguments"]}]),
    in_messages(tool_calls=[{"type": "tool_use", "name": "get_weather", "input": ROME["arguments"]}]),
    in_messages(function_call=ROME),
    in_messages(function_call={**ROME, "arguments": encoded(ROME["arguments"])}),
    in_messages(function_call=encoded(ROME)),
    in_messages(tool_calls=[ROME], function_call=ROME),
    in_messages(tool_calls=[], function_call=ROME),
    in_sharegpt(encoded(ROME)),
    in_sharegpt(encoded(ROME, 2)),
    in_sharegpt(encoded({**ROME, "arguments": encoded(ROME["arguments"])})),
    in_sharegpt(encoded([ROME])),
    in_sharegpt(ROME),
    in_sharegpt([ROME]),
    in_sharegpt(encoded(ROME), role="tool_call"),
    {"messages": encoded(as_openai(ROME, encoded(ROME["arguments"]))["messages"])},
    {"prompt": [ASKED], "completion": as_openai(ROME, encoded(ROME["arguments"], 2))["messages"][1:]},
    {
        "prompt": "How warm is it?",
        "chosen": in_messages(tool_calls=[ROME])["messages"][1:],
        "rejected": "No.",
    },
]


@pytest.mark.parametrize("value", FORMS)
def test_one_call_has_one_form_whatever_the_format(value):
    assert calls_of(value) == [ROME]


@pytest.mark.parametrize("name", ["chosen", "rejected"])
def test_both_answers_of_a_preference_row_go_through_the_same_reader(name):
    call = as_openai(ROME, encoded(ROME["arguments"], 2))["messages"][1:]
    (row,) = read(make_records([{"prompt": "a", "chosen": "b", "rejected": "c", name: call}]))
    said = row.response if name == "chosen" else row.rejected
    assert said == f"<tool_call>\n{encoded(ROME)}\n</tool_call>"


@pytest.mark.parametrize(
    "value",
    [
        in_messages(tool_calls=[ROME, OSLO]),
        in_messages(tool_calls=[ROME], function_call=OSLO),
        in_sharegpt(encoded([ROME, OSLO])),
        in_sharegpt([{**ROME, "arguments": encoded(ROME["arguments"])}, OSLO]),
        in_sharegpt(encoded([encoded(ROME), encoded(OSLO)])),
    ],
)
def test_two_calls_in_one_message_are_two_calls(value):
    assert calls_of(value) == [ROME, OSLO]


NOTHING = ["", " \n", None, "null", '""', "{}", "{ }", {}, encoded("", 2), encoded("{}", 2)]


@pytest.mark.parametrize("arguments", NOTHING)
def test_a_call_without_arguments_has_an_empty_object(arguments):
    land = {"name": "land", "arguments": {}}
    assert calls_of(as_openai(land, arguments)) == [land]
    assert calls_of(in_sharegpt(encoded({"name": "land", "arguments": arguments}))) == [land]
    assert calls_of(in_messages(tool_calls=[{"function": {"name": "land"}}])) == [land]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (as_openai(ROME, "{'city': 'Rome'}"), "data.tool_call_malformed_json"),
        (as_openai(ROME, '{"city": NaN}'), "data.tool_call_malformed_json"),
        (as_openai(ROME, '{"city": 1, "city": 2}'), "data.tool_call_malformed_json"),
        (as_openai(ROME, "[" * 5000), "data.tool_call_malformed_json"),
        (as_openai(ROME, ["Rome"]), "data.tool_arguments_not_object"),
        (as_openai(ROME, []), "data.tool_arguments_not_object"),
        (as_openai(ROME, "5"), "data.tool_arguments_not_object"),
        (as_openai(ROME, False), "data.tool_arguments_not_object"),
        (in_sharegpt("I call the weather."), "data.tool_call_malformed_json"),
        (in_sharegpt('{"arguments": {}}'), "data.tool_call_without_name"),
        (in_sharegpt("[3]"), "data.tool_call_without_name"),
        (in_messages(tool_calls=[None]), "data.tool_call_without_name"),
        (in_messages(tool_calls=[{"name": " ", "arguments": {}}]), "data.tool_call_without_name"),
        (in_messages(function_call="get_weather"), "data.tool_call_malformed_json"),
    ],
)
def test_what_is_no_call_stops_by_row_and_is_never_trained_as_text(value, code):
    assert fault(value) == (code, 1)


@pytest.mark.parametrize(
    "given",
    [{"city": None}, {"city": "Rome", "at": {"hour": None}}, {"days": [{"day": 1, "rain": None}, None]}],
)
def test_a_null_argument_of_json_stays(given):
    for arguments in (given, encoded(given), encoded(given, 2)):
        (row,) = check_rows(read(make_records([as_openai(ROME, arguments)])))
        assert calls(row.row)[0]["arguments"] == given
        assert row.outcome == "kept"


# Rows from Arrow


def from_parquet(rows):
    """Read rows back from Parquet, whose structs have the keys of all rows."""
    return list(read_parquet_rows(io.BytesIO(parquet_of(rows)), "rows.parquet", max_bytes=2**30))


def dropped_names(row):
    return [reason.text.split(": ")[-1].split(", ") for reason in row.reasons]


def checked(records):
    return check_rows(read(records))


def test_arguments_that_arrow_added_are_left_out_and_named():
    records = from_parquet([in_messages(tool_calls=[{"function": one}]) for one in (ROME, MONEY)])
    assert set(records[0].value["messages"][1]["tool_calls"][0]["function"]["arguments"]) > {"amount", "to"}
    rows = checked(records)
    assert [calls(row.row) for row in rows] == [[ROME], [MONEY]]
    assert [row.outcome for row in rows] == ["repaired", "repaired"]
    assert [codes_of(row.reasons) for row in rows] == [["data.null_arguments_dropped"]] * 2
    assert [dropped_names(row) for row in rows] == [[["amount", "to"]], [["city", "days"]]]
    # The same values as JSON are what the user wrote.
    kept = read(make_records([record.value for record in records]))
    assert calls(kept[0])[0]["arguments"] == {**ROME["arguments"], "amount": None, "to": None}


def test_nulls_in_structs_and_in_structs_of_lists_are_arrows_too():
    given = [
        {"where": {"city": "Rome"}, "days": [{"day": 1}, {"day": 2, "rain": True}], "tags": ["a", None]},
        {"where": {"zip": "0010"}, "unit": {}, "days": []},
        {"unit": {"name": "C"}, "where": {"city": "Oslo", "zip": "0150"}},
    ]
    rows = checked(from_parquet([in_messages(tool_calls=[{"name": "f", "arguments": one}]) for one in given]))
    assert [calls(row.row)[0]["arguments"] for row in rows] == given
    assert [{name for names in dropped_names(row) for name in names} for row in rows] == [
        {"where.zip", "days[].rain", "unit"},
        {"where.city", "unit.name", "tags"},
        {"days", "tags"},
    ]


def test_a_null_in_a_text_of_json_stays_in_parquet_too():
    given = {"city": "Rome", "at": None}
    values = [
        as_openai(ROME, encoded(given)),
        as_openai(ROME, encoded(given, 2)),
        in_sharegpt(encoded({**ROME, "arguments": given})),
        in_messages(function_call=encoded({**ROME, "arguments": given})),
        {"messages": encoded(as_openai(ROME, given)["messages"])},
    ]
    for value in values:
        (row,) = checked(from_parquet([value]))
        assert (calls(row.row)[0]["arguments"], row.outcome) == (given, "kept")


def test_whole_fields_that_arrow_added_are_absent():
    values = [
        {"messages": [ASKED, ANSWERED]},
        in_messages(tool_calls=[{"function": ROME}]),
        in_messages(function_call=ROME),
        in_messages(tool_calls=[{"name": "get_weather", "arguments": {"city": "Oslo"}}]),
    ]
    rows = checked(from_parquet(values))
    assert [calls(row.row) for row in rows] == [[], [ROME], [ROME], [OSLO]]
    assert rows[0].row.response == "Warm."
    assert rows[0].outcome == "kept"


def test_a_struct_of_nothing_but_nulls_is_absent_in_arrow():
    """Some writers (polars) keep a struct of nulls where a row has none."""
    value = in_messages(function_call={"name": None, "arguments": {"city": None}}, content="Warm.")
    records = from_parquet([in_messages(function_call=ROME), value])
    assert [calls(row.row) for row in checked(records)] == [[ROME], []]
    assert fault(value) == ("data.tool_call_without_name", 1)


def table_of(arguments, kind):
    call = pyarrow.struct([("name", pyarrow.string()), ("arguments", kind)])
    message = pyarrow.struct(
        [("role", pyarrow.string()), ("content", pyarrow.string()), ("tool_calls", pyarrow.list_(call))]
    )
    rows = [in_messages(tool_calls=[{"name": "f", "arguments": one}])["messages"] for one in arguments]
    packed = io.BytesIO()
    parquet.write_table(pyarrow.table({"messages": pyarrow.array(rows, pyarrow.list_(message))}), packed)
    return list(read_parquet_rows(packed, "rows.parquet", max_bytes=2**30))


def test_a_map_of_arrow_is_an_object_and_its_nulls_are_dropped_as_well():
    kind = pyarrow.map_(pyarrow.string(), pyarrow.string())
    rows = checked(table_of([[("city", "Rome"), ("at", None)], [], None], kind))
    assert [calls(row.row)[0]["arguments"] for row in rows] == [{"city": "Rome"}, {}, {}]
    assert dropped_names(rows[0]) == [["at"]]


def test_a_missing_number_of_pandas_is_a_null_and_an_infinity_stops():
    kind = pyarrow.struct([("amount", pyarrow.float64()), ("to", pyarrow.string())])
    (row,) = checked(table_of([{"amount": math.nan, "to": "EUR"}], kind))
    assert calls(row.row)[0]["arguments"] == {"to": "EUR"}
    assert dropped_names(row) == [["amount"]]
    with pytest.raises(DataError) as found:
        read(table_of([{"amount": 1.5}, {"amount": math.inf}], kind))
    assert (found.value.code, found.value.row) == ("data.infinite_number", 1)


def test_a_date_in_arguments_is_its_text():
    kind = pyarrow.struct([("day", pyarrow.date32())])
    rows = checked(table_of([None, {"day": datetime.date(2024, 2, 29)}], kind))
    assert [calls(row.row)[0]["arguments"] for row in rows] == [{}, {"day": "2024-02-29"}]


def test_the_finding_of_check_names_the_row_and_the_outcomes_sum_up():
    records = from_parquet([in_messages(tool_calls=[one]) for one in (ROME, MONEY)])
    source = SourceReader("rows.parquet", "0", lambda: iter(records), [], "Parquet")
    found = lint_rows(source, DataSettings(), None)
    assert [one.row for one in found.findings if one.code == "data.null_arguments_dropped"] == [0, 1]
    assert found.outcomes == {"kept": 0, "repaired": 2, "dropped": 0}


def test_the_ledger_of_prepare_names_the_arguments(tmp_path):
    records = from_parquet([in_messages(tool_calls=[one]) for one in (ROME, MONEY)])
    ledger = Ledger()
    for one in checked(records):
        ledger.note(one)
    lines = [json.loads(line) for line in ledger.lines(np.arange(2), np.zeros(2, dtype=np.uint8))]
    assert [(line["outcome"], [reason["code"] for reason in line["reasons"]]) for line in lines] == [
        ("repaired", ["data.null_arguments_dropped"])
    ] * 2
    assert [line["reasons"][0]["message"].endswith(": amount, to") for line in lines] == [True, False]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet", "rows.csv"])
def test_rows_from_arrow_are_written_without_the_nulls_that_it_added(tmp_path, name):
    records = from_parquet([in_messages(tool_calls=[{"function": one}]) for one in (ROME, MONEY)])
    written = with_row_numbers(records)
    path = tmp_path / name
    path.write_bytes(file_of_rows(path, written))
    given = [row["messages"][1]["tool_calls"][0]["function"]["arguments"] for row in written]
    assert given == [ROME["arguments"], MONEY["arguments"]]


def test_rows_from_arrow_are_converted_without_the_nulls_that_it_added():
    records = from_parquet([in_messages(tool_calls=[{"function": one}]) for one in (ROME, MONEY)])
    converted = convert_rows(records, read(records), "sharegpt")
    again = read(make_records(converted.values))
    assert [calls(row) for row in again] == [[ROME], [MONEY]]


@pytest.mark.parametrize(
    "call",
    [
        {"name": "f", "arguments": "", "parameters": {"a": 1}},
        {"name": "f", "arguments": {}, "input": {"a": 1}},
        {"name": "f", "arguments": "{}", "args": '{"a": 1}'},
        {"name": "f", "arguments": [], "args": '{"a": 1}'},
        {"name": "f", "arguments": {"a": 1}, "parameters": '{"a": 1}'},
        {"function": {"name": "f"}, "arguments": {"a": 1}},
        {"function": {"name": "f", "arguments": ""}, "input": {"a": 1}},
        {"function": "f", "arguments": None, "parameters": {"a": 1}},
    ],
)
def test_arguments_are_found_under_each_of_their_names(call):
    for value in (
        in_messages(tool_calls=[call]),
        in_sharegpt(encoded(call)),
        in_messages(function_call=call),
    ):
        assert calls_of(value) == [{"name": "f", "arguments": {"a": 1}}]


@pytest.mark.parametrize(
    "call",
    [
        {"name": "f", "arguments": {"a": 1}, "parameters": {"a": 2}},
        {"name": "f", "arguments": {"a": 1}, "input": {"a": True}},
        {"function": {"name": "f", "arguments": '{"a": 1}'}, "arguments": {"b": 1}},
    ],
)
def test_two_different_objects_of_arguments_stop(call):
    assert fault(in_messages(tool_calls=[call])) == ("data.tool_arguments_disagree", 1)
    assert fault(in_sharegpt(encoded(call))) == ("data.tool_arguments_disagree", 1)


def test_arguments_under_two_names_are_read_from_arrow_as_they_are_from_json():
    values = [
        in_messages(tool_calls=[call])
        for call in (
            {"name": "f", "arguments": {"a": 1}},
            {"name": "f", "input": {"b": 1}},
            {"name": "f", "arguments": {"a": None}, "input": {"b": 2}},
        )
    ]
    rows = read(from_parquet(values))
    assert [calls(row)[0]["arguments"] for row in rows] == [{"a": 1}, {"b": 1}, {"b": 2}]
