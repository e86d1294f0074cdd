"""Preference tuning from a file of pairs to its report, what it goes on from, and what speaks against it."""

import json
import math

import numpy as np
import pytest
from support.command_line import contents
from support.pairs import preference_values
from support.rows import alpaca_values, write_rows

from tutelage.run.folder import PREFERENCES, RunFolder, read_json, split_files
from tutelage.run.lines import read_json_lines
from tutelage.system.storage import file_sha256

TUNE = [
    "--set", "training.objective=dpo",
    "--set", "training.dtype=float32",
    "--set", "training.num_train_epochs=1",
    "--set", "training.learning_rate=0.02",
    "--set", "training.sample_prompts=0",
    "--set", "adapter.r=2",
    "--set", "data.train_size=0.6",
    "--set", "data.test_size=0.3",
    "--set", "evaluation.max_new_tokens=8",
]  # fmt: skip


@pytest.fixture
def place(workplace):
    write_rows(workplace / "my.json", preference_values(60))
    return workplace


@pytest.fixture
def begin(model):
    return ["--data", "my.json", "--output", "mine", "--set", f"model.name_or_path={model}", *TUNE]


def shown(ended):
    """What stood on standard output, each run of white space as one space."""
    return " ".join(ended.out.split())


def test_one_command_goes_from_pairs_to_a_report_whose_figures_are_those_of_the_rows(tutelage, place, begin):
    ended = tutelage("run", *begin)
    assert ended.code == 0, ended.err
    run = RunFolder(place / "mine")
    check_events(run)
    rows = read_json_lines(run.evaluation / PREFERENCES)
    found = read_json(run.summary)["evaluation"]
    check_figures(found, rows)
    assert found["sentence"] in shown(ended)
    page = run.report.read_text()
    assert "Pairs with the lowest margins" in page
    assert "Confusion matrix" not in page
    assert "nats per supervised token" not in page
    assert "the rejected one is not used" not in page
    check_verify(tutelage, run)
    check_other_settings(tutelage)


def check_events(run):
    """Every step and validation says what became of both answers; before the first step nothing has."""
    events = read_json_lines(run.events)
    told = [event for event in events if event["event"] in ("step", "validation")]
    assert all({"chosen_reward", "rejected_reward", "margin", "accuracy"} <= event.keys() for event in told)
    first, *_, last = (event for event in events if event["event"] == "validation")
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert next(event for event in events if event["event"] == "step")["loss"] == pytest.approx(
        math.log(2), abs=1e-4
    )
    assert last["margin"] > 0.1
    assert last["accuracy"] > 0.9
    assert last["margin"] == pytest.approx(last["chosen_reward"] - last["rejected_reward"])


def check_figures(found, rows):
    before, after = (
        np.array([[row[variant][side] for side in ("chosen", "rejected")] for row in rows])
        for variant in ("base", "tuned")
    )
    margins = 0.1 * ((after - before)[:, 0] - (after - before)[:, 1])
    figures = found["preference"]
    assert figures["rows"] == len(rows)
    assert figures["accuracy"]["value"] == pytest.approx((margins > 0).mean())
    assert figures["margin"]["mean"] == pytest.approx(margins.mean())
    assert figures["chosen_likelier"]["tuned"]["value"] == pytest.approx((after[:, 0] > after[:, 1]).mean())
    assert figures["bits_per_byte"]["chosen"]["base"] == pytest.approx(
        found["metrics"]["bits_per_byte"]["base"]
    )
    wanted = [
        -total / math.log(2) / (len(row["rejected"]) + 1)
        for total, row in zip(after[:, 1], rows, strict=True)
    ]
    assert figures["bits_per_byte"]["rejected"]["tuned"] == pytest.approx(np.mean(wanted))
    assert (found["verdict"], found["objective"]) == ("better", "dpo")
    assert "tokens" in found["sentence"]


def check_verify(tutelage, run):
    """The steps can be made again to the bit, and a changed reference is found and not believed."""
    before = contents(run.root)
    assert tutelage("verify", "mine", "--from-step", "0").code == 0
    assert contents(run.root) == before
    whole = run.reference.read_text()
    changed = json.loads(whole)
    changed["train"]["log_probs"][0][0] += 1.0
    run.reference.write_text(json.dumps(changed))
    ended = tutelage("verify", "mine")
    assert ended.code == 4
    assert "the numbers of train do not match their checksum" in " ".join(ended.err.split())
    assert tutelage("train", "mine", "--overwrite", "--set", "training.max_steps=1").code == 0
    assert json.loads(run.reference.read_text()) == json.loads(whole)


def check_other_settings(tutelage):
    ended = tutelage("evaluate", "mine", "--set", "preference.beta=0.5", "--set", "training.max_steps=1")
    assert ended.code == 2
    assert "preference.beta (was 0.1, now 0.5)" in ended.err


@pytest.mark.parametrize("loss", ["ipo", "orpo", "simpo"])
def test_every_other_loss_trains_and_those_without_a_start_keep_none(tutelage, place, begin, loss):
    more = ["--set", f"preference.loss={loss}", "--set", "preference.beta=0.5"]
    assert tutelage("prepare", *begin, *more).code == 0
    ended = tutelage("train", "mine")
    assert ended.code == 0, ended.err
    run = RunFolder(place / "mine")
    assert run.reference.exists() == (loss == "ipo")
    losses = read_json(run.training)["loss"]
    assert losses["best"] < losses["before"]


def test_every_weight_can_be_trained_and_the_start_is_still_known(tutelage, place, begin):
    words = [*begin, "--set", "training.method=full", "--set", "training.learning_rate=0.001"]
    words.pop(words.index("adapter.r=2") - 1)
    words.remove("adapter.r=2")
    assert tutelage("prepare", *words).code == 0
    assert tutelage("train", "mine").code == 0
    run = RunFolder(place / "mine")
    first, *_, last = (event for event in read_json_lines(run.events) if event["event"] == "validation")
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert last["accuracy"] > 0.9


def test_a_dry_run_counts_pairs_and_writes_nothing(tutelage, place, begin):
    before = contents(place)
    ended = tutelage("run", *begin, "--dry-run")
    assert ended.code == 0, ended.err
    assert " pairs, on this CPU" in ended.out
    assert contents(place) == before


def test_preview_shows_both_answers_and_their_prompt_in_the_tree_once(tutelage, place, begin):
    words = [word for word in begin if word not in ("--output", "mine")]
    ended = tutelage("preview", *words, "--tree", "1")
    assert ended.code == 0, ended.err
    told = shown(ended)
    assert told.index("Chosen answer") < told.index("Gladly: pear.") < told.index("Rejected answer")
    assert "No, take 0 yourself." in told[told.index("Rejected answer") :]
    assert "Prefix tree of 1 row" in told


def test_pairs_that_say_nothing_are_dropped_with_the_reason(tutelage, place, begin):
    good = preference_values(60)
    bad = [
        {"prompt": "Say a.", "chosen": "b", "rejected": " b "},
        {"prompt": "Say c.", "chosen": "d", "rejected": " "},
        {"prompt": "Say e.", "chosen": "", "rejected": "f"},
        {
            "chosen": [{"role": "user", "content": "Say g."}, {"role": "assistant", "content": "g"}],
            "rejected": [{"role": "user", "content": "Say h."}, {"role": "assistant", "content": "i"}],
        },
        good[0],
        {**good[0], "rejected": "Never."},  # another pair
    ]
    write_rows(place / "my.json", [*good, *bad])
    assert tutelage("prepare", *begin).code == 0
    run = RunFolder(place / "mine")
    told = [
        (one["outcome"], [reason["code"] for reason in one["reasons"]])
        for one in read_json_lines(run.ledger)[60:]
    ]
    assert told == [
        ("dropped", ["data.rejected_equals_chosen"]),
        ("dropped", ["data.empty"]),
        ("dropped", ["data.empty"]),
        ("dropped", ["data.rejected_other_prompt"]),
        ("dropped", ["data.duplicate_row"]),
        ("kept", []),
    ]
    words = [word for word in begin if word not in ("--output", "mine")]
    assert "61 kept, 0 repaired, 5 dropped" in shown(tutelage("check", *words))


def test_the_label_of_kto_rows_is_named_before_their_lack_of_a_pair(tutelage, place, begin):
    rows = [{"prompt": f"Say {row}.", "completion": "b", "label": row % 2 == 0} for row in range(8)]
    write_rows(place / "my.json", rows)
    ended = tutelage("prepare", *begin)
    assert (ended.code, "error[data.kto_rows]" in ended.err) == (2, True)
    write_rows(place / "my.json", rows[::2])
    ended = tutelage("prepare", *begin)
    assert (ended.code, "error[data.not_preference]" in ended.err) == (2, True)


def test_a_pair_whose_longer_answer_does_not_fit_is_named_or_dropped(tutelage, place, begin):
    long = {"prompt": "Say a.", "chosen": "b", "rejected": "no " * 200}
    write_rows(place / "my.json", [*preference_values(60), long])
    ended = tutelage("run", *begin)
    assert ended.code == 2
    assert "Row 60" in ended.err
    assert "longer than" in ended.err
    assert tutelage("prepare", *begin, "--set", "data.overlong=drop").code == 0
    assert read_json_lines(RunFolder(place / "mine").ledger)[60]["outcome"] == "dropped"


def test_the_split_by_position_keeps_both_answers_together(tutelage, place, begin):
    assert tutelage("prepare", *begin, "--split", "position").code == 0
    run = RunFolder(place / "mine")
    for split in ("train", "test", "validation"):
        chosen, rejected = (
            read_json_lines(split_files(run.data, split, side).texts) for side in ("", "rejected")
        )
        assert [one["row"] for one in chosen] == [one["row"] for one in rejected]
        assert all(one["prompt"] == other["prompt"] for one, other in zip(chosen, rejected, strict=True))
    assert not list(run.data.glob("undivided*"))


def test_rows_with_one_answer_are_no_preferences(tutelage, place, begin):
    write_rows(place / "my.json", alpaca_values(30))
    ended = tutelage("run", *begin)
    assert ended.code == 2
    assert "--map rejected=NAME" in " ".join(ended.err.split())
    assert not (place / "mine" / "data").exists()


def test_rejected_answers_that_are_gone_are_told(tutelage, place, begin):
    assert tutelage("prepare", *begin).code == 0
    for path in (place / "mine" / "data").glob("train.rejected*"):
        path.unlink()
    ended = tutelage("train", "mine")
    assert ended.code == 2
    assert "The rejected answers of the prepared rows are missing" in " ".join(ended.err.split())


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            ["training.objective=instruction", "preference.beta=0.2"],
            "[preference] needs training.objective=dpo",
        ),
        (["data.train_on=all"], "data.train_on=all cannot be used"),
        (["preference.gamma=1.0"], "gamma belongs to the loss simpo, but the loss is sigmoid"),
        (
            ["preference.loss=ipo", "preference.label_smoothing=0.1"],
            "label_smoothing belongs to the losses sigmoid",
        ),
        (["preference.label_smoothing=0.5"], "less than 0.5"),
        (["preference.bta=0.5"], "Did you mean preference.beta?"),
    ],
)
def test_settings_that_cannot_be_honoured_are_told(tutelage, place, begin, settings, told):
    more = [word for one in settings for word in ("--set", one)]
    ended = tutelage("run", *begin, *more)
    assert ended.code == 2
    assert told in " ".join(ended.err.split())


@pytest.mark.usefixtures("few_prompts", "in_this_process")
def test_a_run_goes_on_from_another_once_that_is_exported(tutelage, place, model):
    """The way that the guide shows: instructions first, preferences on the merged weights."""
    write_rows(place / "rows.json", alpaca_values(40))
    first = ["--set", "training.max_steps=1", "--set", "training.dtype=float32", "--set", "adapter.r=2"]
    words = ["--data", "rows.json", "--output", "first", "--set", f"model.name_or_path={model}", *first]
    assert tutelage("prepare", *words).code == 0
    assert tutelage("train", "first").code == 0
    second = ["--data", "my.json", "--output", "second", "--set", "model.name_or_path=first", *TUNE]
    refused = tutelage("prepare", *second)
    assert refused.code == 2
    assert f"`tutelage export {place / 'first'} --to hf`" in refused.err
    assert tutelage("export", "first", "--to", "hf").code == 0
    assert tutelage("prepare", *second, "--set", "training.max_steps=1").code == 0
    ended = tutelage("train", "second")
    assert ended.code == 0, ended.err
    merged = file_sha256(place / "first" / "export" / "hf" / "model.safetensors")
    assert read_json(RunFolder(place / "second").preparation)["model_sha256"] == merged
