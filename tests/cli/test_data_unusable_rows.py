"""`tutelage check` and the verbs of `tutelage data` on rows that `prepare` would drop, or that no format can hold."""

import json

import pyarrow
import pytest
from pyarrow import parquet
from support.command_line import CommandLine
from support.rows import alpaca_values, write_rows
from support.scripted_server import completion, scripted_server

from tutelage.data.quality import near_duplicates


@pytest.fixture
def tutelage(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return CommandLine(capsys)


@pytest.fixture
def on(model):
    return ["--set", f"model.name_or_path={model}"]


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def talk(*turns):
    return {"messages": [{"role": role, "content": text, **more} for role, text, more in turns]}


EMPTY = [{"instruction": "a", "output": ""}, {"instruction": " ", "output": "b"}]
RECIPE_OF_SETS = """
[data]
label_separator = ";"
[training]
objective = "classification"
method = "head"
[adapter]
"""
CLASSIFICATION = ["--set", "training.objective=classification", "--set", "training.method=head"]
UNUSABLE = [
    talk(("user", "q", {}), ("assistant", "a", {"weight": 0})),
    talk(("assistant", "a", {})),
    talk(("user", "q", {})),
    {"messages": []},
]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (EMPTY, ["--set", "data.split=group"]),
        (EMPTY, ["--set", "data.split=position"]),
        ([{"text": "", "label": "x"}, {"text": "a", "label": ""}], CLASSIFICATION),
        (
            [{"text": "", "label": "x"}, {"text": "a", "label": ""}],
            [*CLASSIFICATION, "--set", "data.split=stratified"],
        ),
    ],
)
def test_a_source_of_which_every_row_is_dropped_is_checked(tutelage, tmp_path, on, values, words):
    write_rows(tmp_path / "rows.json", values)
    given = ["check", "rows.json", *on, *words]
    assert tutelage(*given).code == 0
    found = json.loads(tutelage(*given, "--json").out)
    assert (found["rows"], found["dropped"]) == (2, 2)
    assert [one["code"] for one in found["findings"] if one["row"] is None] == ["data.empty_split"]
    assert [one["row"] for one in found["findings"] if one["code"] == "data.empty"] == [0, 1]


def test_tokens_are_counted_of_the_rows_that_have_an_example(tutelage, tmp_path, on):
    write_rows(tmp_path / "rows.json", [*UNUSABLE, *alpaca_values(2), alpaca_values(1)[0]])
    found = json.loads(tutelage("data", "stats", "rows.json", "--json", *on).out)
    assert 0 < found["lengths"]["whole, tokens"]["shortest"] < 1_000
    assert tutelage("data", "filter", "rows.json", "short.jsonl", "--max-tokens", 1_000, *on).code == 0
    assert [row["source_row"] for row in lines_of(tmp_path / "short.jsonl")] == list(range(7))
    assert tutelage("data", "filter", "rows.json", "long.jsonl", "--min-tokens", 2, *on).code == 0
    # A repeat has the tokens of the row that it repeats; a row without an example has none.
    assert [row["source_row"] for row in lines_of(tmp_path / "long.jsonl")] == [4, 5, 6]


def test_a_half_surrogate_is_counted_as_the_sign_that_it_becomes(tutelage, tmp_path, on):
    (tmp_path / "rows.jsonl").write_text('{"instruction": "q \\ud800", "output": "a \\udfff"}\n')
    found = json.loads(tutelage("data", "stats", "rows.jsonl", "--json", *on).out)
    assert found["lengths"]["whole, tokens"]["longest"] > 0
    outcome = tutelage("data", "filter", "rows.jsonl", "short.jsonl", "--max-tokens", 1_000, *on)
    assert outcome.code == 0, outcome.err


def test_no_question_is_put_about_a_row_that_its_format_could_not_hold_again(tutelage, tmp_path):
    def asked(text):
        return {"role": "user", "content": text}

    def answered(text):
        return {"role": "assistant", "content": text}

    values = [
        {"chosen": [asked("q"), answered("a")], "rejected": [asked("other"), answered("b")]},
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a", "weight": 0},
                           {"from": "human", "value": "q"}, {"from": "gpt", "value": "b"}]},
        {"prompt": "q", "completion": [answered("a"), asked("more"), answered("b")]},
        {"instruction": "Spell pear.", "output": "p"},
    ]  # fmt: skip
    write_rows(tmp_path / "rows.json", values)
    reply = completion('{"reflection": "Terse.", "output": "Spelt."}', model="fake")
    with scripted_server(lambda body: reply) as server:
        outcome = tutelage("data", "improve", "rows.json", "new.jsonl", "--model", f"openai:fake@{server.address}",
                           "--ledger", "ledger.jsonl")  # fmt: skip
        assert len(server.requests) == 1
    assert outcome.code == 0, outcome.err
    written = lines_of(tmp_path / "new.jsonl")
    assert written[:3] == [{"source_row": row, **value} for row, value in enumerate(values[:3])]
    assert written[3]["output"] == "Spelt."
    told = [(one["row"], one["reasons"][0]["code"]) for one in lines_of(tmp_path / "ledger.jsonl")]
    assert told == [(row, "synthetic.not_improvable") for row in range(3)]


def test_a_list_of_labels_goes_into_another_format(tutelage, tmp_path):
    write_rows(tmp_path / "rows.json", [{"text": "a", "label": ["y", "x"]}, {"text": "b", "label": "z"}])
    (tmp_path / "labels.toml").write_text(RECIPE_OF_SETS)
    given = ["data", "convert", "rows.json", "new.jsonl", "--to", "messages", "--recipe", "labels.toml"]
    outcome = tutelage(*given)
    assert outcome.code == 0, outcome.err
    answers = [row["messages"][-1]["content"] for row in lines_of(tmp_path / "new.jsonl")]
    assert answers == ["x;y", "z"]


@pytest.mark.parametrize("rows", [1, 3, 4, 9])
def test_the_findings_that_are_not_shown_are_counted(tutelage, tmp_path, on, rows):
    values = [{"instruction": f"q {row}", "output": ""} for row in range(rows)]
    write_rows(tmp_path / "rows.json", [*values, *alpaca_values(30)])
    out = tutelage("check", "rows.json", *on).out
    shown = sum(line.startswith("[data.empty]") for line in out.splitlines())
    assert shown == min(rows, 3)
    assert [line.split()[4] for line in out.splitlines() if line.startswith("[rule 9]")] == [
        str(rows - 3)
    ] * (rows > 3)


def test_findings_about_the_whole_source_are_shown_and_not_counted_again(tutelage, tmp_path, on):
    values = [{**value, **dict.fromkeys("abcde", 1)} for value in alpaca_values(30)]
    write_rows(tmp_path / "rows.json", values)
    out = tutelage("check", "rows.json", *on).out
    assert sum(line.startswith("[data.field_not_used]") for line in out.splitlines()) == 5
    assert "[rule 23]" not in out


def test_a_pair_of_two_prompts_is_no_row_of_another_format_unless_its_rejected_answer_stays_behind(
    tutelage, tmp_path
):
    def exchange(*texts):
        return [
            {"role": role, "content": text} for role, text in zip(("user", "assistant"), texts, strict=True)
        ]

    write_rows(tmp_path / "rows.json", [{"chosen": exchange("q", "a"), "rejected": exchange("other", "b")}])
    refused = tutelage("data", "convert", "rows.json", "new.jsonl", "--to", "messages")
    assert refused.code == 2
    assert "error[convert.rows_do_not_fit]" in refused.err
    assert (
        tutelage("data", "convert", "rows.json", "new.jsonl", "--to", "messages", "--chosen-only").code == 0
    )
    assert [row["messages"] for row in lines_of(tmp_path / "new.jsonl")] == [exchange("q", "a")]


LABELS = ["spam", "ham", "Spam", "ham ", "eggs"]


def labelled(labels, each=1):
    return [{"text": f"text {row}", "label": labels[row % len(labels)]} for row in range(len(labels) * each)]


def test_rows_are_filtered_by_what_check_tells_of_labels(tutelage, tmp_path, on):
    write_rows(tmp_path / "rows.json", labelled(LABELS))
    checked = json.loads(tutelage("check", "rows.json", "--json", *on, *CLASSIFICATION).out)
    told = sorted({one["row"] for one in checked["findings"] if one["rule"] == 31})
    assert told == [2, 3]
    assert tutelage("data", "filter", "rows.json", "some.jsonl", "--only-rule", 31).code == 0
    assert [row["source_row"] for row in lines_of(tmp_path / "some.jsonl")] == told
    assert tutelage("data", "filter", "rows.json", "rest.jsonl", "--without-rule", 31).code == 0
    assert [row["source_row"] for row in lines_of(tmp_path / "rest.jsonl")] == [0, 1, 4]


def test_other_rows_than_texts_and_labels_are_no_classification_with_a_model_and_without(
    tutelage, tmp_path, on
):
    write_rows(tmp_path / "rows.json", [*labelled(["a", "b"], 9), alpaca_values(1)[0]])
    for words in (on, ["--set", "model.name_or_path=nobody/nothing"]):
        refused = tutelage("check", "rows.json", *CLASSIFICATION, *words)
        assert refused.code == 2
        assert "error[data.not_text_and_label]" in refused.err


def test_a_split_by_labels_puts_a_label_with_blanks_among_its_like(tutelage, tmp_path):
    write_rows(tmp_path / "rows.json", labelled(["a", "b"] * 9 + ["a ", " b"], 2))
    words = ["--split", "stratified", "--train-size", 0.5, "--test-size", 0.5]
    (tmp_path / "labels.toml").write_text(RECIPE_OF_SETS)
    outcome = tutelage("data", "split", "rows.json", "parts.jsonl", *words, "--recipe", "labels.toml")
    assert outcome.code == 0, outcome.err
    for name in ("train", "test"):
        found = [row["label"].strip() for row in lines_of(tmp_path / f"parts.{name}.jsonl")]
        assert (found.count("a"), found.count("b")) == (10, 10)


def test_a_row_that_was_not_read_has_no_format(tutelage, tmp_path, on):
    values = [*alpaca_values(2), {"instruction": "a", "output": "b" * 3_000}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(value) + "\n" for value in values))
    out = tutelage("preview", "rows.jsonl", "--row", 2, *on, "--set", "data.max_row_bytes=1000").out
    assert "alpaca" not in next(line for line in out.splitlines() if "Row 2" in line)


@pytest.mark.parametrize("column", ["messages", "chat"])
def test_null_arguments_that_are_left_out_are_said_and_stand_in_the_ledger(tutelage, tmp_path, column):
    def row(arguments):
        call = {"type": "function", "function": {"name": "find", "arguments": arguments}}
        return {
            column: [
                {"role": "user", "content": "q", "tool_calls": None},
                {"role": "assistant", "content": "", "tool_calls": [call]},
            ],
            "tools": [{"name": "find", "parameters": {"city": None, "near": "x"}}],
            "meta": {"name": "n", "input": {"a": None, "b": 1}},
        }

    values = [row({"city": "Rome", "near": None}), row({"city": "Bari", "near": "sea"})]
    parquet.write_table(pyarrow.Table.from_pylist(values), tmp_path / "rows.parquet")
    words = ["--map", f"messages={column}"] if column != "messages" else []
    outcome = tutelage(
        "data", "sample", "rows.parquet", "new.jsonl", "--rows", 2, "--ledger", "ledger.jsonl", *words
    )
    assert outcome.code == 0, outcome.err
    assert "Note[data.null_arguments_dropped]: 1 row " in outcome.out
    first, second = lines_of(tmp_path / "new.jsonl")
    assert first[column][1]["tool_calls"][0]["function"]["arguments"] == {"city": "Rome"}
    assert second[column][1]["tool_calls"][0]["function"]["arguments"] == {"city": "Bari", "near": "sea"}
    assert (first["tools"], first["meta"]) == (values[0]["tools"], values[0]["meta"]), "which hold no calls"
    (told,) = lines_of(tmp_path / "ledger.jsonl")
    assert (told["row"], told["outcome"]) == (0, "repaired")
    assert [reason["code"] for reason in told["reasons"]] == ["data.null_arguments_dropped"]


def test_stats_and_filter_say_which_rows_were_not_compared_with_all_that_they_may_be_like(
    tutelage, tmp_path, monkeypatch
):
    values = [
        {"instruction": f"Spell the one word {row}, slowly and aloud.", "output": str(row)}
        for row in range(90)
    ]
    write_rows(tmp_path / "rows.json", values)
    code = "data.near_duplicates_not_compared"
    words = ("data", "filter", "rows.json", "few.jsonl", "--per-cluster", 1, "--dry-run")

    def told():
        notes = json.loads(tutelage("data", "stats", "rows.json", "--json").out)["notes"]
        shown = [f"Note[{code}]" in tutelage(*given).out for given in (("data", "stats", "rows.json"), words)]
        return [note["code"] for note in notes], shown

    assert told() == ([], [False, False])
    monkeypatch.setattr(near_duplicates, "COMPARISONS", 1)
    monkeypatch.setattr(near_duplicates, "LEAST_BOUND", 1)
    assert told() == ([code], [True, True])
