"""Contains: whether an answer holds the reference as whole words."""

from typing import Any

from tutelage.config.recipe_evaluation import EvalSetSettings
from tutelage.evaluation.metrics.metric import Answer, right_or_wrong
from tutelage.evaluation.metrics.words import contains_whole


def _contains(answer: Answer, settings: EvalSetSettings, prepared: Any) -> bool:
    return contains_whole(answer["response"], answer["reference"])


SET_METRIC = right_or_wrong(
    "contains",
    "Contains",
    "share of answers that contain the reference as whole words, ignoring case and spacing",
    _contains,
)
