"""Metrics that are scored where the answers are of their kind: by themselves, and beside those of every run."""

import pytest

from tutelage.config.extensions import METRICS, OPTIONAL_METRICS
from tutelage.evaluation.metrics import load_metric, load_metrics
from tutelage.evaluation.metrics.metrics import metric_named, score_answers, score_rows


def answer(response, reference, row=0):
    return {
        "row": row,
        "prompt": f"Question {row}",
        "response": response,
        "reference": reference,
        "response_tokens": 3,
        "stopped": True,
        "reference_log_prob": -1.0,
        "reference_bytes": 4,
    }


@pytest.mark.parametrize(
    ("response", "reference", "value"),
    [
        ("It is 4.", "4 kg", 100),
        ("4,0 kg", "4,0 kg", 100),
        ("5 kg", "4 kg", 0),
        ("none", "4 kg", 0),
        ("unknown", "unknown", 100),  # no number is asked for
        ("4", "unknown", 0),
        ("1 or 2", "1 or 2", 100),  # two are no single number
    ],
)
def test_a_number_is_right_by_its_value_and_a_reference_without_one_by_its_text(response, reference, value):
    assert load_metric("numeric").score(answer(response, reference)) == value


@pytest.mark.parametrize(
    ("response", "value"),
    [('{"a": 1}', 100), ("[1]", 100), ('```json\n{"a": 1}\n```', 100), ('{"a": 1', 0), ("7", 0), ("", 0)],
)
def test_valid_json_is_an_object_or_array_by_itself_or_in_a_fence(response, value):
    assert load_metric("json").score(answer(response, '{"a": 1}')) == value


def test_optional_metrics_are_scored_where_they_are_asked_for_and_come_first():
    answers = [answer('{"a": 1, "b": 2}', '{"a": 1, "b": 3}', row) for row in range(3)]
    assert [*score_answers(answers)] == [*METRICS]
    paired = score_rows(answers, answers, optional=["json_fields", "json_exact"])
    assert [*paired.tuned] == ["json_fields", "json_exact", *METRICS]
    assert paired.tuned["json_fields"].tolist() == [50, 50, 50]
    assert paired.tuned["json_exact"].tolist() == [0, 0, 0]


def test_every_optional_metric_has_its_name_and_is_no_usual_one():
    assert not OPTIONAL_METRICS.keys() & METRICS.keys()
    for name in OPTIONAL_METRICS:
        assert load_metrics([name])[name].name == metric_named(name).name == name
