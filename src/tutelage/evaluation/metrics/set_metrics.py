"""Scores an answer to a row of a named test set by the metric of the set."""

from typing import Any

from tutelage.config.recipe_evaluation import EvalSetSettings
from tutelage.errors import DataError
from tutelage.evaluation.metrics import load_set_metric
from tutelage.evaluation.metrics.metric import Answer
from tutelage.text.patterns import PatternTimeoutError


def score_answer(answer: Answer, settings: EvalSetSettings, prepared: Any = None) -> float:
    """Score one answer by the metric of its set, in its unit; `prepared` is what the metric prepared for the set."""
    score = load_set_metric(settings.metric).score
    assert score is not None, "judges score by themselves"
    try:
        return score(answer, settings, prepared)
    except PatternTimeoutError as fault:
        raise DataError(
            "evaluate.regex_timeout",
            f"The answer to row {answer.get('row')}: {fault} and was stopped. Write the pattern of this test set"
            " without repetitions inside of repetitions; the answers are kept.",
            row=answer.get("row"),
        ) from fault
