"""The ways to score a named test set: those of the main evaluation, and those that ask for one right thing."""

import json
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
from referencing.exceptions import Unresolvable

from tutelage.config.recipe_evaluation import NamedSetSettings
from tutelage.errors import DataError
from tutelage.evaluation.metrics import load_metric
from tutelage.evaluation.metrics.json_schemas import require_bounded, schema_validator
from tutelage.evaluation.metrics.metric import Metric
from tutelage.evaluation.metrics.metrics import score
from tutelage.evaluation.metrics.numbers import (
    NumberConvention,
    are_equal,
    decide_convention,
    last_number,
    single_number,
)
from tutelage.evaluation.metrics.words import contains_whole
from tutelage.text.patterns import PatternTimeoutError, compile_pattern


def _right_or_wrong(name: str, label: str, meaning: str) -> Metric:
    return Metric(name, label, unit="%", higher_is_better=True, decimals=1, meaning=meaning)


SET_METRICS: dict[str, Metric] = {
    **{name: load_metric(name) for name in ("exact_match", "token_f1", "rouge_l", "chrf", "bits_per_byte")},
    **{
        metric.name: metric
        for metric in (
            _right_or_wrong(
                "numeric", "Right number", "share whose last number has the value of the reference"
            ),
            _right_or_wrong(
                "contains",
                "Contains",
                "share that holds the reference as whole words, whatever the case and spacing",
            ),
            _right_or_wrong("regex", "Matches the pattern", "share in which the pattern is found"),
            _right_or_wrong(
                "json",
                "Valid JSON",
                "share that is JSON and nothing else, and fits the schema if there is one",
            ),
            _right_or_wrong(
                "multiple_choice",
                "Right choice",
                "share of rows where the right choice is the likeliest of those given",
            ),
        )
    },
}


def score_answer(
    answer: Mapping[str, Any],
    settings: NamedSetSettings,
    schema: Any,
    numbers: NumberConvention | None = None,
) -> float:
    """Score one answer by the metric of its set, in the unit of `SET_METRICS`; `schema` is that of `read_schema`.

    `numbers` is the convention of the set's references; without it that of this one reference is taken.
    """
    if settings.metric == "numeric":
        return 100 * float(_has_right_number(answer, settings, numbers))
    right = _RIGHT.get(settings.metric)
    if right is None:
        return score(answer)[settings.metric]
    try:
        return 100 * float(right(answer, settings, schema))
    except PatternTimeoutError as fault:
        raise DataError(
            "evaluate.regex_timeout",
            f"The answer to row {answer.get('row')}: {fault} and was stopped. Write the pattern of this test set"
            " without repetitions inside of repetitions; the answers are kept.",
            row=answer.get("row"),
        ) from fault


def _has_right_number(
    answer: Mapping[str, Any], settings: NamedSetSettings, numbers: NumberConvention | None
) -> bool:
    if numbers is None:
        numbers = decide_convention([(answer.get("row", 0), answer["reference"])])
    wanted = single_number(answer["reference"], numbers)
    assert wanted is not None, "decide_convention refuses a reference that is not a number"
    found = last_number(answer["response"], numbers)
    return found is not None and are_equal(found, wanted, Fraction(str(settings.tolerance or 0)))


def _contains(answer: Mapping[str, Any], settings: NamedSetSettings, schema: Any) -> bool:
    return contains_whole(answer["response"], answer["reference"])


def _matches(answer: Mapping[str, Any], settings: NamedSetSettings, schema: Any) -> bool:
    assert settings.pattern is not None
    return compile_pattern(settings.pattern).search(answer["response"])


def _is_valid_json(answer: Mapping[str, Any], settings: NamedSetSettings, schema: Any) -> bool:
    try:
        value = json.loads(answer["response"], parse_constant=_refuse_constant, parse_float=_finite)
        return schema is None or schema_validator(schema).is_valid(value)
    except (ValueError, ArithmeticError, RecursionError):
        return False
    except Unresolvable as fault:
        raise DataError(
            "evaluate.json_schema_invalid",
            f"{settings.json_schema} refers to what is not in it: {fault}. Put the definition into the file.",
        ) from fault


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits} is too large")
    return value


def _is_right_choice(answer: Mapping[str, Any], settings: NamedSetSettings, schema: Any) -> bool:
    return answer["response"] == answer["reference"]


_RIGHT: dict[str, Callable[[Mapping[str, Any], NamedSetSettings, Any], bool]] = {
    "contains": _contains,
    "regex": _matches,
    "json": _is_valid_json,
    "multiple_choice": _is_right_choice,
}


def read_schema(settings: NamedSetSettings) -> Any:
    """Return the JSON schema of a set, None where it has none; DataError where the file holds no schema."""
    if settings.json_schema is None:
        return None
    try:
        schema = json.loads(Path(settings.json_schema).read_text(encoding="utf-8"))
        schema_validator(schema).check_schema(schema)
        require_bounded(schema, settings.json_schema)
    except (OSError, ValueError, RecursionError) as fault:
        raise DataError(
            "evaluate.json_schema_unreadable",
            f"{settings.json_schema} cannot be read as JSON: {fault}. Name a file with a schema.",
        ) from fault
    except jsonschema.SchemaError as fault:
        raise DataError(
            "evaluate.json_schema_invalid", f"{settings.json_schema} is no JSON schema: {fault.message}."
        ) from fault
    return schema
