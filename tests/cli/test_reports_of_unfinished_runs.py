"""`tutelage report` on every beginning of a run, of each objective; and what it says where files are gone."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from support.pages import Page, offences
from support.pairs import preference_values
from support.rows import alpaca_values, write_rows

from tutelage.objectives import load_objective
from tutelage.run.folder import RunFolder, read_json
from tutelage.stages.prepared import read_prepared

SETTINGS = {
    "training.dtype": "float32",
    "training.max_steps": 4,
    "training.eval_steps": 2,
    "adapter.r": 2,
    "data.train_size": 0.6,
    "data.test_size": 0.3,
}
ANSWERS = {
    "training.sample_prompts": 1,
    "evaluation.limit": 4,
    "evaluation.max_new_tokens": 4,
    "evaluation.general_text": "false",
}
PAIRS = {**ANSWERS, "training.objective": "dpo", "training.sample_prompts": 0}
LABELLED = [(f"Win {number} now", ("prize", "talk", "prize|talk", "")[number % 4]) for number in range(60)]


# Of each kind of run: what writes its rows, its settings, what stands beside the losses and what it never says.
KINDS = {
    "instruction": (
        lambda: write_rows(Path("rows.json"), alpaca_values(60)),
        ANSWERS,
        "loss, nats per token",
        ("per pair", "nats per row"),
    ),
    "dpo": (
        lambda: write_rows(Path("rows.json"), preference_values(60)),
        PAIRS,
        "DPO loss, nats per pair",
        ("per token", "per supervised token", "nats per row"),
    ),
    "ipo": (
        lambda: write_rows(Path("rows.json"), preference_values(60)),
        {**PAIRS, "preference.loss": "ipo"},
        "IPO loss, squared nats per pair",
        ("per token", "per supervised token", "nats per row"),
    ),
    "classification": (
        lambda: write_labelled_file([row for row in LABELLED if row[1] in ("prize", "talk")]),
        {"training.objective": "classification"},
        "loss of the label, nats per row",
        ("per token", "per supervised token", "per pair", "Prompt and response count together"),
    ),
    "several labels": (
        lambda: write_labelled_file(LABELLED),
        {
            "training.objective": "classification",
            "data.label_separator": "|",
            "data.keep_empty_output": "true",
        },
        "loss of the label set, nats per row",
        ("per token", "per supervised token", "per pair", "Prompt and response count together"),
    ),
}


def write_labelled_file(rows):
    path = Path("rows.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


@pytest.fixture(params=KINDS)
def finished(request, tutelage, workplace, model):
    write, own, axis, never = KINDS[request.param]
    settings = {"model.name_or_path": model, **SETTINGS, **own}
    given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    ended = tutelage("run", "--data", write(), "--output", "mine", *given)
    assert ended.code == 0, ended.err
    return request.param, RunFolder(workplace / "mine"), axis, never


def beginnings(events):
    """Yield the bytes of a log after each of its lines, and after half of each that follows.

    Of what is no part of the report, as waits and messages, nothing is cut.
    """
    lines = events.read_bytes().splitlines(keepends=True)
    for count in range(len(lines) + 1):
        whole = b"".join(lines[:count])
        if count in (0, len(lines)) or b'"step"' in lines[count - 1]:
            yield whole
        if count < len(lines) and b'"step"' in lines[count]:
            yield whole + lines[count][: len(lines[count]) // 2]


def check_page(run, axis, never):
    html = run.report.read_text(encoding="utf-8")
    assert offences(html) == []
    text = Page(html).text
    assert [words for words in never if words in text] == []
    return text, html


def test_a_report_can_be_made_of_every_beginning_of_a_run(finished, tutelage):
    kind, run, axis, never = finished
    text, html = check_page(run, axis, never)
    assert axis in html
    check_tree(run, html, kind)
    for path in (run.summary, run.report, run.evaluation):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    report(tutelage, run)
    assert "Fine-tuned, not yet evaluated" in check_page(run, axis, never)[0]
    assert "evaluation" not in read_json(run.summary)
    shutil.rmtree(run.model)
    for beginning in list(beginnings(run.events)):
        run.events.write_bytes(beginning)
        report(tutelage, run)
        text, html = check_page(run, axis, never)
        whole = [json.loads(line) for line in beginning.rpartition(b"\n")[0].split(b"\n") if line]
        has_losses = any(event["event"] in ("step", "validation") for event in whole)
        assert (axis in html) == has_losses
        assert ("Training not finished" in text) == any("step" in event for event in whole)
    for path in (run.events, run.environment, run.reference, run.checkpoints):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    report(tutelage, run)
    assert "Prepared, not yet trained" in check_page(run, axis, never)[0]


def report(tutelage, run):
    ended = tutelage("report", run.root)
    assert ended.code == 0, ended.err
    assert "Warning[" not in ended.out


def check_tree(run, html, kind):
    """Hold the drawn tree against the rows of the first step: what ends in it, and what it counts."""
    drawn = html[html.index('<ul class="tree">') : html.index('<section id="settings">')]
    ends = re.findall(r"row \d+(?: chosen| rejected| → [^<,\n]*)?", Page(drawn).text)
    objective = load_objective("dpo" if kind in ("dpo", "ipo") else "instruction")
    train = read_prepared(run, "train", objective.rows.answers)
    by_row = {unit.row: unit for unit in objective.training.units(train)}
    assert ends
    if kind in ("dpo", "ipo"):
        sides = [end.split()[2] for end in ends]
        assert sides.count("chosen") == sides.count("rejected") == len(ends) / 2
    elif kind in ("classification", "several labels"):
        labels = {train[place].example.row: train[place].response for place in range(len(train))}
        for end in ends:
            row, label = re.fullmatch(r"row (\d+) → (.*)", end.strip()).groups()
            assert labels[int(row)] in label
    rows = {int(end.split()[1]) for end in ends}
    apart = sum(len(example.read_ids) for row in rows for example in by_row[row].examples)
    assert f"{apart:,} tokens row by row" in Page(html).text


@pytest.mark.parametrize("gone", ["test.jsonl", "test.ids.npy", "preparation.json"])
def test_a_report_warns_of_rows_that_are_gone(tutelage, workplace, model, gone):
    write_rows(Path("rows.json"), alpaca_values(60))
    given = [
        word
        for name, value in {"model.name_or_path": model, **SETTINGS, **ANSWERS}.items()
        for word in ("--set", f"{name}={value}")
    ]
    assert tutelage("run", "--data", "rows.json", "--output", "mine", *given).code == 0
    run = RunFolder(workplace / "mine")
    (run.data / gone).unlink()
    ended = tutelage("report", run.root)
    if gone == "preparation.json":  # without which nothing is known of the rows
        assert (ended.code, "error[run.file_missing]" in ended.err) == (2, True)
        return
    assert ended.code == 0, ended.err
    assert "Warning[run.file_changed]" in ended.out
    assert f"has changed since it was written: {gone} is missing" in Page(run.report.read_text()).text
