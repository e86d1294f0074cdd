from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.book_data import book_file
from support.command_line import contents
from support.rows import alpaca_values, make_records, write_rows
from support.tiny_tokenizer import chatml_tokenizer, write_tiny_model

from tutelage.codes import Message
from tutelage.config.recipe import DataSettings, ModelSettings
from tutelage.data.dataset.preparation import check_token_ids, prepare
from tutelage.data.prompts.prompts import make_renderer
from tutelage.data.rows.records import SourceReader
from tutelage.data.sources.sources import find_source
from tutelage.errors import DataError, RunFolderError, StorageError
from tutelage.model.loading import context_length, load_tokenizer
from tutelage.run.folder import SPLITS, RunFolder, read_json
from tutelage.run.lines import read_json_lines
from tutelage.run.lock import locked
from tutelage.stages.prepared import read_prepared, replacing_data
from tutelage.tree.examples import PreparedRow

RENDERERS = {style: make_renderer(chatml_tokenizer(), style) for style in ("alpaca", "chat")}
GROWN = {"test_size": 0.0, "train_size": 1.0}


@dataclass(frozen=True)
class Prepared:
    """All that `prepare` made of some rows, read from its files."""

    splits: dict[str, list[PreparedRow]]
    summary: dict[str, Any]
    ledger: list[dict[str, Any]]


def prepare_source(source, settings, renderer, *, folder=None, context_length=512):
    with TemporaryDirectory() as aside:
        folder = folder or Path(aside)
        model = ModelSettings()
        made = prepare(
            source,
            settings,
            renderer,
            folder=folder,
            context_length=context_length,
            model=model,
            weights="0" * 64,
        )
        splits = {name: list(rows) for name, rows in made.splits.items()}
        return Prepared(splits, made.preparation.to_record(), read_json_lines(folder / "ledger.jsonl"))


def prepare_values(values, *, folder=None, context_length=512, **chosen):
    source = SourceReader("rows.json", "0" * 64, lambda: iter(make_records(values)), [NOTE], "JSON")
    data = DataSettings(**{"prompt_template": "alpaca", **chosen})
    renderer = RENDERERS.get(data.prompt_template) or make_renderer(chatml_tokenizer(), data.prompt_template)
    return prepare_source(source, data, renderer, folder=folder, context_length=context_length)


def prepare_run(run, values, **chosen):
    with locked(run), replacing_data(run) as folder:
        return prepare_values(values, folder=folder, **chosen)


def refused(values, **chosen):
    with pytest.raises(DataError) as fault:
        prepare_values(values, **chosen)
    return str(fault.value)


def test_the_files_say_of_every_row_what_the_model_sees(tmp_path):
    values = [
        *alpaca_values(40),
        {"instruction": "", "output": "x"},
        {"instruction": "a\r\nb", "output": "c"},
    ]
    run = RunFolder(tmp_path / "run")
    prepare_run(run, values, split="position")
    assert {path.name for path in run.data.iterdir()} == {
        *(f"{name}.{end}" for name in SPLITS for end in ("jsonl", "ids.npy", "rows.npy", "spans.npy")),
        "ledger.jsonl",
        "manifest.json",
        "preparation.json",
    }
    tokenizer = chatml_tokenizer()
    for name in SPLITS:
        rows = read_prepared(run, name)
        for record, row in zip(read_json_lines(run.split(name)), rows, strict=True):
            assert list(record) == ["row", "prompt", "response", "messages", "tokens", "supervised"]
            given = values[record["row"]]
            asked = {"role": "user", "content": given["instruction"].replace("\r\n", "\n")}
            assert record["messages"] == [asked | ({"input": given["input"]} if given.get("input") else {})]
            ids = list(row.example.ids)
            assert record["response"] == row.response == values[record["row"]]["output"]
            assert tokenizer.decode(ids) == record["prompt"] + record["response"] + "<|im_end|>"
            assert record["tokens"] == len(ids)
            response = tokenizer.encode(record["response"], add_special_tokens=False)
            assert record["supervised"] == row.example.supervised == len(response) + 1
            assert row.example.prompt_tokens == record["tokens"] - record["supervised"]


def test_the_summary_counts_what_the_files_hold(tmp_path):
    run = RunFolder(tmp_path / "run")
    prepare_run(run, [*alpaca_values(50), {"instruction": "a\x00", "output": "b", "id": 4}])
    summary = read_json(run.preparation)
    by_split = {name: read_json_lines(run.split(name)) for name in SPLITS}
    assert summary["rows"] == {
        "read": 51,
        "kept": 50,
        "repaired": 1,
        "dropped": 0,
        **{name: len(records) for name, records in by_split.items()},
    }
    assert summary["tokens"] == {
        "train": sum(record["tokens"] for record in by_split["train"]),
        "supervised": sum(record["supervised"] for record in by_split["train"]),
        "distinct": distinct_inputs(read_prepared(run, "train")),
        "longest": max(record["tokens"] for records in by_split.values() for record in records),
    }
    assert (summary["end_of_turn"], summary["end_of_turn_id"]) == ("<|im_end|>", 2)
    assert (summary["source"], summary["sha256"]) == ("rows.json", "0" * 64)
    assert (summary["prompt_template"], summary["split"]) == ("alpaca", "group")
    assert summary["leaks"] == {"test": [], "validation": []}
    assert summary["notes"][0] == NOTE.to_record()
    assert [note["code"] for note in summary["notes"][1:]] == ["data.field_not_used"]
    assert summary["settings"] == {
        "data": DataSettings(prompt_template="alpaca").model_dump(),
        "model": ModelSettings().model_dump(),
        "training": {"objective": "instruction"},
    }


def distinct_inputs(rows):
    """Count the distinct prefixes of what the model reads: all but the last token."""
    paths = [row.example.ids[:-1] for row in rows]
    return len({path[:end] for path in paths for end in range(1, len(path) + 1)})


NOTE = Message("data.byte_order_mark", "A note on the file.")
GOOD = {"instruction": "Name a fruit.", "output": "A pear."}
any_value = st.sampled_from(
    [
        GOOD,
        {**GOOD, "output": "A plum."},
        {**GOOD, "output": "A\r\nplum."},
        {**GOOD, "input": "\ud800"},
        {**GOOD, "output": None},
        {**GOOD, "instruction": "  "},
        {**GOOD, "output": "very long " * 200},
    ]
)


@settings(deadline=None)
@given(st.lists(any_value, min_size=1, max_size=12))
def test_no_row_is_lost_in_silence(values):
    try:
        preparation = prepare_values(values, overlong="drop", **GROWN)
    except DataError as fault:
        assert "none of the" in str(fault)
        assert GOOD not in values
        return
    assert lost_rows(values, preparation) == []


def test_the_check_for_lost_rows_catches_one():
    preparation = prepare_values([GOOD, {**GOOD, "output": "A plum."}], **GROWN)
    for splits in (
        {**preparation.splits, "train": preparation.splits["train"][1:]},
        {**preparation.splits, "test": preparation.splits["train"][:1]},
    ):
        assert lost_rows([GOOD, GOOD], replace(preparation, splits=splits))
    assert lost_rows([GOOD, GOOD], replace(preparation, ledger=preparation.ledger[1:]))


def lost_rows(values, preparation):
    """Say what does not add up between the source, the ledger, the splits and the counts."""
    ledger, rows = preparation.ledger, preparation.summary["rows"]
    faults = []
    if [line["row"] for line in ledger] != list(range(len(values))):
        faults.append("the ledger has not one line a row")
    if not rows["read"] == len(values) == rows["kept"] + rows["repaired"] + rows["dropped"]:
        faults.append("the counts do not sum up")
    for line in ledger:
        if list(line) != ["row", "outcome", "split", "reasons"]:
            faults.append(f"{line} has other fields")
        if (line["split"] is None) != (line["outcome"] == "dropped"):
            faults.append(f"{line} is dropped and placed, or neither")
        if bool(line["reasons"]) != (line["outcome"] != "kept"):
            faults.append(f"{line} has a reason too many or too few")
    for name in SPLITS:
        written = [row.example.row for row in preparation.splits[name]]
        if written != [line["row"] for line in ledger if line["split"] == name] or len(written) != rows[name]:
            faults.append(f"{name} holds other rows than the ledger says")
    return faults


def test_the_books_file_by_position_has_the_articles_counts_and_names_its_leaks(tmp_path):
    source = find_source(str(book_file()), cache=tmp_path)
    data = DataSettings(split="position", prompt_template="alpaca-compact")
    renderer = make_renderer(chatml_tokenizer(), data.prompt_template)
    summary = prepare_source(source, data, renderer).summary
    assert [summary["rows"][name] for name in SPLITS] == [935, 110, 55]
    assert summary["leaks"] == {"test": [975, 1034], "validation": [1050, 1060, 1068, 1090]}
    assert summary["repeated_prompts"] == 25


def test_a_row_longer_than_the_context_stops_and_is_named_with_its_tokens():
    values = alpaca_values(30)
    values[4]["output"] = values[9]["input"] = "long " * 600
    message = refused(values)
    assert message.startswith("Rows 4 (")
    assert ", 9 (" in message
    assert "longer than the model's context of 512 tokens. Shorten them, or drop them" in message
    assert "longer than data.max_length of 40 tokens" in refused(alpaca_values(30), max_length=40)


def test_the_context_is_the_limit_even_when_max_length_is_larger():
    assert "longer than the model's context of 64" in refused(
        alpaca_values(30), max_length=999, context_length=64
    )


def test_a_row_of_exactly_the_limit_is_kept_and_one_token_more_is_dropped_when_asked():
    values = alpaca_values(20)
    lengths = {
        row.example.row: len(row.example.ids) for row in prepare_values(values, **GROWN).splits["train"]
    }
    longest = max(lengths.values())
    assert prepare_values(values, max_length=longest, **GROWN).summary["rows"]["dropped"] == 0
    cut = prepare_values(values, max_length=longest - 1, overlong="drop", **GROWN)
    too_long = [row for row, length in lengths.items() if length == longest]
    assert [line["row"] for line in cut.ledger if line["outcome"] == "dropped"] == too_long
    assert cut.ledger[too_long[0]]["reasons"] == [
        {"code": "data.too_long", "message": f"{longest} tokens, more than {longest - 1}"}
    ]


@pytest.mark.parametrize("split", ["group", "position"])
def test_one_row_alone_is_refused_with_what_to_do_and_trains_where_no_test_is_asked_for(split):
    assert "with 1 usable row the" in refused([GOOD], split=split)
    prepared = prepare_values([GOOD], split=split, **GROWN)
    assert [prepared.summary["rows"][name] for name in SPLITS] == [1, 0, 0]


def test_a_test_split_that_would_be_empty_is_refused():
    assert refused(alpaca_values(9), split="position") == (
        "rows.json: with 9 usable rows the test split would be empty. Add rows, or raise data.test_size;"
        " data.test_size=0 trains without an evaluation."
    )


@pytest.mark.parametrize("split", ["group", "position"])
def test_nothing_is_prepared_without_training_rows(split):
    assert "the train split would be empty" in refused(
        alpaca_values(30), split=split, train_size=0.0, test_size=0.5
    )


def test_the_ledger_of_a_folder_names_the_file_of_each_row(tmp_path):
    write_rows(tmp_path / "a.json", alpaca_values(30))
    write_rows(tmp_path / "b.json", [GOOD, {**GOOD, "output": ""}])
    source = find_source(str(tmp_path), cache=tmp_path)
    prepared = prepare_source(source, DataSettings(split="position"), RENDERERS["alpaca"])
    assert [line["file"] for line in prepared.ledger] == ["a.json"] * 30 + ["b.json"] * 2
    assert [reason["code"] for reason in prepared.ledger[-1]["reasons"]] == ["data.empty"]


def test_rows_that_are_all_unusable_are_refused_with_the_reasons():
    assert refused([{"instruction": "a", "output": ""}, {"instruction": " ", "output": "b"}]) == (
        "rows.json: none of the 2 rows is usable: row 0: output is empty (data.empty, 2 rows)."
    )


def test_each_reason_of_unusable_rows_is_named_once_however_many_rows_have_it():
    values = [{"instruction": f"q {row}", "output": "a" * (300 + row)} for row in range(40)]
    told = refused([*values, {"instruction": "q", "output": ""}], max_length=8, overlong="drop")
    assert told.count("data.too_long, 40 rows") == 1
    assert told.count("data.empty") == 1
    assert len(told) < 300


@pytest.mark.parametrize("train_on", ["assistant", "all"])
def test_what_is_supervised_is_counted_for_every_row(train_on):
    prepared = prepare_values(alpaca_values(60), train_on=train_on)
    for rows in prepared.splits.values():
        for row in rows:
            example = row.example
            wanted = len(example.response_ids) if train_on == "assistant" else len(example.ids) - 1
            assert example.supervised == wanted > 0
            assert example.with_response_supervised().supervised == len(example.response_ids)


def test_a_written_row_is_read_as_the_model_will_see_it_again(tmp_path):
    values = alpaca_values(30)
    values[3]["output"] = "line\u2028separator \x85 <|im_end|> \x1c end"
    run = RunFolder(tmp_path)
    preparation = prepare_run(run, values, split="position")
    for name in SPLITS:
        assert list(read_prepared(run, name)) == preparation.splits[name]


def test_a_full_disk_leaves_an_earlier_run_as_it_was(tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    prepare_run(run, alpaca_values(30))
    run.model.mkdir()
    run.report.write_text("old")
    before = contents(tmp_path)
    ledger_is_too_much = [None] * (4 * len(SPLITS))

    def fsync(handle):
        if not ledger_is_too_much:
            raise OSError(28, "No space left on device")
        ledger_is_too_much.pop()

    monkeypatch.setattr("tutelage.system.storage.os.fsync", fsync)
    with pytest.raises(StorageError, match="No space left on device"):
        prepare_run(run, alpaca_values(40))
    assert contents(tmp_path) == before
    monkeypatch.undo()
    prepare_run(run, alpaca_values(40))
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_token_that_the_model_does_not_know_is_told_with_its_row(tmp_path):
    run = RunFolder(tmp_path)
    rows = prepare_run(run, alpaca_values(30)).splits["train"]
    largest = max(token for row in rows for token in row.example.ids)
    first = next(row.example.row for row in rows if largest in row.example.ids)
    check_token_ids(read_prepared(run, "train"), vocabulary=largest + 1)
    with pytest.raises(
        DataError, match=rf"^Row {first} holds the token id {largest}, .* end at {largest - 1}\."
    ):
        check_token_ids(read_prepared(run, "train"), vocabulary=largest)


def test_what_a_killed_preparation_left_is_removed_by_the_next(tmp_path):
    run = RunFolder(tmp_path / "run")
    staged = run.root / ".data.1a2b3c4d.part"
    staged.mkdir(parents=True)
    (staged / "train.jsonl").write_text("half")
    prepare_run(run, alpaca_values(30))
    assert [path.name for path in run.root.iterdir()] == ["data"]


def test_a_preparation_that_fails_leaves_no_folder_behind(tmp_path):
    run = RunFolder(tmp_path / "runs" / "mine")
    with pytest.raises(DataError):
        prepare_run(run, [{"instruction": "a", "output": ""}])
    assert list(tmp_path.iterdir()) == []


def test_rows_cannot_be_read_before_they_are_prepared(tmp_path):
    with pytest.raises(RunFolderError, match="Run `tutelage prepare"):
        read_prepared(RunFolder(tmp_path), "train")


@pytest.mark.parametrize("style", ["alpaca", "alpaca-compact", "phi3", "chat"])
def test_a_model_folder_gives_the_ids_of_the_tokenizer_that_was_saved_in_it(tmp_path, style):
    folder = write_tiny_model(tmp_path / "model", context=300)
    assert context_length(folder) == 300
    source = find_source(str(write_rows(tmp_path / "rows.json", alpaca_values(30))), cache=tmp_path)
    data = DataSettings(prompt_template=style)
    renderer = make_renderer(load_tokenizer(folder), style)
    prepared = prepare_source(source, data, renderer, context_length=300)
    in_memory = prepare_values(alpaca_values(30), prompt_template=style)
    assert prepared.ledger == in_memory.ledger
    assert prepared.splits == in_memory.splits


def talk(*texts):
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]}


def test_conversations_follow_the_row_that_asks_what_an_earlier_turn_of_theirs_asks():
    talks = [[f"question {n}", "x", f"more of {n}", "y"] for n in range(60)]
    values = [talk(*texts) for texts in talks] + [talk(*texts[:2]) for texts in talks]
    prepared = prepare_values(values, train_size=0.5, test_size=0.3)
    stands = {line["row"]: line["split"] for line in prepared.ledger}
    assert all(stands[row] == stands[row + 60] for row in range(60))
    assert set(stands.values()) == set(SPLITS)
    for name, rows in prepared.splits.items():
        numbers = [row.example.row for row in rows]
        assert numbers == sorted(number for number, split in stands.items() if split == name)
        assert prepared.summary["rows"][name] == len(numbers)
        for row in rows:
            assert row.response == values[row.example.row]["messages"][-1]["content"]
            assert (chatml_tokenizer().decode(row.example.ids)) == f"{row.prompt}{row.response}<|im_end|>"


def test_rows_that_are_moved_leave_no_other_files(tmp_path):
    run = RunFolder(tmp_path / "run")
    talks = [[f"question {n}", "x", f"more of {n}", "y"] for n in range(60)]
    prepare_run(run, [talk(*texts[:end]) for texts in talks for end in (2, 4)], train_size=0.5, test_size=0.3)
    assert not [path for path in run.data.iterdir() if "provisional" in path.name]
    assert sum(len(read_prepared(run, name)) for name in SPLITS) == 120


@pytest.mark.parametrize("rule", ["group", "stratified"])
def test_rows_of_one_prompt_are_told_that_no_split_parts_them(rule):
    same = [{"instruction": "Say something!", "output": f"word {n}"} for n in range(40)]
    assert fault_of(same, split=rule).code == "data.too_few_prompts"
    nearly = [*same, {"instruction": "Say no more.", "output": "x"}]
    assert fault_of(nearly, split=rule).code == "data.too_few_prompts"
    assert fault_of(nearly[-1:], split=rule).code == "data.empty_split"
    assert fault_of(same[:1], split="position").code == "data.empty_split"
    by_position = prepare_values(same, split="position")
    assert by_position.summary["leaks"]["test"] == [34, 35, 36, 37]


def test_one_part_of_a_split_by_prompt_is_recognised_when_it_is_split_again():
    values = alpaca_values(300)
    prepared = prepare_values(values)
    training = [values[row.example.row] for row in prepared.splits["train"]]
    again = fault_of(training)
    assert again.code == "data.empty_split"
    assert "`tutelage data split`" in str(again)
    # Of a few rows nobody knows; and by position the same rows are split.
    assert "`tutelage data split`" not in str(fault_of(training[:3]))
    assert prepare_values(training, split="position").summary["rows"]["test"] > 10


def fault_of(values, **chosen):
    with pytest.raises(DataError) as fault:
        prepare_values(values, **chosen)
    return fault.value


def test_a_text_that_cannot_be_encoded_is_named_by_file_and_row(monkeypatch):
    monkeypatch.setattr(
        "tutelage.data.quality.checks.needs_no_repair", lambda row: True
    )  # which must never happen
    values = [*alpaca_values(5), {"instruction": "half \ud83d", "output": "x"}]
    fault = fault_of(values)
    assert (fault.code, fault.row) == ("data.lone_surrogate", 5)
    assert "rows.json" in str(fault)
    records = [replace(record, file=f"part-{record.row // 3}.jsonl") for record in make_records(values)]
    source = SourceReader("folder", "0" * 64, lambda: iter(records), [], "JSON lines")
    with pytest.raises(DataError) as in_folder:
        prepare_source(source, DataSettings(), RENDERERS["alpaca"])
    assert (in_folder.value.row, "part-1.jsonl" in str(in_folder.value)) == (5, True)
