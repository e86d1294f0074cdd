"""Valid JSON: whether an answer is a JSON object or array, and fits the schema of the set if there is one."""

import json
from pathlib import Path
from typing import Any

import jsonschema
from referencing.exceptions import Unresolvable

from tutelage.config.recipe_evaluation import EvalSetSettings
from tutelage.errors import DataError
from tutelage.evaluation.metrics.json_schemas import require_bounded, schema_validator
from tutelage.evaluation.metrics.json_values import read_container
from tutelage.evaluation.metrics.metric import Answer, AnswerMetric, References, right_or_wrong


def _schema_of_set(settings: EvalSetSettings, references: References, name: str) -> Any:
    return read_schema(settings)


def read_schema(settings: EvalSetSettings) -> Any:
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


def _is_valid_json(answer: Answer, settings: EvalSetSettings, schema: Any) -> bool:
    value = read_container(answer["response"])
    if value is None or schema is None:
        return value is not None
    try:
        return schema_validator(schema).is_valid(value)
    except (ValueError, ArithmeticError, RecursionError):
        return False
    except Unresolvable as fault:
        raise DataError(
            "evaluate.json_schema_invalid",
            f"{settings.json_schema} refers to what is not in it: {fault}. Put the definition into the file.",
        ) from fault


VALID = "share that is a JSON object or array, by itself or in one code fence"
METRIC = AnswerMetric(
    name="json",
    label="Valid JSON",
    unit="%",
    higher_is_better=True,
    decimals=1,
    meaning=VALID,
    score=lambda answer: 100 * float(read_container(answer["response"]) is not None),
)
SET_METRIC = right_or_wrong(
    "json",
    "Valid JSON",
    f"{VALID}, and fits the schema if there is one",
    _is_valid_json,
    prepare=_schema_of_set,
)
