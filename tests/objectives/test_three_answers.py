"""An objective whose rows have three answers, with names of its own, goes through every stage that handles rows."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from support import ranking
from support.pairs import preference_values
from support.ranking import rows as ranking_rows
from support.ranking import training
from support.rows import alpaca_values, write_rows
from support.tiny_models import END

from tutelage.config.objectives import OBJECTIVES
from tutelage.objectives import PACKAGES, load_objective
from tutelage.run.folder import SPLITS, RunFolder, read_json, split_files
from tutelage.run.lines import read_json_lines
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import merge

NAMES = ("written", "shouted", "halved")
TUNE = [
    "--set", "training.objective=ranking",
    "--set", "training.dtype=float32",
    "--set", "training.max_steps=4",
    "--set", "training.learning_rate=0.02",
    "--set", "training.sample_prompts=1",
    "--set", "training.per_device_train_batch_size=2",
    "--set", "adapter.r=2",
    "--set", "data.train_size=0.5",
    "--set", "data.test_size=0.3",
    "--set", "evaluation.max_new_tokens=8",
    "--set", "evaluation.general_text=false",
]  # fmt: skip


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """Make the two entries by which the program finds it."""
    monkeypatch.setitem(OBJECTIVES, "ranking", ranking.INFO)
    monkeypatch.setitem(PACKAGES, "ranking", "support.ranking")


@pytest.fixture
def place(workplace):
    write_rows(workplace / "my.json", alpaca_values(40))
    return workplace


@pytest.fixture
def of_model(model):
    return ["--set", f"model.name_or_path={model}"]


@pytest.mark.parametrize("split", ["group", "position"])
def test_all_answers_stand_row_for_row_in_files_of_their_names(tutelage, place, of_model, split):
    begin = ["--data", "my.json", "--output", "mine", "--split", split, *of_model, *TUNE]
    ended = tutelage("prepare", *begin)
    assert ended.code == 0, ended.err
    run, given = RunFolder(place / "mine"), json.loads((place / "my.json").read_text())
    prepared = read_json(run.preparation)
    texts = sorted(path.name for path in run.data.glob("*.jsonl"))
    assert texts == sorted(
        ["ledger.jsonl", *(f"{one}{name}.jsonl" for one in SPLITS for name in ("", ".shouted", ".halved"))]
    )
    tokens = 0
    for one in SPLITS:
        lines = [read_json_lines(split_files(run.data, one, name).texts) for name in ("", *NAMES[1:])]
        assert len(lines[0]) == prepared["rows"][one] > 0
        for written, *others in zip(*lines, strict=True):
            wanted = ranking_rows.spoilt(given[written["row"]]["output"])
            assert [written["response"], *(other["response"] for other in others)] == list(wanted)
            assert {other["row"] for other in others} == {written["row"]}
        tokens += sum(line["tokens"] for each in lines for line in each) if one == "train" else 0
    assert prepared["tokens"]["train"] == tokens


def test_it_is_trained_evaluated_reported_and_verified(tutelage, place, of_model):
    ended = tutelage("run", "--data", "my.json", "--output", "mine", *of_model, *TUNE)
    assert ended.code == 0, ended.err
    run = RunFolder(place / "mine")
    page = run.report.read_text()
    for name in NAMES:
        assert f"shortest, the {name} answer" in page
    tree = page[page.index('<ul class="tree">') :]
    assert len({*NAMES} & {*re.findall(r"row \d+ (\w+)", tree)}) == 3
    assert tutelage("verify", "mine").code == 0


def test_it_is_previewed_with_each_answer_by_its_name(tutelage, place, of_model):
    ended = tutelage("preview", "my.json", "--tree", "2", *of_model, "--set", "training.objective=ranking")
    assert ended.code == 0, ended.err
    for name in NAMES:
        assert f"{name.capitalize()} answer" in ended.out
        assert f"row 0 {name}" in ended.out
        assert f"row 1 {name}" in ended.out


def test_two_answers_may_have_other_names_than_their_fields(tutelage, place, of_model, monkeypatch):
    renamed = replace(load_objective("dpo").rows, answers=("better", "worse"))
    monkeypatch.setitem(load_objective("dpo").__dict__, "rows", renamed)
    values = preference_values(60)
    values[7] = {**values[7], "rejected": values[7]["chosen"]}
    write_rows(place / "my.json", values)
    of_pairs = [*of_model, "--set", "training.objective=dpo"]
    ended = tutelage("prepare", "--data", "my.json", "--output", "mine", *of_pairs)
    assert ended.code == 0, ended.err
    run = RunFolder(place / "mine")
    worse = [one for split in SPLITS for one in read_json_lines(split_files(run.data, split, "worse").texts)]
    assert {one["row"]: one["response"] for one in worse} == {
        row: one["rejected"] for row, one in enumerate(values) if row != 7
    }
    [undecided] = read_json_lines(run.ledger)[7]["reasons"]
    assert undecided["code"] == "data.rejected_equals_chosen"
    assert "data.rejected_not_used" not in [note["code"] for note in read_json(run.preparation)["notes"]]
    shown = tutelage("preview", "my.json", *of_pairs).out
    assert "Worse answer" in shown
    assert "Rejected answer" not in shown


def test_the_loss_is_that_of_the_ranking():
    examples = tuple(Example(0, (5, 6, word, END), 2, 2) for word in (7, 8, 9))
    found = [-1.0, -2.5, -4.0]  # nats of the whole answers

    def log_probs(model, tree):
        return torch.tensor([half for total in found for half in (total, 0.0)], dtype=torch.float64)

    units = [training.Ranked(examples)]
    told = {"normalizer": 1, "statistic": None, "log_probs": log_probs, "answers": 3}
    loss = training.ranking_loss(None, merge(examples), units, **told).loss.item()
    likely = np.exp(found)
    wanted = -np.log(likely[0] / likely.sum()) - np.log(likely[1] / likely[1:].sum())
    assert loss == pytest.approx(wanted, rel=1e-12)
    assert loss != pytest.approx(-np.log(likely[0] / likely.sum())), "not the best against all others alone"
