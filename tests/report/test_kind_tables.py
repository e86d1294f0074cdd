"""The tables of JSON answers and of labels in the page: the numbers of metrics.json, and nothing that acts."""

import re

import pytest
from support.fake_run import make_run
from support.pages import HOSTILE, Page, offences
from support.reports import write_report

from tutelage.evaluation.metrics.json_checks import compare_checks
from tutelage.evaluation.metrics.label_answers import compare_labels
from tutelage.report.page import MOST_IN_MATRIX
from tutelage.run.folder import read_json, write_json
from tutelage.stages.report import summarise


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "one", test_rows=20)


@pytest.fixture
def page(run):
    before = read_json(run.metrics)

    def shown(**figures):
        write_json(run.metrics, before | figures)
        write_json(run.summary, summarise(run).to_record())
        return write_report(run).read_text(encoding="utf-8")

    yield shown
    write_json(run.metrics, before)


def answers(*pairs):
    return [{"row": n, "reference": one, "response": other} for n, (one, other) in enumerate(pairs)]


def lines_below(html, title):
    """Return the cells of the first table below a heading, line by line."""
    table = html.split(f"<h3>{title}</h3>")[1].split("<tbody>")[1].split("</tbody>")[0]
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line) for line in table.split("</tr>")]
    return [[Page(cell).text for cell in line] for line in cells if line]


def test_labels_have_the_shares_and_matrices_of_both_models(page):
    base = answers(("ham", "ham"), ("ham", "?"), ("spam", "ham"), ("spam", "?"))
    tuned = answers(("ham", "ham"), ("ham", "spam"), ("spam", "spam"), ("spam", "spam"))
    html = page(labels=compare_labels(base, tuned, []))
    # Base: F1 of ham is 2 / (2 + 2), of spam 0. Tuned: 2 / (2 + 1) and 4 / (2 + 3).
    assert lines_below(html, "Labels") == [
        ["Base model", "25.0 %", "4.6 to 69.9", "0.250", "2 of 4"],
        ["Tuned model", "75.0 %", "30.1 to 95.4", "0.733", "0 of 4"],
    ]
    assert lines_below(html, "Confusion matrix of the base model") == [
        ["“ham”", "1", "0", "1"],
        ["“spam”", "1", "0", "1"],
    ]
    assert lines_below(html, "Confusion matrix of the tuned model") == [
        ["“ham”", "1", "1", "0"],
        ["“spam”", "0", "2", "0"],
    ]


def test_a_label_that_tries_to_act_is_shown_as_text(page):
    rows = answers(("ham", HOSTILE), (HOSTILE, "ham"))
    assert offences(page(labels=compare_labels(rows, rows, []))) == []


def test_matrices_of_many_labels_are_left_to_the_run_folder(page):
    for count, is_shown in ((MOST_IN_MATRIX, True), (MOST_IN_MATRIX + 1, False)):
        rows = answers(*((str(number), "0") for number in range(count)))
        text = Page(page(labels=compare_labels(rows, rows, []))).text
        assert ("Confusion matrix of the tuned model" in text) == is_shown
        assert (f"The confusion matrices of {count} labels are in" in text) != is_shown


def test_json_answers_have_the_share_that_passes_each_check(page):
    wanted = '{"a": 1}'
    base = answers((wanted, "a is 1"), (wanted, '{"a": "1"}'))
    tuned = answers((wanted, wanted), (wanted, '{"a": 2}'))
    html = page(json_checks=compare_checks(base, tuned))
    half, whole, none = ("50.0 %", "9.5 to 90.5"), ("100.0 %", "34.2 to 100.0"), ("0.0 %", "0.0 to 65.8")
    assert lines_below(html, "JSON checks") == [
        ["Valid JSON", "2", *half, *whole],
        ["Exactly the right keys", "2", *half, *whole],
        ["Right types", "2", *none, *whole],
        ["All fields right", "2", *none, *half],
    ]


def test_other_answers_have_no_such_tables(page):
    text = Page(page()).text
    assert "JSON checks" not in text
    assert "Confusion matrix" not in text
