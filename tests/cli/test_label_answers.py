"""An instruction tuning whose answers are a few labels: accuracy, macro F1 and the confusion matrices."""

import pytest
from sklearn.metrics import f1_score
from support.pages import Page, offences
from support.rows import write_rows
from support.workplace import words_of_short_run

from tutelage.run.folder import RunFolder, read_json
from tutelage.run.lines import read_json_lines

VALUES = [
    {"instruction": f"Is message {n} spam?", "output": ("spam", "ham", "not sure")[n % 3]} for n in range(60)
]


@pytest.fixture
def begin(workplace, model):
    return words_of_short_run(workplace / "messages.json", VALUES, model)


def test_answers_that_are_labels_have_macro_f1_and_a_confusion_matrix(tutelage, begin, workplace):
    done = tutelage("run", *begin, "--output", "mine")
    assert (done.code, done.err) == (0, "")
    run = RunFolder(workplace / "mine")
    found = read_json(run.metrics)
    assert read_json(run.preparation)["task"]["kind"] == "labels"
    for variant in ("base", "tuned"):
        figures = found["labels"][variant]
        lines = read_json_lines(run.responses(variant))
        names = [one["label"] for one in figures["classes"]]
        assert 100 * figures["accuracy"]["value"] == found["metrics"]["exact_match"][variant]
        assert {one["reference"] for one in lines} <= {*names} <= {"ham", "not sure", "spam"}
        assert [sum(counts) for counts in figures["confusion"]] == [one["rows"] for one in figures["classes"]]
        occurring = [one["label"] for one in figures["classes"] if one["rows"] or one["given"]]
        pairs = [(one["reference"], " ".join(one["response"].split())) for one in lines]
        expected = f1_score(*zip(*pairs, strict=True), labels=occurring, average="macro", zero_division=0)
        assert figures["macro_f1"] == pytest.approx(expected)
    assert read_json(run.summary)["evaluation"]["labels"] == found["labels"]
    assert "macro F1" in done.out
    html = run.report.read_text()
    assert offences(html) == []
    text = Page(html).text
    assert all(f"Confusion matrix of the {name} model" in text for name in ("base", "tuned"))
    assert "“not sure”" in text


def test_answers_of_another_kind_have_no_labels(tutelage, begin, workplace):
    rows = [{**row, "output": f"Message {n} asks for {n} things."} for n, row in enumerate(VALUES)]
    write_rows(workplace / "messages.json", rows)
    done = tutelage("run", *begin, "--output", "mine")
    assert (done.code, done.err) == (0, "")
    run = RunFolder(workplace / "mine")
    assert "labels" not in read_json(run.metrics)
    assert "Confusion matrix" not in Page(run.report.read_text()).text
