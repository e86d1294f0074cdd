"""Right number: whether the last number of an answer has the value of the reference."""

from dataclasses import asdict
from fractions import Fraction
from typing import Any

from tutelage.config.recipe_evaluation import EvalSetSettings
from tutelage.errors import DataError
from tutelage.evaluation.metrics.exact_match import exact_match
from tutelage.evaluation.metrics.metric import Answer, AnswerMetric, References, right_or_wrong
from tutelage.evaluation.metrics.numbers import (
    NumberConvention,
    are_equal,
    decide_convention,
    last_number,
    single_number,
)


def _convention(settings: EvalSetSettings, references: References, name: str) -> NumberConvention:
    return decide_convention(references, of_set=name)


def _described(numbers: NumberConvention) -> dict[str, Any]:
    return {"number_convention": asdict(numbers)}


def _has_right_number(answer: Answer, settings: EvalSetSettings, numbers: NumberConvention | None) -> bool:
    """Compare with the reference; without the convention of a set that of this one reference is taken."""
    if numbers is None:
        numbers = decide_convention([(answer.get("row", 0), answer["reference"])])
    wanted = single_number(answer["reference"], numbers)
    assert wanted is not None, "decide_convention refuses a reference that is not a number"
    found = last_number(answer["response"], numbers)
    return found is not None and are_equal(found, wanted, Fraction(str(settings.tolerance or 0)))


def _is_right(answer: Answer) -> bool:
    """Compare by value; a reference that is no number, of which a few may be among the rows, by its text."""
    try:
        return _has_right_number(answer, EvalSetSettings.model_construct(tolerance=None), None)
    except DataError:
        return exact_match(answer["response"], answer["reference"])


METRIC = AnswerMetric(
    name="numeric",
    label="Right number",
    unit="%",
    higher_is_better=True,
    decimals=1,
    meaning="share whose last number has the value of the reference",
    score=lambda answer: 100 * float(_is_right(answer)),
)
SET_METRIC = right_or_wrong(
    "numeric",
    "Right number",
    "share whose last number has the value of the reference",
    _has_right_number,
    prepare=_convention,
    described=_described,
)
