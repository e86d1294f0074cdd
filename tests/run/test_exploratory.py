"""A verdict is exploratory once less is asked of the same weights than at first."""

import pytest

from tutelage.run.evaluation import AnswerEvaluation, mark_exploratory

BASE = {"label": "", "rows": 20, "value": 1.0, "low": None, "high": None}


def evaluation(examples, metric="chrf"):
    """Return an evaluation whose baselines show so many examples, by name; None has no baselines."""
    figures = {name: BASE | {"examples": count} for name, count in (examples or {}).items()}
    baselines = {"strongest": "base", "against": "", "validation_rows": 20, "figures": figures}
    return AnswerEvaluation.model_validate(
        {
            "format": 2,
            "rows": 20,
            "clusters": 20,
            "primary_metric": metric,
            "verdict": "better",
            "sentence": "Better: much.",
            "minimum_detectable_effect": None,
            "metrics": {},
            "length": None,
            "sets": {},
            "general_text": None,
            "baselines": None if examples is None else baselines,
        }
    )


FIRST = {"base": 0, "few_shot": 8, "input_copy": 0}


@pytest.mark.parametrize(
    "weaker", [None, {"base": 0}, {"base": 0, "few_shot": 2, "input_copy": 0}, {"base": 0, "few_shot": 8}]
)
def test_weaker_baselines_mark_the_verdict_until_they_are_back(weaker):
    first = evaluation(FIRST)
    now = mark_exploratory(evaluation(weaker), first)
    assert now.is_exploratory
    assert now.first_baselines == FIRST
    assert len(now.sentence) > len(first.sentence)
    again = mark_exploratory(evaluation(weaker), now)
    assert again == now, "the first evaluation counts, and not the last one"
    assert mark_exploratory(evaluation(FIRST), now) == first


def test_more_baselines_and_more_examples_mark_nothing():
    first = evaluation(FIRST)
    for stronger in (FIRST, {**FIRST, "few_shot": 16}, {**FIRST, "few_shot_nearest": 8}):
        assert not mark_exploratory(evaluation(stronger), first).is_exploratory
    assert not mark_exploratory(evaluation(FIRST), evaluation(None)).is_exploratory


def test_both_changes_are_named():
    now = mark_exploratory(evaluation(None, "exact_match"), evaluation(FIRST))
    assert (now.first_metric, now.first_baselines) == ("chrf", FIRST)
    assert "chrf" in now.sentence
    assert "few_shot" in now.sentence
