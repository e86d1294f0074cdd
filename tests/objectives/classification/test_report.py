"""The page of a classification: every row can be found, the wrong ones first."""

import re

import numpy as np
import pytest
from support.fake_run import make_run
from support.pages import HOSTILE, Page, offences
from support.reports import write_report as write_page

from tutelage.evaluation.metrics.class_metrics import class_metrics
from tutelage.evaluation.metrics.threshold import threshold_figures
from tutelage.objectives.classification.report import class_section, class_words
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.evaluation import read_evaluation
from tutelage.run.folder import PREDICTIONS, read_json, write_json, write_json_lines
from tutelage.run.lines import read_json_lines

LABELS = ["ham", f"spam {HOSTILE}"]
WANTED = np.array([0, 0, 0, 1, 1, 1])
# Rows 2 and 3 are wrong, row 3 surely; of the right ones row 0 is the least sure.
OF_SPAM = np.array([0.45, 0.01, 0.6, 0.02, 0.97, 0.99])
# Of the validation rows spam is told rightly from 0.25 on.
OF_VALIDATION = np.array([0.1, 0.1, 0.2, 0.3, 0.8, 0.9])


@pytest.fixture
def run(tmp_path):
    run = make_run(tmp_path, test_rows=6, until="tune")
    write_json(
        run.preparation, {**read_json(run.preparation), "objective": "classification", "classes": LABELS}
    )
    probabilities = np.stack([1 - OF_SPAM, OF_SPAM], axis=1)
    figures = class_metrics(WANTED, probabilities, LABELS, majority=0, by_words=np.zeros_like(WANTED))
    known = WANTED, np.stack([1 - OF_VALIDATION, OF_VALIDATION], axis=1)
    figures["threshold"] = threshold_figures(WANTED, probabilities, LABELS, label=1, validation=known)
    run.evaluation.mkdir(exist_ok=True)
    result = {
        "format": 2,
        "objective": "classification",
        "primary_metric": "accuracy",
        **figures,
    }
    verdict = {"verdict": "no difference detectable", "sentence": "4 of 6 are right."}
    write_json(run.metrics, {**result, **verdict, "sets": {}, "general_text": None})
    predictions = [
        {
            "row": row,
            "text": f"text of row {row} {HOSTILE}",
            "label": LABELS[WANTED[row]],
            "predicted": LABELS[int(given.argmax())],
            "probability": float(given.max()),
            "probabilities": dict(zip(LABELS, given.tolist(), strict=True)),
        }
        for row, given in enumerate(probabilities)
    ]
    write_json_lines(run.evaluation / PREDICTIONS, predictions)
    return run


def section_of(run):
    return class_section(read_evaluation(run.metrics), lambda name: read_json_lines(run.evaluation / name))


def write_report(run):
    words = class_words(read_artifact(Preparation, run.preparation), None)
    return write_page(run, words=words, section=section_of(run))


def test_rows_stand_from_the_surest_wrong_to_the_surest_right(run):
    section = section_of(run).content["classes"]
    assert [row.row for row in section.every] == [3, 2, 0, 4, 1, 5]
    assert [row.row for row in section.wrong] == [3, 2]
    assert section.every[0].probability == pytest.approx(0.98), "that of the label it was given"


def test_every_row_is_in_the_page_and_each_filter_counts_what_it_shows(run):
    html = write_report(run).read_text(encoding="utf-8")
    kinds = re.findall(r'<details class="one ([a-z ]*)">', html)
    assert len(kinds) == 6
    labels = dict(re.findall(r'id="show-(\w+)".*?<span class="quiet">(\d+)</span></label>', html))
    assert labels == {"all": "6", "wrong": "2", "unsure": "2", "right": "4"}
    for kind in ("wrong", "unsure", "right"):
        assert sum(kind in one.split() for one in kinds) == int(labels[kind])
        assert f"#show-{kind}:checked ~ .every > :not(.{kind})" in html


def test_a_threshold_stands_beside_half_with_the_rows_that_chose_it(run):
    text = Page(write_report(run).read_text(encoding="utf-8")).text
    assert "0.250, chosen on validation rows" in text
    assert "on the 6 validation rows; no test row was used to choose it" in text
    write_json(run.metrics, {**read_json(run.metrics), "threshold": None})
    assert "chosen on validation rows" not in write_report(run).read_text(encoding="utf-8")


def test_texts_and_labels_are_shown_and_not_obeyed(run):
    html = write_report(run).read_text(encoding="utf-8")
    assert offences(html) == []
    assert "text of row 5" in Page(html).text


def test_of_an_enormous_test_set_the_surest_right_rows_are_left_out(run, monkeypatch):
    monkeypatch.setattr("tutelage.objectives.classification.report.ROWS_IN_ALL", 4)
    section = section_of(run).content["classes"]
    assert [row.row for row in section.every] == [3, 2, 0, 4]
    assert section.omitted == 2
    assert "The last 2 rows are left out" in write_report(run).read_text(encoding="utf-8")
