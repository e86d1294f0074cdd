"""What the page and the terminal say of test rows that are near-duplicates of training rows."""

import re

import pytest
from support.fake_run import make_run
from support.pages import Page, offences
from support.reports import write_report

from tutelage.cli.views.results import show_scores
from tutelage.evaluation.metrics import load_metric
from tutelage.evaluation.metrics.metrics import read_scores
from tutelage.evaluation.paired.training_overlap import training_overlap
from tutelage.run.artifacts import write_artifact
from tutelage.run.evaluation import AnswerEvaluation, read_evaluation
from tutelage.run.lines import read_json_lines
from tutelage.stages.report import summarise


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run", test_rows=40)


def with_near(run, count):
    """Write down that the first so many test rows are near-duplicates, and return the evaluation."""
    lines, base, tuned = map(read_json_lines, (run.scores, run.responses("base"), run.responses("tuned")))
    scores = read_scores(lines, base, tuned)
    record = training_overlap(scores, load_metric("chrf"), scores.rows[:count], training_rows=900)
    found = read_evaluation(run.metrics).to_record() | {"training_overlap": record}
    write_artifact(run.metrics, AnswerEvaluation.model_validate(found))
    summary = summarise(run).to_record()
    assert summary["evaluation"]["training_overlap"] == record
    return read_evaluation(run.metrics)


def page_of(run):
    html = write_report(run).read_text(encoding="utf-8")
    assert offences(html) == []
    return " ".join(Page(html).text.split())


def printed(found, capsys):
    show_scores(found)
    return " ".join(capsys.readouterr().out.split())


def test_the_metric_with_and_without_them_stands_side_by_side(run, capsys):
    found = with_near(run, 12)
    text, overlap = page_of(run), found.training_overlap
    assert "12 of 40 test rows are near-duplicates of training rows." in text
    for label, one, rows in (
        ("all test rows", overlap.all, 40),
        ("without near-duplicates", overlap.without, 28),
    ):
        change = f"{one.difference:+.1f} {one.low:+.1f} to {one.high:+.1f}"
        figures = f"{label} {rows} {one.base:.1f} {one.tuned:.1f} {change} {one.verdict}"
        assert figures.replace(" ", "") in text.replace(" ", "")
    assert overlap.all.difference == found.metrics["chrf"].difference
    assert overlap.all.verdict == found.verdict
    told = printed(found, capsys)
    assert told.count("12 of 40 test rows are near-duplicates of training rows.") == 1


def test_where_there_are_none_the_page_says_so_and_the_terminal_nothing(run, capsys):
    found = with_near(run, 0)
    text = page_of(run)
    assert "No test row is a near-duplicate of any of the 900 training rows." in text
    assert "without near-duplicates" not in text
    assert "near-duplicate" not in printed(found, capsys)


def test_where_every_row_is_one_no_row_is_left(run):
    with_near(run, 40)
    assert "40 of 40 test rows are near-duplicates of training rows. No test row is left" in page_of(run)


def test_an_evaluation_that_did_not_look_says_nothing(run):
    assert not re.search("near-duplicates? of", page_of(run))
