"""The data tools called from a program: rows in, rows out, nothing printed, nothing written but what is asked for."""

import json

import pytest
from support.fake_chat import FakeChat, remembering
from support.rows import alpaca_values, write_rows

from tutelage.config.recipe_file import load
from tutelage.errors import DataError, RecipeError, RunFolderError
from tutelage.run import events
from tutelage.run.lines import read_json_lines
from tutelage.stages.data.chat_model import check_request_settings, remote_host
from tutelage.stages.data.convert import convert
from tutelage.stages.data.describe import describe
from tutelage.stages.data.filter import RowFilter, filter_rows
from tutelage.stages.data.generate import default_requests, find_seeds, generate, require_rows
from tutelage.stages.data.improve import count_requests, improve
from tutelage.stages.data.rows import read_rows
from tutelage.stages.data.sample import sample
from tutelage.stages.data.split import part_files, split
from tutelage.stages.data.writing import encode_files, require_free_paths, write_file, write_ledger
from tutelage.stages.inputs import Inputs
from tutelage.stages.reporter import Reporter

ROWS = 12


@pytest.fixture
def inputs_of(tmp_path, monkeypatch, capsys, model):
    """Return what gives the inputs of some rows, and their reporter, which keeps what it hears."""
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def made(values, **settings):
        path = write_rows(tmp_path / "rows.json", values)
        given = {"data.source": path, "model.name_or_path": model} | {
            f"data.{name}": value for name, value in settings.items()
        }
        heard = []
        reporter = Reporter(heard.append)
        reporter.heard = heard
        return Inputs(
            load(None, {}, [f"{name}={value}" for name, value in given.items()]), reporter
        ), reporter

    yield made
    assert capsys.readouterr() == ("", "")


def numbers(values):
    return [value["source_row"] for value in values]


def test_rows_are_converted_with_their_numbers(inputs_of):
    inputs, _ = inputs_of(alpaca_values(ROWS))
    made = convert(read_rows(inputs), "messages")
    assert numbers(made.values) == list(range(ROWS))
    assert [value["messages"][-1]["content"] for value in made.values] == [
        row["output"] for row in alpaca_values(ROWS)
    ]
    assert (made.left_out, made.settings.format) == ({}, "messages")


def test_rows_that_a_format_has_no_place_for_are_refused_or_left_out(inputs_of):
    pairs = [{"prompt": f"Say {place}.", "chosen": "yes", "rejected": "no"} for place in range(3)]
    inputs, _ = inputs_of([*pairs, *alpaca_values(1)])
    rows = read_rows(inputs)
    with pytest.raises(DataError) as fault:
        convert(rows, "alpaca")
    assert (fault.value.code, fault.value.row) == ("convert.rows_do_not_fit", 0)
    made = convert(rows, "alpaca", drop_unfit=True)
    assert (numbers(made.values), list(made.left_out)) == ([3], [0, 1, 2])
    with pytest.raises(RecipeError) as fault:
        convert(rows, drop_unfit=True)
    assert fault.value.code == "cli.option_needs_another"


def test_a_filter_keeps_what_is_wanted_and_says_why_the_rest_is_not(inputs_of):
    values = alpaca_values(ROWS)
    inputs, reporter = inputs_of(values)
    least = 10
    kept = filter_rows(read_rows(inputs), RowFilter(min_answer_characters=least), inputs, reporter)
    wanted = [place for place, row in enumerate(values) if len(row["output"]) >= least]
    assert 0 < len(wanted) < ROWS
    assert numbers(kept.values) == wanted
    assert {*kept.left_out} == {*range(ROWS)} - {*wanted}
    assert reporter.heard == []


def test_a_filter_by_tokens_reports_that_it_counts(inputs_of):
    inputs, reporter = inputs_of(alpaca_values(ROWS))
    rows = read_rows(inputs)
    everything = filter_rows(rows, RowFilter(min_tokens=1), inputs, reporter)
    nothing = filter_rows(rows, RowFilter(min_tokens=10_000), inputs, reporter)
    assert (len(everything.values), len(nothing.values)) == (ROWS, 0)
    assert events.Waiting(label="Counting tokens") in reporter.heard


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (RowFilter(), "filter.no_criterion"),
        (RowFilter(outcome=("kept",)), "cli.option_needs_another"),
        (RowFilter(language=("xx",)), "filter.unknown_value"),
        (RowFilter(matching=("(",)), "filter.invalid_regex"),
        (RowFilter(per_cluster=0), "cli.value_out_of_range"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(inputs_of, wanted, code):
    inputs, reporter = inputs_of(alpaca_values(2))
    with pytest.raises(RecipeError) as fault:
        filter_rows(read_rows(inputs), wanted, inputs, reporter)
    assert fault.value.code == code


def test_a_larger_sample_holds_the_smaller_one(inputs_of):
    inputs, _ = inputs_of(alpaca_values(ROWS))
    rows = read_rows(inputs)
    small, large = (sample(rows, count, seed=3) for count in (4, 8))
    assert (len(small.values), len(large.values)) == (4, 8)
    assert {*numbers(small.values)} < {*numbers(large.values)}
    assert {*numbers(small.values)} | {*small.left_out} == {*range(ROWS)}
    assert len({tuple(numbers(sample(rows, 4, seed=seed).values)) for seed in range(5)}) > 1
    for count in (0, ROWS + 1):
        with pytest.raises(RecipeError) as fault:
            sample(rows, count)
        assert fault.value.code == "cli.value_out_of_range"


def test_the_parts_of_a_split_are_all_rows_and_name_their_leaks(inputs_of, tmp_path):
    values = [{"instruction": f"Say {place % 6}.", "output": f"{place}"} for place in range(ROWS)]
    grouped = split(read_rows(inputs_of(values)[0]))
    by_place = split(read_rows(inputs_of(values, split="position", train_size=0.5, test_size=0.5)[0]))
    for parts in (grouped, by_place):
        assert sorted(number for part in parts.values.values() for number in numbers(part)) == [*range(ROWS)]
    assert not any(grouped.leaks.values())
    # The second half repeats the prompts of the first.
    assert by_place.leaks["test"] == [*range(6, ROWS)]
    assert part_files(tmp_path / "a.csv.gz")["test"] == tmp_path / "a.test.csv.gz"


def test_tokens_are_described_where_the_model_is_here(inputs_of):
    inputs, _ = inputs_of(alpaca_values(ROWS))
    found = describe(read_rows(inputs), inputs)
    assert found.rows == ROWS
    assert any("tokens" in name for name in found.lengths)


def test_files_are_written_when_they_are_asked_to_be(inputs_of, tmp_path):
    inputs, _ = inputs_of([{"instruction": "=1+1", "output": "2"}, {"instruction": "Add.", "output": "3"}])
    made = convert(read_rows(inputs))
    paths = [tmp_path / "out.csv", tmp_path / "out.jsonl"]
    require_free_paths(paths, overwrite=False)
    files = encode_files(dict.fromkeys(paths, made.values), made.settings)
    assert not any(path.exists() for path in paths)
    assert [file.formula_cells for file in files] == [[(0, "instruction")], []]
    for file in files:
        write_file(file)
    assert read_json_lines(paths[1]) == list(made.values)
    with pytest.raises(RunFolderError) as fault:
        require_free_paths(paths, overwrite=False)
    assert fault.value.code == "cli.output_exists"
    require_free_paths(paths, overwrite=True)


def test_a_ledger_lists_what_is_left_out(inputs_of, tmp_path):
    inputs, _ = inputs_of(alpaca_values(ROWS))
    drawn = sample(read_rows(inputs), ROWS - 2)
    write_ledger(tmp_path / "ledger.jsonl", drawn.left_out, outcome="dropped")
    listed = read_json_lines(tmp_path / "ledger.jsonl")
    assert [entry["row"] for entry in listed] == sorted(drawn.left_out)
    assert {reason["code"] for entry in listed for reason in entry["reasons"]} == {"filter.not_sampled"}


def test_new_rows_say_who_made_them_of_what(inputs_of, tmp_path):
    inputs, reporter = inputs_of(alpaca_values(ROWS))
    topics = iter("αβγδ")
    chat = FakeChat(
        lambda question: json.dumps(
            {"rows": [{"instruction": f"Tell of {next(topics) * 9}.", "input": "", "output": "Done."}]}
        )
    )
    rows, model = read_rows(inputs, keeps_fields=False), remembering(chat, tmp_path / "cache")
    made = generate(rows, find_seeds(rows), model, reporter, count=2, rows_per_request=1)
    assert [value["made_by"] for value in made.values] == ["openai:fake"] * 2
    assert {number for value in made.values for number in value["made_from"]} <= {*range(ROWS)}
    assert [(event.done, event.total) for event in reporter.heard[:-1]] == [(0, 2), (1, 2), (2, 2)]
    assert reporter.heard[-1] == events.Waited()
    assert default_requests(5, 2) == 3 * 3


def test_a_model_without_a_usable_row_is_told_so(inputs_of, tmp_path):
    inputs, reporter = inputs_of(alpaca_values(ROWS))
    rows, model = read_rows(inputs), remembering(FakeChat(lambda question: "no"), tmp_path / "cache")
    made = generate(rows, find_seeds(rows), model, reporter, count=1, max_requests=2)
    assert sum(made.refused.values()) == 2
    with pytest.raises(DataError) as fault:
        require_rows(made, model)
    assert fault.value.code == "synthetic.no_rows_accepted"


def test_improved_rows_are_all_there_and_name_their_model(inputs_of, tmp_path):
    inputs, reporter = inputs_of(alpaca_values(3))
    chat = FakeChat(lambda question: '{"reflection": "Terse.", "output": "In full."}')
    rows = read_rows(inputs)
    assert (count_requests(rows), count_requests(rows, max_requests=1)) == (3, 1)
    made = improve(rows, remembering(chat, tmp_path / "cache"), reporter, max_requests=2)
    assert [value["output"] for value in made.values] == [
        "In full.",
        "In full.",
        alpaca_values(3)[2]["output"],
    ]
    assert [value.get("made_by") for value in made.values] == ["openai:fake", "openai:fake", None]
    assert [(row, reason.code) for row, reason in made.left_out.items()] == [(2, "synthetic.limit_reached")]


def test_what_a_model_is_asked_with_is_checked():
    given = {"temperature": 0.7, "max_tokens": 10, "seed": 1, "timeout_seconds": 5.0}
    check_request_settings(**given)
    for name, value in (("temperature", -1), ("max_tokens", 0), ("seed", -1), ("timeout_seconds", 0.5)):
        with pytest.raises(RecipeError) as fault:
            check_request_settings(**given | {name: value})
        assert fault.value.code == "cli.value_out_of_range"
    assert remote_host("openai:some@https://example.com/v1") == "example.com"
    assert remote_host("ollama:some") is None
