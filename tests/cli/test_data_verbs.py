"""`tutelage data …`, as it is given in a shell: files in, files out, and what is said of both."""

import json

import pytest
from support.command_line import CommandLine, contents
from support.rows import alpaca_values, write_rows

from tutelage.config.recipe import DataSettings
from tutelage.data.formats.formats import read_conversations
from tutelage.data.sources.files import look_at_file
from tutelage.text import patterns

HARD = [
    {"instruction": "说一种水果。", "input": '红色，"圆"的', "output": "苹果 🍎"},
    {"instruction": "日本語で答えて。", "input": "", "output": "はい。"},
    {"instruction": "قل مرحبا", "input": "", "output": "مرحبا"},
    {"instruction": "Write code.", "input": "", "output": "def f(x):\n\treturn {'a': x}\n"},
]


@pytest.fixture
def data(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    write_rows(tmp_path / "rows.json", [*alpaca_values(12), *HARD])
    return lambda *words: CommandLine(capsys)("data", *words)


def rows_of(path):
    records = list(look_at_file(path, DataSettings()).records())
    return read_conversations(records, source=path.name).rows, [
        int(record.value["source_row"]) for record in records
    ]


def test_rows_go_through_every_verb_and_keep_their_numbers(data, tmp_path):
    assert data("convert", "rows.json", "a.csv", "--to", "messages").code == 0
    assert data("filter", "a.csv", "b.parquet", "--without-language", "ja").code == 0
    assert data("sample", "b.parquet", "c.jsonl.gz", "--rows", 14).code == 0
    assert data("split", "c.jsonl.gz", "d.tsv", "--train-size", 0.6, "--test-size", 0.3).code == 0
    found = {}
    for path in sorted(tmp_path.glob("d.*.tsv")):
        found |= dict(zip(*reversed(rows_of(path)), strict=True))
    values = [*alpaca_values(12), *HARD]
    assert len(found) == 14
    assert 13 not in found  # the row in Japanese
    for number, row in found.items():
        given = values[number].get("input")
        assert row.messages[0].text == values[number]["instruction"] + (f"\n\n{given}" if given else "")
        assert row.response == values[number]["output"]


def test_only_the_wanted_answers_of_kto_rows_become_ordinary_rows(data, tmp_path):
    values = [{"prompt": f"Question {row}?", "completion": "b", "label": row % 2 == 0} for row in range(6)]
    write_rows(tmp_path / "kto.json", values)
    refused = data("convert", "kto.json", "all.jsonl", "--to", "messages")
    assert (refused.code, "data.kto_rows" in refused.err) == (2, True)
    outcome = data("filter", "kto.json", "wanted.jsonl", "--desirable", "--ledger", "ledger.jsonl")
    assert outcome.code == 0
    assert rows_of(tmp_path / "wanted.jsonl")[1] == [0, 2, 4]
    entries = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert {reason["code"] for entry in entries for reason in entry["reasons"]} == {"filter.undesirable"}
    assert data("convert", "wanted.jsonl", "talks.jsonl", "--to", "messages").code == 0
    assert data("split", "kto.json", "parts.csv", "--train-size", 0.5, "--test-size", 0.5).code == 0


def test_the_checks_of_both_answers_are_made_for_the_objective_that_trains_on_both(data, tmp_path):
    pairs = [{"prompt": f"Say {row}.", "chosen": "b", "rejected": "bc"[row % 2]} for row in range(4)]
    parted = {"prompt": "Say e.", "chosen": "b", "rejected": [{"role": "user", "content": "f"}] * 2}
    write_rows(tmp_path / "pairs.json", [*pairs, parted])
    words = ("filter", "pairs.json", "--without-rule", 6, "--without-rule", 10)
    assert data(*words, "one.jsonl").code == 0
    assert data(*words, "both.jsonl", "--set", "training.objective=dpo").code == 0
    assert [rows_of(tmp_path / name)[1] for name in ("one.jsonl", "both.jsonl")] == [[0, 1, 2, 3], [1, 3]]


def test_what_is_left_out_is_counted_and_listed(data, tmp_path):
    outcome = data("filter", "rows.json", "b.jsonl", "--without-language", "zh", "--without-language", "ar",
                   "--ledger", "ledger.jsonl")  # fmt: skip
    assert "16 rows read from rows.json (JSON): 16 alpaca." in outcome.out
    assert "14 rows written to b.jsonl" in outcome.out
    assert "2 rows left out:" in outcome.out
    assert [line.split()[-1] for line in outcome.out.splitlines() if "language" in line] == ["12", "14"]
    entries = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert entries == [
        {"row": 12, "outcome": "dropped", "reasons": [{"code": "filter.language", "message": "language zh"}]},
        {"row": 14, "outcome": "dropped", "reasons": [{"code": "filter.language", "message": "language ar"}]},
    ]


@pytest.fixture
def run(data, capsys, tmp_path, model):
    """Prepare rows of which 3 is repaired, 5 repeats 4, and 6 and 7 are empty."""
    values = alpaca_values(40)
    values[3] = values[3] | {"output": "a\r\nb"}
    values[5] = values[4]
    values[6] = values[6] | {"output": ""}
    values[7] = values[7] | {"instruction": ""}
    write_rows(tmp_path / "faulty.json", values)
    words = ("prepare", "--data", "faulty.json", "--output", "run", "--set", f"model.name_or_path={model}")
    assert CommandLine(capsys)(*words).code == 0
    return tmp_path / "run"


def test_rows_are_filtered_by_what_became_of_them_in_a_run(data, tmp_path, run):
    def kept(*words):
        outcome = data("filter", "faulty.json", "out.jsonl", "--overwrite", "--run", run, *words)
        assert outcome.code == 0, outcome.err
        lines = (tmp_path / "out.jsonl").read_text().splitlines()
        return [json.loads(line)["source_row"] for line in lines], outcome.out

    assert kept("--outcome", "dropped")[0] == [5, 6, 7]
    assert kept("--outcome", "dropped", "--outcome", "repaired")[0] == [3, 5, 6, 7]
    assert kept("--outcome", "kept")[0] == [row for row in range(40) if row not in (3, 5, 6, 7)]
    assert kept("--reason", "is empty")[0] == [6, 7]
    assert kept("--reason", "output is empty", "--reason", "duplicate of row")[0] == [5, 6]
    assert kept("--outcome", "dropped", "--reason", "is empty", "--min-answer-characters", "1")[0] == [7]
    told = kept("--outcome", "dropped", "--reason", "is empty")[1]
    assert f"36 kept in {run}" in " ".join(told.replace("  ", " ").split())
    assert f"no such reason in {run}" in told


def test_a_ledger_is_not_read_for_other_rows_than_its_own(data, tmp_path, run):
    before = contents(tmp_path)
    for words, said in (
        (["rows.json", "--run", run, "--outcome", "kept"], "was prepared from faulty.json (SHA-256"),
        (["faulty.json", "--run", "nothing", "--outcome", "kept"], "Run `tutelage prepare nothing` first."),
        (["faulty.json", "--run", run], "Give it together with one of them"),
        (["faulty.json", "--outcome", "kept"], "Give it together with one of them"),
        (["faulty.json", "--run", run, "--outcome", "lost"], "lost"),
    ):
        outcome = data("filter", words[0], "out.jsonl", *words[1:])
        assert (outcome.code, said in outcome.err) == (2, True), outcome.err
    assert contents(tmp_path) == before
    with (run / "data" / "ledger.jsonl").open("a") as ledger:
        ledger.write("cut")
    outcome = data("filter", "faulty.json", "out.jsonl", "--run", run, "--outcome", "kept")
    assert (outcome.code, f"Could not read {run / 'data' / 'ledger.jsonl'}" in outcome.err) == (2, True)


def test_lengths_are_counted_with_the_tokenizer_of_the_model(data, tmp_path, model):
    words = ["--set", f"model.name_or_path={model}", "--set", "data.prompt_template=chat"]
    told = json.loads(data("stats", "rows.json", "--json", *words).out)
    middle = told["lengths"]["whole, tokens"]["half up to"]
    data("filter", "rows.json", "short.jsonl", "--max-tokens", middle, *words)
    again = json.loads(data("stats", "short.jsonl", "--json", *words).out)
    assert again["lengths"]["whole, tokens"]["longest"] == middle
    assert 8 <= again["rows"] < 16


def test_a_part_is_named_after_the_file_and_equal_prompts_stay_together(data, tmp_path):
    write_rows(tmp_path / "twins.json", [value for value in alpaca_values(20) for _ in range(2)])
    outcome = data("split", "twins.json", "parts/rows.csv.gz", "--train-size", 0.5, "--test-size", 0.25)
    assert outcome.code == 0
    parts = {
        name: rows_of(tmp_path / "parts" / f"rows.{name}.csv.gz")[1]
        for name in ("train", "test", "validation")
    }
    assert sorted(row for rows in parts.values() for row in rows) == list(range(40))
    for rows in parts.values():
        assert {row // 2 * 2 for row in rows} | {row // 2 * 2 + 1 for row in rows} == set(rows)
    by_position = data("split", "twins.json", "p.jsonl", "--split", "position", "--train-size", "0.525")
    assert rows_of(tmp_path / "p.train.jsonl")[1] == list(range(21))
    assert "Warning[data.leak]: 1 test rows" in by_position.out


def test_an_empty_part_is_told_and_not_written(data, tmp_path):
    outcome = data("split", "rows.json", "p.json", "--train-size", 1, "--test-size", 0)
    assert "No row is in test, so p.test.json is not written." in outcome.out
    assert [path.name for path in tmp_path.glob("p.*")] == ["p.train.json"]


def test_a_dry_run_says_the_same_and_writes_nothing(data, tmp_path):
    before = contents(tmp_path)
    for words in (
        ["convert", "rows.json", "x/a.csv", "--to", "sharegpt"],
        ["filter", "rows.json", "a.csv", "--matching", "fruit|水果", "--ledger", "l.jsonl"],
        ["split", "rows.json", "a.csv"],
        ["sample", "rows.json", "a.csv", "--rows", "3"],
    ):
        outcome = data(*words, "--dry-run")
        assert outcome.code == 0
        assert "would be written to" in outcome.out
        assert outcome.out.endswith("Dry run: nothing was written.\n")
    assert contents(tmp_path) == before
    write_rows(tmp_path / "pair.json", [{"prompt": "a", "chosen": "b", "rejected": "c"}])
    assert data("convert", "pair.json", "a.csv", "--to", "alpaca", "--dry-run").code == 2


def test_no_file_is_lost_without_overwrite(data, tmp_path):
    (tmp_path / "out.jsonl").write_text("mine")
    (tmp_path / "out.train.jsonl").write_text("mine")
    (tmp_path / "l.jsonl").write_text("mine")
    for words in (
        ["convert", "rows.json", "out.jsonl"],
        ["split", "rows.json", "out.jsonl"],
        ["filter", "rows.json", "new.jsonl", "--language", "en", "--ledger", "l.jsonl"],
    ):
        outcome = data(*words)
        assert (outcome.code, outcome.out) == (2, "")
        assert "already exists. Choose another name, or add --overwrite." in outcome.err
    assert not (tmp_path / "new.jsonl").exists()
    assert data("convert", "rows.json", "out.jsonl", "--overwrite").code == 0
    assert len(rows_of(tmp_path / "out.jsonl")[0]) == 16
    assert "is a folder" in data("convert", "rows.json", "cache.json", "--ledger", str(tmp_path)).err


@pytest.mark.parametrize("option", ["--matching", "--not-matching"])
def test_a_pattern_that_takes_too_long_stops_and_names_the_row(data, tmp_path, option, monkeypatch):
    monkeypatch.setattr(patterns, "SEARCH_SECONDS", 0.05)
    write_rows(
        tmp_path / "slow.json",
        [{"instruction": "Say a.", "output": "a"}, {"instruction": "Say more.", "output": "a" * 60 + "!"}],
    )
    outcome = data("filter", "slow.json", "a.csv", option, "(a|aa)+$")
    assert outcome.code == 2
    assert "error[filter.regex_timeout]: Row 1: " in outcome.err
    assert "(a|aa)+$" in outcome.err
    assert not (tmp_path / "a.csv").exists()


def test_rows_above_the_limit_go_along_and_rule_14_leaves_them_out(data, tmp_path):
    rows = [
        {"instruction": "Repeat.", "output": "word " * 1_000},
        {"instruction": "Name a hat.", "output": "A cap."},
    ]
    for name in ("large.json", "large.csv", "large.parquet"):
        write_rows(tmp_path / "large.json", rows)
        if name != "large.json":
            assert data("convert", "large.json", name).code == 0
        words = ["--without-rule", "14", "--set", "data.max_row_bytes=2000", "--overwrite"]
        assert data("filter", name, "small.jsonl", *words).code == 0
        assert rows_of(tmp_path / "small.jsonl")[1] == [1]
        assert data("sample", name, "all.jsonl", "--rows", "2", "--overwrite").code == 0
        assert len(rows_of(tmp_path / "all.jsonl")[0]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["filter", "rows.json", "a.csv"], "No filter criterion was given."),
        (["filter", "rows.json", "a.csv", "--without-rule", "12"], "12 is not a rule to filter by. Choose from 6, 7,"),
        (["filter", "rows.json", "a.csv", "--language", "klingon"], "'klingon' is not a language to filter by."),
        (["filter", "rows.json", "a.csv", "--matching", "(a"], "--matching '(a' is not a valid regular expression"),
        (["filter", "rows.json", "a.csv", "--per-cluster", "0"], "--per-cluster is 0, but it must be at least 1."),
        (["filter", "rows.json", "a.csv", "--matching", "zebra"], "No row is left to write to a.csv."),
        (["filter", "rows.json", "a.xls", "--language", "en"], "a.xls does not end in a known file type."),
        (["sample", "rows.json", "a.csv", "--rows", "0"], "--rows is 0, but it must be at least 1."),
        (["sample", "rows.json", "a.csv", "--rows", "17"], "--rows is 17, but rows.json has only 16."),
        (["convert", "rows.json", "a.csv", "--chosen-only"], "Give the format with --to"),
        (["convert", "rows.json", "a.csv", "--to", "preference"], "cannot hold an answer without a rejected"),
        (["convert", "rows.json", "a.csv", "--to", "text"], "rows 0, 1, 2, 3, 4, 5, 6, 7 and 8 more have."),
        (["convert", "nothing.json", "a.csv"], "nothing.json does not exist."),
        (["sample", "rows.json", "a.csv", "--rows", "1", "--set", "training.seed=1"], "does not use training.seed"),
        (["split", "rows.json", "a.csv", "--train-size", "0.9", "--test-size", "0.2"], "sum to more than 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told_in_one_message_and_nothing_is_written(data, tmp_path, words, said):
    before = contents(tmp_path)
    outcome = data(*words)
    assert outcome.code == 2
    assert said in outcome.err
    assert outcome.err.count("error[") == 1
    assert contents(tmp_path) == before


def test_rows_that_fit_not_can_be_left_out_and_are_listed(data, tmp_path):
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    write_rows(tmp_path / "talk.json", [{"messages": turns}, {"messages": turns * 2}])
    assert (
        "more than one question and its answer, which row 1 has"
        in data("convert", "talk.json", "qa.csv", "--to", "question-answer").err
    )
    outcome = data("convert", "talk.json", "qa.csv", "--to", "question-answer", "--drop-unfit")
    assert "1 row written to qa.csv" in outcome.out
    assert "the format question-answer cannot hold more than one question" in outcome.out
    assert rows_of(tmp_path / "qa.csv")[1] == [0]


def test_fields_of_other_names_are_mapped(data, tmp_path):
    write_rows(tmp_path / "other.json", [{"ask": {"text": "a"}, "reply": "b", "id": 7}])
    outcome = data("convert", "other.json", "m.jsonl", "--to", "messages", "--map", "instruction=ask.text",
                   "--map", "output=reply")  # fmt: skip
    assert outcome.code == 0
    (record,) = list(look_at_file(tmp_path / "m.jsonl", DataSettings()).records())
    assert record.value["id"] == 7
    assert [turn["content"] for turn in record.value["messages"]] == ["a", "b"]


def test_stats_count_and_write_nothing(data, tmp_path, model):
    before = contents(tmp_path)
    out = data("stats", "rows.json", "--set", f"model.name_or_path={model}").out
    assert "16 rows read from rows.json" in out
    assert "Messages: 2 16." in out
    assert "whole, tokens" in out
    told = json.loads(data("stats", "rows.json", "--json", "--set", f"model.name_or_path={model}").out)
    assert told["fields"] == {"instruction": 16, "input": 16, "output": 16}
    assert told["lengths"]["answer, characters"]["longest"] == max(
        len(value["output"]) for value in [*alpaca_values(12), *HARD]
    )
    assert contents(tmp_path) == before


def test_no_row_can_drive_the_terminal(data, tmp_path):
    write_rows(tmp_path / "bad.json", [{"instruction": "a\x1b[31m", "output": "b", "\x1b[2J": "c"}] * 2)
    for words in (["convert", "bad.json", "b.jsonl"], ["stats", "bad.json"], ["filter", "bad.json", "c.json",
                  "--not-matching", "\x1b"]):  # fmt: skip
        outcome = data(*words)
        assert "\x1b" not in outcome.out + outcome.err
