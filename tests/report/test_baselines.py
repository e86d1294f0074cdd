"""The table of baselines: the strongest one is marked, the fine-tuned model stands last, all on one axis."""

import pytest
from support.fake_run import make_run
from support.pages import Page, offences
from support.reports import write_report

from tutelage.evaluation.metrics import load_metric
from tutelage.report.baselines import AXIS, baseline_table
from tutelage.run.artifacts import write_artifact
from tutelage.run.baselines import BaselinesFound
from tutelage.run.evaluation import AnswerEvaluation, read_evaluation

FOUND = {
    "strongest": "few_shot",
    "against": "the base model's best prompt (8 examples)",
    "validation_rows": 20,
    "figures": {
        "base": {"label": "prompt of the run", "prompt_template": "chat", "examples": 0}
        | {"validation": 30.0, "rows": 40, "value": 25.0, "low": 20.0, "high": 30.0},
        "few_shot": {"label": "8 examples", "prompt_template": "chat", "examples": 8}
        | {"validation": 60.0, "rows": 40, "value": 55.0, "low": 45.0, "high": 65.0},
        "input_copy": {"label": "copy of the input", "rows": 1, "value": 10.0, "low": None, "high": None},
    },
    "tuned": {"label": "fine-tuned model", "rows": 40, "value": 75.0, "low": 70.0, "high": 80.0},
}


def test_every_line_has_its_numbers_and_its_place():
    table = baseline_table(BaselinesFound.model_validate(FOUND), load_metric("chrf"))
    assert [(row.title, row.validation, row.value, row.interval) for row in table.rows] == [
        ("base model, prompt of the run", "30.0", "25.0", "20.0 to 30.0"),
        ("base model, 8 examples", "60.0", "55.0", "45.0 to 65.0"),
        ("copy of the input", "", "10.0", ""),
        ("fine-tuned model", "", "75.0", "70.0 to 80.0"),
    ]
    assert [row.is_strongest for row in table.rows] == [False, True, False, False]
    assert [row.is_tuned for row in table.rows] == [False, False, False, True]
    left, right = AXIS

    def value_at(place):
        return 80.0 * (place - left) / (right - left)  # the axis goes from 0 to the highest end

    for row, value in zip(table.rows, (25.0, 55.0, 10.0, 75.0), strict=True):
        assert value_at(row.drawn.point) == pytest.approx(value, abs=0.1)
    assert value_at(table.rows[-1].drawn.right) == pytest.approx(80.0, abs=0.1)
    assert table.rows[2].drawn.left is None


def test_the_page_shows_it_and_an_evaluation_without_baselines_does_not(tmp_path):
    run = make_run(tmp_path / "run")
    assert baseline_table(None, load_metric("chrf")) is None
    assert "fine-tunedmodel40" not in "".join(Page(write_report(run).read_text("utf-8")).text.split())
    found = read_evaluation(run.metrics).to_record() | {"baselines": FOUND}
    write_artifact(run.metrics, AnswerEvaluation.model_validate(found))
    html = write_report(run).read_text("utf-8")
    assert offences(html) == []
    text = "".join(Page(html).text.split())  # the cells of a row follow each other without a space
    assert "basemodel,8examplesstrongest4060.055.045.0to65.0" in text
    assert "fine-tunedmodel4075.070.0to80.0" in text
