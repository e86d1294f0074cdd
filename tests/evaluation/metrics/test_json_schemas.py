"""JSON schemas: their patterns mean what jsonschema says, and cannot run for ever."""

import time

import jsonschema
import pytest

from tutelage.errors import DataError
from tutelage.evaluation.metrics.json_schemas import require_bounded, schema_validator
from tutelage.text import patterns
from tutelage.text.patterns import PatternTimeoutError

SLOW = "^(a|aa)+$"
SCHEMAS = [
    {"pattern": "^a+$"},
    {"patternProperties": {"^n_": {"type": "integer"}}},
    {"properties": {"x": {}}, "patternProperties": {"^n_": {}, "s$": {}}, "additionalProperties": False},
    {"patternProperties": {"^n_": {}}, "additionalProperties": {"type": "string"}},
    {"additionalProperties": {"pattern": "^b"}},
    {"properties": {"x": {"items": {"pattern": "a"}}}, "unevaluatedProperties": False},
]
VALUES = [
    *("aa", "ab", 3, None, [], {}, {"n_a": 1}, {"n_a": "1"}, {"x": 1, "bs": 2}, {"y": "b"}, {"y": 1}),
    *({"x": ["a"]}, {"x": ["b"]}, {"x": ["a"], "n_": 1}),
]


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize(
    "draft", [jsonschema.Draft4Validator, jsonschema.Draft7Validator, jsonschema.Draft202012Validator]
)
def test_a_value_fits_a_schema_where_jsonschema_says_so(schema, draft):
    schema = {"$schema": draft.META_SCHEMA.get("$id") or draft.META_SCHEMA["id"], **schema}
    require_bounded(schema, "f")
    for value in VALUES:
        assert schema_validator(schema).is_valid(value) == draft(schema).is_valid(value), value


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": SLOW}, "a" * 60 + "!"),
        ({"patternProperties": {SLOW: {}}}, {"a" * 60 + "!": 1}),
        ({"patternProperties": {"^b": {}, SLOW: {}}, "additionalProperties": False}, {"a" * 60 + "!": 1}),
        ({"anyOf": [{"properties": {"x": {"items": {"pattern": SLOW}}}}]}, {"x": ["a" * 60 + "!"]}),
        ({"propertyNames": {"pattern": SLOW}}, {"a" * 60 + "!": 1}),
        ({"$defs": {"x": {"pattern": SLOW}}, "$ref": "#/$defs/x"}, "a" * 60 + "!"),
    ],
)
def test_a_pattern_of_a_schema_is_stopped_wherever_it_stands(schema, value, monkeypatch):
    monkeypatch.setattr(patterns, "SEARCH_SECONDS", 0.05)
    begin = time.process_time()
    with pytest.raises(PatternTimeoutError):
        schema_validator(schema).is_valid(value)
    assert time.process_time() - begin < 1


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        ({"patternProperties": {"a": {}}, "unevaluatedProperties": False}, "evaluate.json_schema_unsupported"),
        ({"allOf": [{"patternProperties": {"a": {}}}], "unevaluatedProperties": False},
         "evaluate.json_schema_unsupported"),
        ({"items": {"pattern": "("}}, "evaluate.json_schema_invalid"),
    ],
)  # fmt: skip
def test_a_schema_whose_patterns_cannot_be_bounded_is_refused(schema, code):
    with pytest.raises(DataError) as fault:
        require_bounded(schema, "f")
    assert fault.value.code == code
