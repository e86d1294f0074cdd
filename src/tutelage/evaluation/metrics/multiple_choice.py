"""Right choice: whether a model finds the right one of a row's choices the likeliest."""

from typing import Any

from tutelage.config.recipe_evaluation import EvalSetSettings
from tutelage.evaluation.metrics.metric import Answer, right_or_wrong


def _is_right_choice(answer: Answer, settings: EvalSetSettings, prepared: Any) -> bool:
    return answer["response"] == answer["reference"]


SET_METRIC = right_or_wrong(
    "multiple_choice",
    "Right choice",
    "share of rows in which the right choice is the most probable one",
    _is_right_choice,
    weighs_choices=True,
)
