"""A classification from a file of texts and labels to its report, and what speaks against one."""

import csv
import io
import json
import re

import numpy as np
import pytest
from support.command_line import contents
from support.tiers import slow
from transformers import pipeline

from tutelage.evaluation.metrics.threshold import choose_threshold
from tutelage.model import class_head
from tutelage.run.folder import PREDICTIONS, RunFolder, read_json, split_files, write_json
from tutelage.run.lines import read_json_lines

WORDS = ("fig", "lime", "kiwi", "date", "pear", "plum", "melon", "peach")
TEXTS = {
    "prize": [f"Win {number} {WORDS[number % 8]} now" for number in range(40)],
    "talk": [f"I ate {number} {WORDS[number % 8]} today" for number in range(40)],
}
TUNE = [
    "--set", "training.objective=classification",
    "--set", "training.dtype=float32",
    "--set", "training.num_train_epochs=6",
    "--set", "training.learning_rate=0.02",
    "--set", "data.train_size=0.6",
    "--set", "data.test_size=0.3",
    "--map", "text=message",
]  # fmt: skip


@pytest.fixture
def place(workplace):
    write_rows(workplace, [(text, label) for label, texts in TEXTS.items() for text in texts])
    return workplace


def write_rows(folder, rows, names=("message", "label")):
    with (folder / "my.csv").open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])


@pytest.fixture
def begin(model):
    return ["--data", "my.csv", "--output", "mine", "--set", f"model.name_or_path={model}", *TUNE]


def test_one_command_goes_from_a_file_to_a_report_whose_figures_are_those_of_the_predictions(
    tutelage, place, begin
):
    ended = tutelage("run", *begin)
    assert ended.code == 0, ended.err
    assert "tutelage classify mine" in ended.out
    run = RunFolder(place / "mine")
    rows = read_json_lines(run.evaluation / PREDICTIONS)
    right = np.mean([row["predicted"] == row["label"] for row in rows])
    result = read_json(run.summary)["evaluation"]
    assert result["accuracy"]["value"] == pytest.approx(right)
    assert right > 0.9, "two kinds of texts that differ in their first word can be told apart"
    assert result["verdict"] == "better"
    assert sum(map(sum, result["confusion"])) == len(rows) == result["rows"]
    assert all(sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5) for row in rows)
    words = result["baselines"]["tf_idf"]
    assert words["accuracy"] > 0.9
    found = result["baselines"]
    # The file is so small that its validation rows are too few to choose on.
    assert (found["strongest"], found["validation_rows"]) == ("majority", 0)
    assert found["left_out"]["majority"]["code"] == "evaluate.too_few_validation_rows"
    assert result["sentence"].startswith("Better than the plainest baseline (the most frequent label, ")
    assert result["sentence"] in " ".join(ended.out.split())
    page = run.report.read_text()
    assert "the label of the nearest training text" in page
    assert "TF-IDF and logistic regression" in page
    assert "Confusion matrix" in page
    assert "Answers side by side" not in page
    check_classify(tutelage, place, rows)
    check_files_are_read_as_prepare_reads_them(tutelage, place)
    check_texts_are_repaired_as_in_training(tutelage, place)
    check_threshold(tutelage, place, run)
    check_zero_shot(tutelage, run)
    check_verbs_that_do_not_fit(tutelage)


def check_texts_are_repaired_as_in_training(tutelage, place):
    texts = ["Win 3 \ufffd\nnow", "Win 3 \ud83d\r\nn\x00ow"]
    (place / "odd.jsonl").write_text("".join(json.dumps({"message": text}) + "\n" for text in texts))
    done = tutelage("classify", "mine", "--file", "odd.jsonl")
    assert done.code == 0, done.err
    whole, odd = map(json.loads, done.out.splitlines())
    assert (odd["message"], odd["probabilities"]) == (texts[1], whole["probabilities"])


def test_a_stratified_split_gives_each_label_its_share_and_its_rows_are_those_of_the_source(
    tutelage, place, begin
):
    rare = [(f"Order {number} of {WORDS[number % 8]}", "rare") for number in range(10)]
    rows = [(text, label) for label, texts in TEXTS.items() for text in texts] + rare
    write_rows(place, rows)
    prepared = tutelage(
        "prepare", *begin, "--split", "stratified", "--set", "training.class_weights=balanced"
    )
    assert prepared.code == 0, prepared.err
    run = RunFolder(place / "mine")
    found = {name: read_json_lines(run.split(name)) for name in ("train", "test", "validation")}
    counts = {
        name: {label: sum(row["response"] == label for row in part) for label in ("prize", "talk", "rare")}
        for name, part in found.items()
    }
    assert counts["train"] == {"prize": 24, "talk": 24, "rare": 6}
    assert counts["test"] == {"prize": 12, "talk": 12, "rare": 3}
    for row in (row for part in found.values() for row in part):
        assert (row["prompt"], row["response"]) == rows[row["row"]]
    trained = tutelage("train", "mine", "--set", "training.max_steps=2")
    assert trained.code == 0, trained.err


def test_rows_whose_last_id_was_their_label_are_prepared_again_as_they_are_told(tutelage, place, begin):
    assert tutelage("prepare", *begin).code == 0
    run = RunFolder(place / "mine")
    files = split_files(run.data, "train")
    whole, labels = np.load(files.ids), np.load(files.table)["label"]
    assert set(labels.tolist()) == {0, 1}
    write_json(run.preparation, {**read_json(run.preparation), "format": 1})
    told = tutelage("train", "mine")
    assert told.code == 2
    assert "`tutelage prepare mine --overwrite`" in " ".join(told.err.split())
    again = tutelage("prepare", "mine", "--overwrite")
    assert again.code == 0, again.err
    assert read_json(run.preparation)["format"] == 3
    assert np.array_equal(np.load(files.ids), whole)
    assert np.load(files.table)["label"].tolist() == labels.tolist()


@pytest.mark.parametrize("kind", ["full", slow("last-block"), slow("head")])
def test_weights_trained_in_place_give_the_labels_that_the_evaluation_found(tutelage, place, begin, kind):
    ended = tutelage("run", *begin, "--set", f"training.method={kind}")
    assert ended.code == 0, ended.err
    run = RunFolder(place / "mine")
    assert sorted(path.name for path in run.model.glob("*.safetensors")) == ["trained_weights.safetensors"]
    assert read_json(run.summary)["evaluation"]["accuracy"]["value"] > 0.9
    known = read_json_lines(run.evaluation / PREDICTIONS)[:4]
    said = tutelage("classify", "mine", *(row["text"] for row in known))
    assert [line.split()[0] for line in said.out.splitlines()] == [repr(row["predicted"]) for row in known]
    proved = tutelage("verify", "mine")
    assert proved.code == 0, proved.err
    assert "are bit-identical to" in " ".join(proved.out.split())


def check_classify(tutelage, place, rows):
    """Texts and files get the labels and probabilities that the evaluation found."""
    known = rows[:3]
    before = contents(place / "mine")
    said = tutelage("classify", "mine", *(row["text"] for row in known))
    told = [f"{row['predicted']!r}  {row['probabilities'][row['predicted']]:.3f}" for row in known]
    assert said.out.splitlines() == told
    with (place / "new.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "message"), *((row["row"], row["text"]) for row in rows)])
    found = list(csv.DictReader(io.StringIO(tutelage("classify", "mine", "--file", "new.csv").out)))
    assert [row["predicted"] for row in found] == [row["predicted"] for row in rows]
    assert [int(row["id"]) for row in found] == [row["row"] for row in rows]
    for one, other in zip(found, rows, strict=True):
        assert float(one["probability.talk"]) == pytest.approx(other["probabilities"]["talk"], abs=1e-5)
    (place / "new.jsonl").write_text("".join(json.dumps({"message": row["text"]}) + "\n" for row in known))
    lines = tutelage("classify", "mine", "--file", "new.jsonl").out.splitlines()
    assert [json.loads(line)["predicted"] for line in lines] == [row["predicted"] for row in known]
    assert contents(place / "mine") == before
    (place / "odd.csv").write_text("words\nhello\n")
    for words, message in (
        ((), "Give either texts or --file"),
        (("  ",), "Text 1 is empty"),
        (("--file", "none.csv"), "error[data.not_found]"),
        (("--file", "my.txt"), "error[data.not_found]"),
        (("--file", "odd.csv"), "error[classify.missing_text_field]"),
    ):
        ended = tutelage("classify", "mine", *words)
        assert ended.code == 2
        assert message in ended.err.replace("\n", " ")


def check_files_are_read_as_prepare_reads_them(tutelage, place):
    """Encodings, delimiters, endings in capitals, columns of the user's own, and rows without a text."""
    text = "Win a fig; or tea"
    (place / "plain.jsonl").write_text(
        "".join(f'{{"message": "{one}"}}\n\n' for one in (text, "Café at nine"))
    )
    whole = [
        json.loads(line) for line in tutelage("classify", "mine", "--file", "plain.jsonl").out.splitlines()
    ]
    content = f'id;note;words;predicted\n1;=1+1;"{text}";by hand\n2;-5;;mine\n3;x;Café at nine;\n'
    (place / "NEW.CSV").write_bytes(content.encode("cp1252"))
    words = ["classify", "mine", "--file", "NEW.CSV", "--map", "text=words"]
    refused = tutelage(*words)
    assert (refused.code, refused.out) == (2, "")
    assert "error[data.wrong_encoding]" in refused.err
    misnamed = tutelage("classify", "mine", "--file", "NEW.CSV", "--map", "txt=words")
    assert (misnamed.code, misnamed.out) == (2, "")
    assert "error[data.unknown_map_field]" in misnamed.err
    assert "Did you mean text=words?" in misnamed.err
    done = tutelage(*words, "--set", "data.encoding=windows-1252")
    assert done.code == 0, done.err
    found = list(csv.DictReader(io.StringIO(done.out)))
    assert [row["predicted_2"] for row in found] == [whole[0]["predicted"], "", whole[1]["predicted"]]
    assert [row["predicted"] for row in found] == ["by hand", "mine", ""]
    assert [row["note"] for row in found] == ["'=1+1", "-5", "x"]
    assert "classify.unlabelled" in done.err
    assert "classify.column_taken" in done.err


def check_zero_shot(tutelage, run):
    """The base model is asked only where a setting says so, and nothing else is another for it."""
    before = read_json(run.summary)["evaluation"]
    assert before["baselines"]["zero_shot"] is None
    assert "the base model, given the label names" not in run.report.read_text()
    ended = tutelage("evaluate", "mine", "--set", "evaluation.zero_shot=true", "--overwrite")
    assert ended.code == 0, ended.err
    after = read_json(run.summary)["evaluation"]
    names = after["baselines"]["zero_shot"]
    assert 0 <= names["low"] <= names["accuracy"] <= names["high"] <= 1
    assert "the base model, given the label names" in " ".join(ended.out.split())
    assert "the base model, given the label names" in run.report.read_text()
    del (
        before["sentence"],
        after["sentence"],
        before["baselines"]["zero_shot"],
        after["baselines"]["zero_shot"],
    )
    assert after == before
    assert tutelage("evaluate", "mine", "--set", "evaluation.zero_shot=false", "--overwrite").code == 0


def check_threshold(tutelage, place, run):
    """The threshold is the one that the validation rows choose, as classify itself sees them, and no test row does."""
    validation = read_json_lines(run.split("validation"))
    with (place / "known.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["message"], *([row["prompt"]] for row in validation)])
    found = list(csv.DictReader(io.StringIO(tutelage("classify", "mine", "--file", "known.csv").out)))
    result = read_json(run.summary)["evaluation"]["threshold"]
    label = result["label"]
    is_label = np.array([row["response"] == label for row in validation])
    of_label = np.array([float(row[f"probability.{label}"]) for row in found])
    assert result["chosen"] == pytest.approx(choose_threshold(is_label, of_label), abs=1e-5)
    assert result["validation_rows"] == len(validation)
    metrics = read_json(run.metrics)
    write_json(run.metrics, {**metrics, "threshold": {**result, "chosen": float(np.median(of_label))}})
    for threshold, least in (
        ("validation", np.median(of_label)),
        ("0.999999", 0.999999),
        ("0.000001", 0.000001),
    ):
        said = tutelage("classify", "mine", "--file", "known.csv", "--threshold", threshold)
        given = [row["predicted"] == label for row in csv.DictReader(io.StringIO(said.out))]
        assert given == (of_label >= least).tolist(), threshold
    write_json(run.metrics, metrics)
    for word in ("1", "0", "-0.5", "nan", "much"):
        refused = tutelage("classify", "mine", "Win.", f"--threshold={word}")
        assert refused.code == 2
        assert "it must be a number between 0 and 1, or `validation`." in " ".join(refused.err.split())


def test_a_threshold_needs_two_labels_and_one_from_validation_rows_an_evaluation(
    tutelage, place, begin, trained
):
    trained()
    refused = tutelage("classify", "mine", "Win.", "--threshold", "validation")
    assert refused.code == 2
    assert "Run `tutelage evaluate mine` first." in " ".join(refused.err.split())
    assert tutelage("classify", "mine", "Win.", "--threshold", "0.3").code == 0
    write_rows(place, [(f"Win {n} {WORDS[n % 8]}", "abc"[n % 3]) for n in range(60)])
    three = [word if word != "mine" else "three" for word in begin]
    assert tutelage("prepare", *three).code == 0
    assert tutelage("train", "three", "--set", "training.max_steps=1").code == 0
    refused = tutelage("classify", "three", "Win.", "--threshold", "0.3", "--set", "training.max_steps=1")
    assert refused.code == 2
    assert "needs a model with two labels and one label per text, but three has 3 labels" in " ".join(
        refused.err.split()
    )


def check_verbs_that_do_not_fit(tutelage):
    ended = tutelage("generate", "mine", "Say a word.")
    assert ended.code == 2
    assert "Use `tutelage classify mine`" in ended.err
    assert tutelage("verify", "mine").code == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(f"text {n}", "same") for n in range(30)], "every row has the label 'same'"),
        ([(f"text {n}", "") for n in range(30)], "none of the 30 rows is usable"),
    ],
)
def test_what_cannot_be_told_apart_is_refused_before_anything_is_written(
    tutelage, place, begin, rows, message
):
    write_rows(place, rows)
    ended = tutelage("run", *begin)
    assert ended.code == 2
    assert message in ended.err
    assert not (place / "mine" / "data").exists()


def test_a_dry_run_shows_labels_and_the_token_that_is_read_and_no_prompt_style(tutelage, place, begin):
    done = tutelage("run", *begin, "--dry-run")
    assert done.code == 0, done.err
    said = " ".join(done.out.split())
    assert "data.prompt_template alpaca" not in said
    assert (
        "Without effect, because training.objective is classification: data.prompt_template, data.train_on"
        in said
    )
    heading = said.index("What the head learns")
    assert re.search(r"'prize' +\d+ +Win \d+ \w+ now", done.out[done.out.index("What the head learns") :])
    assert "The head reads the last token of a text: in row" in said[heading:]
    prepared = tutelage("prepare", *begin)
    assert "Read as text alone; labels: 'prize', 'talk'." in " ".join(prepared.out.split())
    assert "prompt =" not in RunFolder(place / "mine").recipe.read_text()


def test_a_text_as_long_as_the_context_needs_no_room_for_an_answer(tutelage, place, begin, model):
    context = read_json(model / "config.json")["max_position_embeddings"]
    long = "a " * (context - 20)
    write_rows(place, [(f"{long}{n}", "ab"[n % 2]) for n in range(20)])
    assert tutelage("run", *begin, "--set", "data.overlong=drop", "--dry-run").code == 0


def test_a_file_without_labels_is_told_what_is_missing(tutelage, place, begin):
    write_rows(place, [(f"text {n}", "ab"[n % 2]) for n in range(30)], ("message", "kind"))
    ended = tutelage("run", *begin)
    assert ended.code == 2
    assert "error[data.unknown_columns]" in ended.err
    assert "--map label=kind" in ended.err


def test_a_label_that_no_training_row_has_is_named(tutelage, place, begin):
    rows = [(f"text number {n}", "ab"[n % 2]) for n in range(20)]
    write_rows(place, [*rows, ("the only one", "rare")])
    ended = tutelage("run", *begin, "--set", "data.split=position")
    assert ended.code == 2
    assert "no training row has the label 'rare'" in ended.err


def test_rows_of_questions_and_answers_are_no_classification(tutelage, place, begin):
    (place / "my.json").write_text(json.dumps([{"instruction": "Say a.", "output": "a"}] * 3))
    ended = tutelage("run", "--data", "my.json", *begin[2:-2])
    assert ended.code == 2
    assert "needs rows with a text and a label" in ended.err.replace("\n", " ")


@pytest.mark.parametrize("setting", ["data.prompt_template=chat", 'evaluation.judges=["ollama:a"]'])
def test_settings_that_a_classification_cannot_honour_are_refused(tutelage, place, begin, setting):
    ended = tutelage("run", *begin, "--set", setting)
    assert ended.code == 2
    assert "training.objective is classification" in ended.err


def test_rows_prepared_for_answers_are_not_trained_as_classes(tutelage, place, begin):
    prepared = [word for word in begin if word != "training.objective=classification"]
    prepared.pop(prepared.index("training.dtype=float32") - 2)
    assert tutelage("prepare", *prepared).code == 0
    ended = tutelage("train", "mine", "--set", "training.objective=classification")
    assert ended.code == 2
    assert "prepared for training.objective=instruction" in ended.err


@pytest.mark.parametrize("words", [["generate", "mine", "Hello."], ["chat", "mine"], ["serve", "mine"]])
def test_answers_in_words_are_refused_and_the_verb_that_labels_is_named(tutelage, place, begin, words):
    assert tutelage("prepare", *begin).code == 0
    assert tutelage("train", "mine", "--set", "training.max_steps=1").code == 0
    refused = tutelage(*words, "--set", "training.max_steps=1")
    assert refused.code == 2
    assert "[run.is_a_classification]" in refused.err
    assert "Use `tutelage classify mine`." in refused.err


@pytest.fixture
def trained(tutelage, place, begin):
    """A run of a few steps, with few texts to compare."""

    def train(*words):
        assert tutelage("prepare", *begin, *words, "--set", "training.max_steps=6").code == 0
        assert tutelage("train", "mine").code == 0
        return RunFolder(place / "mine")

    return train


@pytest.mark.slow
def test_transformers_gives_the_labels_and_scores_of_the_run_from_an_export(tutelage, place, trained):
    check_export(tutelage, place, trained())


@pytest.mark.parametrize("kind", ["full", "last-block"])
def test_so_it_does_from_weights_trained_in_place(tutelage, place, trained, in_this_process, kind):
    check_export(tutelage, place, trained("--set", f"training.method={kind}"))


def check_export(tutelage, place, run):
    ended = tutelage("export", "mine", "--to", "hf")
    assert ended.code == 0, ended.err
    classify = pipeline("text-classification", model=str(place / "mine" / "export" / "hf"))
    texts = [TEXTS["prize"][3], TEXTS["talk"][5], "Win a very long walk today with many words"]
    said = tutelage("classify", "mine", *texts)
    expected = [f"{found['label']!r}  {found['score']:.3f}" for found in classify(texts, batch_size=3)]
    assert said.out.splitlines() == expected
    assert set(classify.model.config.label2id) == {"prize", "talk"}
    assert classify.tokenizer.pad_token_id == classify.model.config.pad_token_id
    proof = read_json(run.export / "verification.json")["hf"]
    held_out = len(read_json_lines(run.split("test"))) + len(read_json_lines(run.split("validation")))
    assert proof["answers_equal"] == proof["ids_equal"] == proof["prompts"] == held_out
    assert proof["templates_equal"] is None
    assert "text-classification" in (run.export / "hf" / "README.md").read_text()


def test_an_export_whose_labels_changed_places_is_not_published(
    tutelage, trained, monkeypatch, in_this_process
):
    run = trained()
    own = class_head.as_sequence_classifier

    def swapped(module, labels, **given):
        return own(module, labels[::-1], **given)

    monkeypatch.setattr("tutelage.objectives.classification.export.as_sequence_classifier", swapped)
    monkeypatch.setattr("tutelage.objectives.classification.export.TEXTS", 4)
    refused = tutelage("export", "mine", "--to", "hf")
    assert refused.code == 6
    assert "4 of 4 texts get different probabilities" in " ".join(refused.err.split())
    assert {path.name for path in run.export.iterdir()} == {"rejected-hf.json"}
    assert read_json(run.export / "rejected-hf.json")["evidence"][0]["what"] == "label"


def test_a_head_at_the_first_token_sees_nothing_of_the_rest_and_has_no_export(tutelage, place, trained):
    run = trained("--set", "data.pooling=first")
    rows = read_json_lines(run.split("train"))
    assert {row["tokens"] for row in rows} == {2}, "the token that is read, and the label"
    assert any(len(row["prompt"].split()) > 3 for row in rows), "the texts themselves are whole"
    first, second = tutelage("classify", "mine", "Win a fig now", "Win nothing").out.splitlines()
    assert first == second
    said = " ".join(
        tutelage("preview", "my.csv", "--recipe", "mine/recipe.toml", "--map", "text=message").out.split()
    )
    assert "the head reads the first one" in said
    assert "It cannot attend to the tokens after it" in said
    refused = tutelage("export", "mine", "--to", "hf")
    assert refused.code == 2
    assert "reads the first token of a text (data.pooling)" in " ".join(refused.err.split())
    changed = tutelage("train", "mine", "--set", "data.pooling=last", "--overwrite")
    assert changed.code == 2
    assert "prepared with different settings: data.pooling" in " ".join(changed.err.split())


@pytest.mark.parametrize("target", ["peft", "gguf", "ollama"])
def test_formats_of_models_that_write_answers_are_refused_by_name(tutelage, trained, target):
    run = trained()
    refused = tutelage("export", "mine", "--to", "hf", "--to", target)
    assert refused.code == 2
    assert f"is a classification run, but {target} needs a model that writes answers" in " ".join(
        refused.err.split()
    )
    assert not run.export.exists()


def test_labels_that_read_alike_are_kept_apart_and_warned_of(tutelage, place, begin):
    rows = [(text, label) for label, texts in TEXTS.items() for text in texts]
    write_rows(
        place, [(text, "Prize" if n % 9 == 0 else f"{label}\xa0") for n, (text, label) in enumerate(rows)]
    )
    ended = tutelage("prepare", *begin)
    assert ended.code == 0, ended.err
    assert "Warning[data.similar_labels]" in ended.out
    prepared = read_json(RunFolder(place / "mine").preparation)
    assert sorted(prepared["classes"]) == ["Prize", "prize", "talk"]
    assert [note["code"] for note in prepared["notes"]] == ["data.similar_labels"]
    assert prepared["rows"]["repaired"] == len(rows) - len(range(0, len(rows), 9))
