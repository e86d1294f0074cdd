"""The metrics of a kind, and the choice among them as preparation.json records it."""

import hashlib
import json
from dataclasses import replace
from typing import get_args

import pytest
from support.fake_examples import example
from support.fake_run import prepared_row

from tutelage.evaluation.metrics import load_metric
from tutelage.evaluation.task import choice, code_text, kinds
from tutelage.evaluation.task.choice import TASK_METRICS, choose_metrics, deciding_metrics
from tutelage.evaluation.task.kinds import MOST_READ, sample_of
from tutelage.run.artifacts import TaskKind


def rows(answers):
    return [prepared_row(example(number, f"Say {number}.", answer)) for number, answer in enumerate(answers)]


def test_every_kind_has_metrics_that_exist():
    assert set(TASK_METRICS) == set(get_args(TaskKind))
    for metrics in TASK_METRICS.values():
        for name in (metrics.primary, *metrics.beside):
            assert load_metric(name).higher_is_better
        assert metrics.primary not in metrics.beside


@pytest.mark.parametrize(
    ("answers", "kind", "primary"),
    [
        (['{"a": 1}', '{"a": 2}'], "json", "json_fields"),
        (["good", "bad", "good", "bad"], "labels", "exact_match"),
        (["4 km", "12 km", "31 km"], "numbers", "numeric"),
        (["print(a)", "x = f(y)"], "code", "chrf"),
        (["Oslo", "Lima", "Rome"], "short_facts", "exact_match"),
        (["The train to Oslo leaves at noon.", "It rained for a week."], "free_text", "chrf"),
    ],
)
def test_the_metric_follows_from_the_kind(answers, kind, primary):
    chosen = choose_metrics(rows(answers))
    assert (chosen.kind, chosen.primary_metric) == (kind, primary)
    assert chosen.figures.answers == len(answers)


def test_the_kind_decides_the_metric_unless_the_recipe_names_one():
    task = choose_metrics(rows(['{"a": 1}', '{"a": 2}']))
    of_json = ["json_fields", "json_exact", "json"]
    assert deciding_metrics("auto", task) == ("json_fields", of_json)
    assert deciding_metrics("chrf", task) == ("chrf", of_json)  # which are shown all the same
    assert deciding_metrics("json_exact", task) == ("json_exact", ["json_exact", "json_fields", "json"])
    prose = choose_metrics(rows(["The train to Oslo leaves at noon.", "It rained for a week."]))
    assert deciding_metrics("auto", prose) == ("chrf", [])
    assert deciding_metrics("json_exact", prose) == ("json_exact", ["json_exact"])
    assert deciding_metrics("auto", None) == ("chrf", [])  # rows of an older version


def test_the_hashes_are_those_of_the_answers_and_of_the_choice():
    first = choose_metrics(rows(["Oslo", "Lima"]))
    assert first.references_sha256 == hashlib.sha256(b'["Oslo", "Lima"]').hexdigest()
    record = first.to_record()
    given = record.pop("sha256")
    assert given == hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    other = choose_metrics(rows(["Oslo", "Rome"]))
    assert other.figures == first.figures
    assert (other.references_sha256, other.sha256) != (first.references_sha256, first.sha256)


def test_undesirable_answers_have_no_say():
    prose = "This is an answer that nobody wants to have, and it is long."
    desirable = rows(["Oslo", "Lima", "Rome"])
    undesirable = [labelled(row, 0) for row in rows([prose] * 9)]
    assert choose_metrics([labelled(row, 1) for row in desirable] + undesirable).kind == "short_facts"
    assert choose_metrics(desirable + rows([prose] * 9)).kind != "short_facts"


def labelled(row, label):
    return replace(row, example=replace(row.example, label=label))


def test_of_many_rows_the_same_sample_is_read_each_time():
    many = [str(number) for number in range(MOST_READ + 50)]
    assert sample_of(many) == sample_of(many)
    assert len(set(sample_of(many))) == MOST_READ
    assert sample_of(many[:MOST_READ]) == many[:MOST_READ]


def rules_sha256():
    values = [
        {
            name: getattr(value, "pattern", repr(value))
            for name, value in vars(module).items()
            if name.isupper()
        }
        for module in (kinds, code_text)
    ]
    return hashlib.sha256(json.dumps([values, repr(TASK_METRICS)], sort_keys=True).encode()).hexdigest()


def test_a_changed_rule_has_a_new_number(monkeypatch):
    pinned = {
        1: "59aae6494c0d7c4ea226c844394907684eec06b0c2d5bdce0c92dacb597cceee"
    }  # by choice.RULE; add the next number with its hash when the rules change
    assert rules_sha256() == pinned[choice.RULE]
    monkeypatch.setattr(kinds, "OPEN_SHARE", 0.4)
    assert rules_sha256() != pinned[choice.RULE]
