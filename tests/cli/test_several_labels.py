"""A classification whose texts have several labels or none, from a file to its report, its labels and its export."""

import csv
import io
import json

import numpy as np
import pytest
from transformers import pipeline

from tutelage.objectives.classification import reload as reload_classes
from tutelage.run.folder import PREDICTIONS, RunFolder, read_json
from tutelage.run.lines import read_json_lines

WORDS = ("fig", "lime", "kiwi", "date", "pear", "plum", "melon", "peach")
# A text wins, eats, does both or neither; what it does stands in its first words.
BEGINS = {"prize|talk": "Win and ate", "prize": "Win it", "talk": "I ate", "": "See a"}
TEXTS = [
    (f"{begin} {number} {WORDS[number % 8]}", labels)
    for labels, begin in BEGINS.items()
    for number in range(30)
]
TUNE = [
    "--set", "training.objective=classification",
    "--set", "data.label_separator=|",
    "--set", "data.keep_empty_output=true",
    "--set", "training.dtype=float32",
    "--set", "training.num_train_epochs=8",
    "--set", "training.learning_rate=0.01",
    "--set", "data.train_size=0.6",
    "--set", "data.test_size=0.3",
]  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with (tmp_path / "my.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *TEXTS])
    return tmp_path


@pytest.fixture
def begin(model):
    return ["--data", "my.csv", "--output", "mine", "--set", f"model.name_or_path={model}", *TUNE]


def said_by(outcome):
    return " ".join(outcome.out.split())


def test_one_command_goes_from_a_file_to_a_report_whose_figures_are_those_of_the_predictions(
    tutelage, place, begin, monkeypatch
):
    ended = tutelage("run", *begin)
    assert ended.code == 0, ended.err
    run = RunFolder(place / "mine")
    assert read_json(run.preparation)["classes"] == ["prize", "talk"]
    rows = read_json_lines(run.evaluation / PREDICTIONS)
    result = read_json(run.summary)["evaluation"]
    right = np.mean([row["predicted"] == row["label"] for row in rows])
    assert right > 0.9, "what can be told by the first words is told"
    assert result["accuracy"]["value"] == pytest.approx(right)
    found = result["baselines"]
    assert found["validation_rows"] >= 10
    assert found["validation"][found["strongest"]] == max(found["validation"].values())
    strongest = found[found["strongest"]]
    assert strongest["accuracy"] > found["majority"]["accuracy"], "counting words tells these texts apart too"
    assert (strongest["p"] < 0.05) == (result["verdict"] != "no difference detectable")
    assert result["verdict"] == "no difference detectable"
    assert found["majority"]["p"] < 0.05, "against the most frequent labels it would be better"
    assert {row["label"] for row in rows} == set(BEGINS)
    wanted, given = ([set(row[key].split("|")) - {""} for row in rows] for key in ("label", "predicted"))
    hits = sum(len(one & other) for one, other in zip(wanted, given, strict=True))
    assert result["micro_f1"] == pytest.approx(2 * hits / sum(map(len, [*wanted, *given])))
    for label in result["classes"]:
        name = label["label"]
        both = sum(name in one and name in other for one, other in zip(wanted, given, strict=True))
        assert label["recall"]["value"] == pytest.approx(both / sum(name in one for one in wanted))
        assert label["precision"]["value"] == pytest.approx(both / sum(name in one for one in given))
    for row in rows:
        surest = [max(value, 1 - value) for value in row["probabilities"].values()]
        assert row["probability"] == pytest.approx(np.prod(surest))
        by_half = sorted(name for name, value in row["probabilities"].items() if value >= 0.5)
        assert row["predicted"] == "|".join(by_half)
    assert "test rows have exactly the right labels" in said_by(ended)
    assert f"Micro F1 is {result['micro_f1']:.3f}" in said_by(ended)
    page = run.report.read_text()
    assert "A text may have several labels or none" in page
    assert "Confusion matrix" not in page
    assert result["baselines"]["tf_idf"]["accuracy"] > 0.9
    check_classify(tutelage, place, rows)
    check_export(tutelage, place, run, rows, monkeypatch)
    assert tutelage("verify", "mine").code == 0


def check_classify(tutelage, place, rows):
    chosen = [next(row for row in rows if row["predicted"] == labels) for labels in BEGINS]
    said = tutelage("classify", "mine", *(row["text"] for row in chosen)).out.splitlines()
    assert said == [
        f"{repr(row['predicted']) if row['predicted'] else '(none)'}  {row['probability']:.3f}"
        for row in chosen
    ]
    with (place / "new.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["text"], *([row["text"]] for row in rows)])
    found = list(csv.DictReader(io.StringIO(tutelage("classify", "mine", "--file", "new.csv").out)))
    assert [row["predicted"] for row in found] == [row["predicted"] for row in rows]
    assert float(found[0]["probability.talk"]) == pytest.approx(rows[0]["probabilities"]["talk"], abs=1e-5)
    refused = tutelage("classify", "mine", "Win it", "--threshold", "0.3")
    assert refused.code == 2
    assert "several per text" in " ".join(refused.err.split())


def check_export(tutelage, place, run, rows, monkeypatch):
    """transformers' own pipeline gives each label the probability that the run gives it."""
    monkeypatch.setattr(
        "tutelage.objectives.classification.export.reload",
        lambda module, job: reload_classes.main([str(job)]),
    )
    ended = tutelage("export", "mine", "--to", "hf")
    assert ended.code == 0, ended.err
    folder = place / "mine" / "export" / "hf"
    assert json.loads((folder / "config.json").read_text())["problem_type"] == "multi_label_classification"
    classify = pipeline("text-classification", model=str(folder))
    for row, scores in zip(rows[:8], classify([row["text"] for row in rows[:8]], top_k=None), strict=True):
        assert {one["label"]: one["score"] for one in scores} == pytest.approx(row["probabilities"], abs=1e-4)
    proof = read_json(run.export / "verification.json")["hf"]
    assert proof["answers_equal"] == proof["prompts"]
    assert "gives\nevery label with a probability of at least 0.5" in (folder / "README.md").read_text()


def test_lists_of_labels_are_the_same_as_texts_with_a_sign_between(tutelage, place, begin):
    with_lists = [
        {"text": text, "label": labels.split("|")[::-1] if labels else []} for text, labels in TEXTS
    ]
    (place / "my.json").write_text(json.dumps(with_lists))
    assert tutelage("prepare", *begin).code == 0
    prepared = tutelage("prepare", "--data", "my.json", "--output", "lists", *begin[4:])
    assert prepared.code == 0, prepared.err
    one, other = (RunFolder(place / name) for name in ("mine", "lists"))
    assert read_json_lines(one.split("train")) == read_json_lines(other.split("train"))
    for key in ("classes", "label_sets"):
        assert read_json(one.preparation)[key] == read_json(other.preparation)[key]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a|b", "c"], "with a label that contains data.label_separator, '|'"),
        ([1.5], "with a label that is not text"),
        ({"a": 1}, "'label' that is not text"),
    ],
)
def test_labels_that_cannot_be_read_are_told_with_their_rows(tutelage, place, begin, labels, message):
    rows = [{"text": f"Text {n}", "label": ["c", "d"][: n % 3]} for n in range(30)]
    (place / "my.json").write_text(json.dumps([*rows, {"text": "odd", "label": labels}]))
    refused = tutelage("prepare", "--data", "my.json", "--output", "odd", *begin[4:])
    assert refused.code == 2
    assert message in " ".join(refused.err.split())
    assert "30" in refused.err


def test_lists_of_labels_without_a_sign_are_told_which_setting_they_need(tutelage, place, model):
    (place / "my.json").write_text(
        json.dumps([{"text": f"Text {n}", "label": ["a", "b"]} for n in range(30)])
    )
    refused = tutelage("check", "my.json", "--set", f"model.name_or_path={model}")
    assert refused.code == 2
    assert "--set data.label_separator=';'" in " ".join(refused.err.split())


def test_a_text_without_labels_is_dropped_unless_empty_ones_are_kept(tutelage, place, begin):
    dropping = [word.replace("keep_empty_output=true", "keep_empty_output=false") for word in begin]
    assert tutelage("prepare", *dropping).code == 0
    rows = read_json(RunFolder(place / "mine").preparation)["rows"]
    assert (rows["kept"], rows["dropped"]) == (90, 30)


@pytest.mark.parametrize("setting", ["training.class_weights=balanced", "evaluation.zero_shot=true"])
def test_what_goes_by_one_label_is_refused(tutelage, place, begin, setting):
    refused = tutelage("prepare", *begin, "--set", setting)
    assert refused.code == 2
    assert "data.label_separator is set" in " ".join(refused.err.split())


def test_a_label_that_no_training_row_has_is_named_though_it_stands_beside_others(tutelage, place, begin):
    with (place / "my.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *TEXTS, ("the last one of all", "talk|rare")])
    refused = tutelage("prepare", *begin, "--set", "data.split=position")
    assert refused.code == 2
    assert "no training row has the label 'rare'" in " ".join(refused.err.split())
