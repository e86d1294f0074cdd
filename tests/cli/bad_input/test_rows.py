"""Rows that cannot be used, and those that can be mended."""

import json

import pytest
from support.command_line import CommandLine
from support.rows import alpaca_values

GOOD = {"instruction": "Name a fruit.", "input": "", "output": "A pear."}


@pytest.fixture
def prepared(capsys, place, model):
    """Prepare a file of the given content, which must go well; return what was printed and the ledger."""

    def outcome_of(content):
        (place / "rows.json").write_bytes(content if isinstance(content, bytes) else content.encode())
        outcome = CommandLine(capsys)(
            "prepare", "--data", "rows.json", "--output", "out", "--set", f"model.name_or_path={model}"
        )
        assert (outcome.code, outcome.err) == (0, "")
        ledger = (place / "out" / "data" / "ledger.jsonl").read_text(encoding="utf-8")
        return outcome.out, [json.loads(line) for line in ledger.splitlines()]

    return outcome_of


def lines_of(values):
    return "".join(json.dumps(value) + "\n" for value in values)


@pytest.mark.parametrize("verb", ["prepare", "run"])
def test_a_missing_file_is_told_with_the_nearest_name(refused, place, verb):
    (place / "my-rows.json").write_text("[]")
    assert refused(verb, "--data", "my-row.json") == "my-row.json does not exist. Did you mean my-rows.json?"


def test_a_folder_without_data_files_is_told(refused, place):
    (place / "data").mkdir()
    (place / "data" / "notes.txt").write_text("")
    assert refused("run", "--data", "data", "--output", "out") == (
        "data holds no data file. Add one that ends in .json, .jsonl, .ndjson, .csv, .tsv, .parquet, each"
        " also with .gz."
    )


@pytest.mark.parametrize("verb", ["prepare", "run"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            '[\n {"instruction": "a", "output": "b"},\n]',
            [
                "rows.json:2:37: malformed JSON: there is a comma before the closing bracket",
                "1 complete row comes before it.",
            ],
        ),
        (
            json.dumps(alpaca_values(9))[:-40],
            ["rows.json:1:", "malformed JSON", "8 complete rows come before it.", "Fix the file there."],
        ),
        ('[{"instruction": NaN}]', ["rows.json:1:2: malformed JSON: NaN is not valid JSON"]),
        (
            '[{"output": "a", "output": "b"}]',
            ["rows.json:1:2: malformed JSON: the key 'output' appears twice in one object"],
        ),
        ('[{"a": ' + "[" * 99_999, ["rows.json:1:71: malformed JSON", "64 levels"]),
        ("", ["rows.json is empty. Give a file with at least one row"]),
        ("[]", ["rows.json holds no rows. Give a file with at least one row"]),
        ("<!DOCTYPE html><title>404</title>", ["rows.json holds HTML or XML, not JSON. Was an error page saved"]),
        ("a,b\n1,2\n", ["rows.json is neither JSON nor JSON lines: it begins with 'a,b"]),
        (
            lines_of([GOOD, {"instruction": "a", "ouput": "b"}]),
            ["rows.json: row 1 (line 2) without 'output'", "Rename 'ouput' to 'output'."],
        ),
        (
            lines_of([GOOD, {**GOOD, "output": 42}]),
            ["row 1 (line 2) with 'output' that is not text; the first has a number", "quotation marks"],
        ),
        (lines_of([GOOD, ["a"]]), ["row 1 (line 2) should be an object", "but the first is a list"]),
        ('[{"instruction": "caf\xe9"}]'.encode("latin-1"), ["rows.json:1: byte 21 (0xe9) is not valid UTF-8"]),
        (lines_of([GOOD]), ["rows.json: with 1 usable row the", "split would be empty. Add rows"]),
        (
            lines_of([{**GOOD, "output": None}, {**GOOD, "instruction": " "}]),
            ["none of the 2 rows is usable:", "(data.empty, 2 rows)"],
        ),
        (
            lines_of([*alpaca_values(40), {**GOOD, "output": "very long " * 200}]),
            ["Row 40 (", "longer than the model's context of 128 tokens", "--set data.overlong=drop"],
        ),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_used_are_told(refused_file, verb, content, told):
    message = refused_file(content, verb=verb)
    assert [part for part in told if part not in message] == [], message


def test_a_test_split_that_would_be_empty_is_told_with_the_ways_out(refused_file):
    assert refused_file(lines_of(alpaca_values(9)), "--split", "position") == (
        "rows.json: with 9 usable rows the test split would be empty. Add rows, or raise data.test_size;"
        " data.test_size=0 trains without an evaluation."
    )


def test_a_byte_order_mark_utf_16_and_crlf_are_read_and_said(prepared, place):
    values = alpaca_values(60)
    for content, note in [
        (b"\xef\xbb\xbf" + lines_of(values).encode(), "Note[data.byte_order_mark]"),
        (lines_of(values).encode("utf-16"), "Note[data.utf_16]"),
        (lines_of(values).replace("\n", "\r\n").encode(), "60 kept, 0 repaired, 0 dropped"),
    ]:
        out, ledger = prepared(content)
        assert note in out
        assert {line["outcome"] for line in ledger} == {"kept"}
        for path in (place / "out").rglob("*.*"):
            path.unlink()
        (place / "out" / "data").rmdir()


def test_odd_rows_are_repaired_or_dropped_and_said(prepared, place):
    odd = [
        {**GOOD, "output": "half \ud800"},
        {**GOOD, "output": "one\r\ntwo"},
        {**GOOD, "output": "nul\x00"},
        {**GOOD, "input": None, "output": "null input"},
        {**GOOD, "output": None},
        {**GOOD, "output": ""},
        {**GOOD, "output": "extra", "id": 7, "\ud800": 1},
    ]
    out, ledger = prepared(lines_of([*odd, *alpaca_values(60)]))
    assert [line["outcome"] for line in ledger[:7]] == [
        "repaired", "repaired", "repaired", "kept", "dropped", "dropped", "kept"
    ]  # fmt: skip
    assert "67 rows from rows.json: 62 kept, 3 repaired, 2 dropped." in out
    assert "Note[data.field_not_used]: The field 'id' (1 rows)" in out
    assert all(len(line["reasons"]) == (line["outcome"] != "kept") for line in ledger)
