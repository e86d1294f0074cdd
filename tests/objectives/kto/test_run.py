"""KTO from a file of labelled answers to its report, and on answers made of the book's pairs."""

import json

import numpy as np
import pytest
from support.book_data import book_file
from support.command_line import contents
from support.judged import labelled_values
from support.pages import Page
from support.pairs import preference_values
from support.rows import write_rows
from support.tiers import slow

from tutelage.evaluation.stats.clusters import cluster_rows
from tutelage.objectives.kto.evaluation import LINES
from tutelage.objectives.kto.loss import Judged
from tutelage.objectives.kto.margin import margin_of_means
from tutelage.run.folder import RunFolder, read_json
from tutelage.run.lines import read_json_lines
from tutelage.training import loop

TUNE = [
    "--set", "training.objective=kto",
    "--set", "training.dtype=float32",
    "--set", "training.num_train_epochs=1",
    "--set", "training.learning_rate=0.02",
    "--set", "training.sample_prompts=0",
    "--set", "data.train_size=0.6",
    "--set", "data.test_size=0.3",
    "--set", "evaluation.max_new_tokens=8",
    "--set", "evaluation.general_text=false",
]  # fmt: skip
SMALL = ["--set", "adapter.r=2"]


@pytest.fixture
def place(workplace):
    write_rows(workplace / "my.json", labelled_values(preference_values(60)))
    return workplace


def begin(model, output="mine"):
    return ["--data", "my.json", "--output", output, "--set", f"model.name_or_path={model}", *TUNE]


@pytest.mark.usefixtures("few_prompts", "in_this_process")
def test_one_command_goes_from_labelled_answers_to_a_report_whose_figures_are_those_of_the_rows(
    tutelage, place, model
):
    ended = tutelage("run", *begin(model), *SMALL)
    assert ended.code == 0, ended.err
    run = RunFolder(place / "mine")
    check_events(run)
    lines = read_json_lines(run.evaluation / LINES)
    found = read_json(run.summary)["evaluation"]
    check_figures(found, lines)
    answered = read_json_lines(run.responses("tuned"))
    assert {one["row"] for one in answered} == {one["row"] for one in lines if one["label"]}
    assert found["sentence"] in " ".join(ended.out.split())
    page = Page(run.report.read_text())
    assert "Answers that moved most in the wrong direction" in page.text
    check_verify(tutelage, run)
    assert tutelage("export", "mine", "--to", "hf").code == 0
    assert tutelage("run", *begin(model, "other"), *SMALL, "--set", "training.seed=5").code == 0
    compared = tutelage("compare", "mine", "other")
    assert compared.code == 0, compared.err


def check_events(run):
    """Before the first step nothing has moved, and every answer loses one half."""
    events = read_json_lines(run.events)
    first, *_, last = (event for event in events if event["event"] == "validation")
    assert first["loss"] == pytest.approx(0.5, abs=1e-4)
    assert (first["kl"], first["margin"]) == pytest.approx((0, 0), abs=1e-3)
    assert last["margin"] == pytest.approx(last["desirable_reward"] - last["undesirable_reward"])
    assert last["margin"] > 0.1
    assert last["loss"] < first["loss"]


def check_figures(found, lines):
    rewards = np.array([0.1 * (line["tuned"] - line["base"]) for line in lines])
    labels = np.array([line["label"] for line in lines])
    expected = margin_of_means(rewards, labels, cluster_rows([line["prompt"] for line in lines]))
    figures = found["figures"]
    assert figures["margin"]["mean"] == pytest.approx(rewards[labels].mean() - rewards[~labels].mean())
    assert (figures["margin"]["low"], figures["margin"]["high"]) == pytest.approx(
        (expected.low, expected.high)
    )
    assert figures["rows"] == {"desirable": labels.sum(), "undesirable": (~labels).sum()}
    assert figures["rewards"]["undesirable"] == pytest.approx(rewards[~labels].mean())
    assert figures["bits_per_byte"]["desirable"]["tuned"] == pytest.approx(
        found["metrics"]["bits_per_byte"]["tuned"]
    )
    assert found["rows"] == labels.sum(), "the metrics are those of answers to the prompts of desirable ones"
    assert (found["objective"], found["verdict"]) == ("kto", "better")
    assert figures["margin"]["low"] > 0


def check_verify(tutelage, run):
    """The steps can be made again to the bit, and a changed reference is found and not believed."""
    before = contents(run.root)
    assert tutelage("verify", "mine", "--from-step", "0").code == 0
    assert contents(run.root) == before
    whole = run.reference.read_text()
    changed = json.loads(whole)
    changed["train"]["log_probs"][0][1] += 1.0
    run.reference.write_text(json.dumps(changed))
    assert tutelage("verify", "mine").code == 4
    run.reference.write_text(whole)


def test_a_training_that_was_cut_off_goes_on_to_the_same_bytes(tutelage, place, model, monkeypatch):
    more = [*SMALL, "--set", "training.max_steps=8", "--set", "training.save_steps=2"]
    assert tutelage("prepare", *begin(model, "straight"), *more).code == 0
    assert tutelage("train", "straight").code == 0
    assert tutelage("prepare", *begin(model, "cut"), *more).code == 0
    step, taken = loop.optimizer_step, []

    def until_the_sixth(*given, **named):
        taken.append(1)
        if len(taken) == 6:
            raise SystemExit(9)  # as a kill would, at no point that the loop foresees
        return step(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "optimizer_step", until_the_sixth)
        assert tutelage("train", "cut").code == 9
    resumed = tutelage("train", "cut")
    assert resumed.code == 0, resumed.err
    straight, cut = (RunFolder(place / name) for name in ("straight", "cut"))
    assert read_json(cut.training)["resumed"] == [4]
    weights = "adapter_model.safetensors"
    assert (cut.model / weights).read_bytes() == (straight.model / weights).read_bytes()


LORA = ["adapter.r=8", "training.learning_rate=0.002", "training.num_train_epochs=3"]
FULL = ["training.method=full", "training.learning_rate=0.002"]


def evaluated_on_the_book(tutelage, place, model, settings):
    """What the evaluation says after a training on both answers of 240 of the book's pairs."""
    pairs = json.loads(book_file().with_name("instruction-data-with-preference.json").read_text())
    asked = [{**pair, "prompt": f"{pair['instruction']}\n\n{pair['input']}".strip()} for pair in pairs[:240]]
    write_rows(place / "my.json", labelled_values(asked))
    ended = tutelage("run", *begin(model), *(part for setting in settings for part in ("--set", setting)))
    assert ended.code == 0, ended.err
    return read_json(RunFolder(place / "mine").summary)["evaluation"]


@pytest.mark.parametrize("settings", [LORA, slow(FULL)], ids=["lora", "every weight"])
def test_on_answers_of_the_books_pairs_the_margin_rises(tutelage, place, model, settings):
    found = evaluated_on_the_book(tutelage, place, model, settings)
    margin = found["figures"]["margin"]
    assert 0.05 < margin["low"] < margin["mean"] < margin["high"]
    assert found["verdict"] == "better"


def test_a_loss_that_takes_every_answer_as_desirable_is_caught(tutelage, place, model, monkeypatch):
    monkeypatch.setattr(Judged, "is_desirable", True)
    found = evaluated_on_the_book(tutelage, place, model, LORA)
    assert found["verdict"] != "better"


def test_rows_without_a_label_are_refused_before_anything_is_trained(tutelage, place, model):
    write_rows(place / "my.json", [{"prompt": "a", "completion": "b"}] * 3)
    for words in (["check", "my.json", "--set", "training.objective=kto"], ["prepare", *begin(model)]):
        ended = tutelage(*words)
        assert ended.code == 2
        assert "data.kto_label_missing" in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ["training.objective=kto", "preference.loss=ipo"],
        ["training.objective=kto", "preference.label_smoothing=0.1"],
        ["training.objective=kto", "data.train_on=all"],
        ["training.objective=dpo", "preference.desirable_weight=2"],
        ["training.objective=instruction", "preference.desirable_weight=2"],
    ],
)
def test_a_setting_of_another_objective_is_refused(tutelage, place, words):
    ended = tutelage("prepare", "--data", "my.json", *(part for word in words for part in ("--set", word)))
    assert ended.code == 2
    assert words[1].split("=")[0].split(".")[0] in ended.err
