"""`tutelage check` for a person, and on the book's file."""

import itertools
import json
import shlex
from pathlib import Path

import pytest
from support.book_data import book_file
from support.command_line import CommandLine, contents
from support.rows import alpaca_values, write_rows

from tutelage.config.recipe import DEFAULT_MODEL
from tutelage.model.loading import load_tokenizer
from tutelage.objectives.classification.rows import text_ids


@pytest.fixture
def check(capsys, tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))

    def outcome_of(*words, name=model):
        before = contents(tmp_path)
        outcome = CommandLine(capsys)("check", *words, "--model", name)
        assert contents(tmp_path) == before
        return outcome

    return outcome_of


def test_the_books_file_has_its_known_faults(check):
    outcome = check(book_file(), "--json")
    said = json.loads(outcome.out)
    assert outcome.code == 0
    assert (said["rows"], said["kept"], said["format"], said["repeated_prompts"]) == (
        1100,
        1100,
        "alpaca",
        25,
    )
    assert said["leaks"] == {"test": [975, 1034], "validation": [1050, 1060, 1068, 1090]}
    assert len([one for one in said["findings"] if one["rule"] == 11]) == 25
    assert sorted(one["row"] for one in said["findings"] if one["rule"] == 12) == [
        975,
        1034,
        1050,
        1060,
        1068,
        1090,
    ]
    assert all(0.8 <= pair["similarity"] <= 1 for pair in said["near_duplicates"])
    assert {tuple(pair["rows"]) for pair in said["near_duplicates"]} >= {(519, 600), (146, 698)}
    assert check(book_file(), "--strict").code == 1


def test_a_person_is_told_counts_lengths_and_findings(check, tmp_path):
    values = [
        *alpaca_values(60),
        {"instruction": "a", "output": ""},
        {"instruction": "b", "output": "x\x1b[31m\r\n"},
    ]
    write_rows(tmp_path / "rows.json", values)
    out = check("rows.json").out
    assert "JSON, 62 rows: 62 alpaca.\n60 kept, 1 repaired, 1 dropped." in out
    assert "Languages, from a sample of 61 rows: en" in out
    assert "0% of the rows have no end-of-turn token." in out
    assert "[data.empty] row 60 dropped: output is empty" in out
    assert "[data.invisible_characters] row 61 contains U+001B (1 characters)" in out
    assert "\x1b" not in out


def test_of_a_classification_the_text_is_counted_alone_with_its_label(check, tmp_path, model):
    texts = [f"Win {n} figs now" if n % 2 else f"I ate {n} pears with a friend today" for n in range(60)]
    write_rows(tmp_path / "rows.json", [{"text": text, "label": "ab"[n % 2]} for n, text in enumerate(texts)])
    out = check("rows.json", "--recipe", "classify").out
    tokenizer = load_tokenizer(model)
    tokens = [len(text_ids(tokenizer, text, token="last")) + 1 for text in texts]
    assert f"{sum(tokens):,} tokens, 60 supervised." in out
    assert f"the longest has {max(tokens)}." in out
    assert "Each text is read without a prompt, and its label counts as one extra token." in out
    assert "end of turn" not in out
    as_answers = check("rows.json").out
    assert f"{sum(tokens):,} tokens" not in as_answers, "with a prompt around it a text is longer"


def test_rows_without_labels_are_told_to_a_classification(check, tmp_path):
    write_rows(tmp_path / "rows.json", alpaca_values(60))
    refused = check("rows.json", "--recipe", "classify")
    assert refused.code == 2
    assert "--map label=NAME" in refused.err


def test_a_model_is_not_missed_if_no_row_was_kept(check, tmp_path):
    write_rows(tmp_path / "rows.json", [{"instruction": "Name a cat.", "output": ""}] * 2)
    outcome = check("rows.json")
    assert outcome.code == 0
    assert "0 kept, 0 repaired, 2 dropped." in outcome.out
    assert "The model is not on this machine" not in outcome.out


def test_without_the_model_nothing_is_fetched_and_the_rest_is_told(check, tmp_path):
    write_rows(tmp_path / "rows.json", alpaca_values(60))
    outcome = check("rows.json", name="nobody/nothing")
    assert outcome.code == 0
    assert "60 kept, 0 repaired, 0 dropped." in outcome.out
    assert "The model is not on this machine" in outcome.out
    assert "Length in tokens" not in outcome.out
    assert DEFAULT_MODEL not in outcome.err


def test_a_fault_is_told_on_standard_error_and_leaves_with_2(check, tmp_path):
    (tmp_path / "rows.json").write_text("[{}")
    outcome = check("rows.json")
    assert (outcome.code, "rows.json:1:4: malformed JSON" in outcome.err) == (2, True)


def test_a_row_of_a_folder_is_told_with_its_file_and_line(check, tmp_path):
    (tmp_path / "rows").mkdir()
    write_rows(tmp_path / "rows" / "a.json", alpaca_values(40))
    write_rows(tmp_path / "rows" / "b.json", [{"instruction": "x", "output": ""}])
    findings = json.loads(check("rows", "--json").out)["findings"]
    message = "b.json, line 2: dropped: output is empty"
    assert {"code": "data.empty", "rule": 9, "row": 40, "message": message} in findings


def test_a_map_and_a_recipe_are_honoured(check, tmp_path):
    values = [{"ask": {"text": row["instruction"]}, "reply": row["output"]} for row in alpaca_values(60)]
    write_rows(tmp_path / "rows.json", values)
    assert check("rows.json", "--json").code == 2
    mapped = ("--map", "instruction=ask.text", "--map", "output=reply")
    assert json.loads(check("rows.json", "--json", *mapped).out)["kept"] == 60
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        '[data]\nsource = "rows.json"\n[data.column_map]\ninstruction = "ask.text"\noutput = "reply"\n'
    )
    assert json.loads(check("--recipe", recipe, "--json").out)["kept"] == 60
    assert "--map 'instruction' does not have the form" in check("rows.json", "--map", "instruction").err


def test_labels_that_read_alike_are_shown_before_their_blanks_and_quoted(check, tmp_path):
    labels = ["ham", "Ham", *["ham "] * 5]
    write_rows(tmp_path / "rows.json", [{"text": f"a{n}", "label": label} for n, label in enumerate(labels)])
    found = json.loads(check("rows.json", "--json").out)["findings"]
    assert next(one["code"] for one in found if one["rule"] == 31) == "data.similar_labels"
    said = check("rows.json").out
    assert "[data.similar_labels] row 1 " in said
    assert "'ham' 6, 'Ham' 1" in said


def last_line(outcome):
    return outcome.out.strip().splitlines()[-1]


def words_of(line):
    """Return the command that a last line says is ready."""
    said, _, command = line.partition(": ")
    assert said == "Ready"
    return shlex.split(command)


def test_the_last_line_is_the_command_that_runs_with_all_that_was_given(check, tmp_path, model):
    asked = [{"frage": f"Was ist {n}?", "antwort": f"Es ist {n}."} for n in range(60)]
    write_rows(tmp_path / "my rows.json", asked)
    given = ["--map", "instruction=frage", "--map", "output=antwort", "--split", "position"]
    words = words_of(last_line(check("my rows.json", *given)))
    assert words[:2] == ["tutelage", "run"]
    assert words[words.index("--data") + 1] == "my rows.json"
    for option, value in itertools.pairwise([*given, "--model", str(model)]):
        assert (option, value) in itertools.pairwise(words) or not option.startswith("--")


def test_the_command_of_the_last_line_begins_to_run(capsys, check, tmp_path):
    write_rows(tmp_path / "rows.json", alpaca_values(60))
    words = words_of(last_line(check("rows.json")))
    assert CommandLine(capsys)(*words[1:], "--output", "mine", "--dry-run").code == 0


def test_the_last_line_names_what_to_fix_first(check, tmp_path):
    write_rows(tmp_path / "empty.json", [{"instruction": "a", "output": ""}] * 20)
    assert last_line(check("empty.json")).startswith("Not ready")
    texts = [{"text": f"text {n}", "label": "same"} for n in range(40)]
    write_rows(tmp_path / "labels.json", texts)
    line = last_line(check("labels.json", "--set", "training.objective=classification"))
    assert line.startswith("Not ready")
    assert "data.single_label" in line


LABELLED = {
    "every label is trained": (["a", "b"] * 30, None),
    "a label stands behind the training rows": (["a", "b"] * 29 + ["rare", "a"], None),
    "a label of several stands behind them": (["a;b", "b"] * 29 + ["a;rare", "b"], ";"),
    "every label of several is trained": (["a;b", "a;rare"] * 29 + ["rare", "b"], ";"),
    "the sign between labels is a part of them": (["a;b", "b"] * 29 + ["a", "b"], None),
}


@pytest.mark.parametrize(("labels", "separator"), LABELLED.values(), ids=LABELLED)
def test_it_says_ready_where_prepare_does_not_stop(tutelage, check, model, labels, separator):
    rows = [{"text": f"text {n}", "label": one} for n, one in enumerate(labels)]
    write_rows(Path("rows.json"), rows)
    settings = ["training.objective=classification"]
    settings += [f"data.label_separator={separator}"] if separator else []
    words = ["--split", "position", *(word for one in settings for word in ("--set", one))]
    line = last_line(check("rows.json", *words))
    prepared = tutelage(
        "prepare", "--data", "rows.json", *words, "--set", f"model.name_or_path={model}", "--output", "mine"
    )
    assert line.startswith("Ready") == (prepared.code == 0)
    if prepared.code:
        assert "data.label_not_in_training" in prepared.err
        assert "data.label_not_in_training" in line


def test_a_model_that_is_not_here_is_not_the_reason_that_no_row_was_kept(check, tmp_path):
    write_rows(tmp_path / "empty.json", [{"instruction": "a", "output": ""}] * 20)
    out = check("empty.json", name=DEFAULT_MODEL).out
    assert "not on this machine" not in out
    write_rows(tmp_path / "rows.json", alpaca_values(20))
    assert "not on this machine" in check("rows.json", name=DEFAULT_MODEL).out
