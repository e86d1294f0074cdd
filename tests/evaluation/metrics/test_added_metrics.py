"""Metrics that stand outside of the program are found by one line each, from the recipe to the report."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError
from support import short_enough, upper_case
from support.fake_examples import example
from support.fake_run import answer, make_run
from support.pages import Page
from support.rows import alpaca_values, write_rows

from tutelage.config.extensions import METRICS, SET_METRICS
from tutelage.config.recipe_evaluation import EvalSetSettings, EvaluationSettings
from tutelage.evaluation.metrics.metrics import score_rows
from tutelage.evaluation.metrics.set_metrics import score_answer
from tutelage.report.scores import evaluate_answers
from tutelage.run.evaluation import read_evaluation
from tutelage.run.folder import VARIANTS, RunFolder, read_json
from tutelage.run.lines import read_json_lines

RECIPE = """\
[data]
source = "my.json"
[model]
name_or_path = "MODEL"
[adapter]
r = 2
[training]
max_steps = 2
dtype = "float32"
[evaluation]
limit = 8
max_new_tokens = 6
general_text = false
primary_metric = "upper_case"

[evaluation.sets.brief]
source = "brief.json"
metric = "short_enough"
"""
LONGEST = 9


def share_of_capitals(text):
    capitals = sum(character.isupper() for character in text if character.isalpha())
    letters = sum(character.isalpha() for character in text)
    return 100 * capitals / letters if letters else 0.0


@pytest.fixture
def registered(monkeypatch):
    """Make the two lines by which the program finds them."""
    monkeypatch.setitem(METRICS, "upper_case", "support.upper_case")
    monkeypatch.setitem(SET_METRICS, "short_enough", "support.short_enough")


@pytest.fixture
def place(tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    write_rows(tmp_path / "my.json", alpaca_values(60))
    brief = [{"instruction": f"Say {n}.", "output": "x" * (3 + n % (LONGEST - 2))} for n in range(12)]
    write_rows(tmp_path / "brief.json", brief)
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("MODEL", str(model)))
    return tmp_path


@pytest.mark.usefixtures("registered")
def test_a_run_decides_by_an_added_metric_and_scores_a_set_by_another(tutelage, place):
    ended = tutelage("run", "recipe.toml", "--output", "run")
    assert ended.code == 0, ended.err
    run = RunFolder(place / "run")
    found = read_json(run.metrics)
    assert found["primary_metric"] == "upper_case"
    assert list(found["metrics"]) == list(METRICS)
    of_set = read_json_lines(run.test_set("brief"))
    for variant in VARIANTS:
        expected = [share_of_capitals(one["response"]) for one in read_json_lines(run.responses(variant))]
        assert found["metrics"]["upper_case"][variant] == pytest.approx(np.mean(expected))
        short = [100.0 * (len(row[variant]["response"]) <= LONGEST) for row in of_set]
        assert [row[variant]["score"] for row in of_set] == short
        assert found["sets"]["brief"][variant] == pytest.approx(np.mean(short))
    assert "Short enough" in ended.out
    page = Page(run.report.read_text())
    assert "Capitals" in page.text
    assert "Short enough" in page.text


@pytest.mark.usefixtures("registered")
def test_scores_are_those_of_the_added_module_and_of_no_broken_one(monkeypatch):
    given = [
        answer(example(row, f"Say {row}.", "yes"), text) for row, text in enumerate(["ABcd", "abc", "É1"])
    ]
    assert score_rows(given, given).tuned["upper_case"].tolist() == [50, 0, 100]
    settings = EvalSetSettings(source="x", metric="short_enough")
    assert [score_answer(one, settings, 3) for one in given] == [0, 100, 100]
    broken = SimpleNamespace(
        METRIC=replace(upper_case.METRIC, score=lambda one: 100 - upper_case.METRIC.score(one)),
        SET_METRIC=replace(short_enough.SET_METRIC, score=lambda one, settings, longest: 100.0),
    )
    monkeypatch.setitem(sys.modules, "broken_metrics", broken)
    monkeypatch.setitem(METRICS, "upper_case", "broken_metrics")
    monkeypatch.setitem(SET_METRICS, "short_enough", "broken_metrics")
    assert score_rows(given, given).tuned["upper_case"].tolist() != [50, 0, 100]
    assert [score_answer(one, settings, 3) for one in given] != [0, 100, 100]


def test_a_run_that_was_evaluated_before_a_metric_was_added_is_still_read(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", test_rows=12)
    monkeypatch.setitem(METRICS, "upper_case", "support.upper_case")
    base, tuned = (read_json_lines(run.responses(variant)) for variant in VARIANTS)
    shown = evaluate_answers(read_evaluation(run.metrics), base, tuned, read_json_lines(run.scores))
    assert [line.metric.name for line in shown.table] == [name for name in METRICS if name != "upper_case"]


@pytest.mark.parametrize("name", ["upper_case", "short_enough", 3, ["chrf"], None])
def test_a_metric_that_nobody_registered_is_no_value(name):
    for refuse in (
        lambda: EvaluationSettings(primary_metric=name),
        lambda: EvalSetSettings(source="x", metric=name),
    ):
        with pytest.raises(ValidationError) as refused:
            refuse()
        assert [one["type"] for one in refused.value.errors()] == ["literal_error"]
