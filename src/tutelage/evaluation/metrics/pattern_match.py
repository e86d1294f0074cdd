"""Matches the pattern: whether a regular expression of the set is found in an answer."""

from typing import Any

from tutelage.config.recipe_evaluation import EvalSetSettings
from tutelage.evaluation.metrics.metric import Answer, right_or_wrong
from tutelage.text.patterns import compile_pattern


def _matches(answer: Answer, settings: EvalSetSettings, prepared: Any) -> bool:
    assert settings.pattern is not None
    return compile_pattern(settings.pattern).search(answer["response"])


SET_METRIC = right_or_wrong("regex", "Matches the pattern", "share in which the pattern is found", _matches)
