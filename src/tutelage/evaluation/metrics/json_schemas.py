"""JSON schemas of a user, whose regular expressions run under a time limit."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jsonschema
from referencing import Registry

from tutelage.errors import DataError
from tutelage.text.patterns import compile_pattern


def schema_validator(schema: Any) -> Any:
    """Return the validator of a schema; what it searches for a pattern may raise PatternTimeoutError."""
    # An empty registry: a schema that refers to an address must not make the program ask for it.
    return _bounded(jsonschema.validators.validator_for(schema))(schema, registry=Registry())


def require_bounded(schema: Any, name: str) -> None:
    """Stop where a schema has a pattern that does not compile, or one whose search cannot be bounded."""
    keywords: set[str] = set()
    for part in _objects_in(schema):
        keywords |= part.keys()
        properties = part.get("patternProperties")
        patterns = [part.get("pattern"), *(properties if isinstance(properties, dict) else ())]
        for pattern in patterns:
            try:
                compile_pattern(pattern) if isinstance(pattern, str) else None
            except re.error as fault:
                raise DataError(
                    "evaluate.json_schema_invalid",
                    f"{name} has the pattern {pattern!r}, which is not a valid regular expression: {fault}."
                    " Fix it.",
                ) from fault
    if {"patternProperties", "unevaluatedProperties"} <= keywords:
        raise DataError(
            "evaluate.json_schema_unsupported",
            f"{name} has unevaluatedProperties together with patternProperties, which cannot be validated"
            " within a time limit. Use additionalProperties instead.",
        )


def _objects_in(schema: Any) -> Iterator[dict[str, Any]]:
    parts = [schema]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            yield part
            parts += part.values()
        elif isinstance(part, list):
            parts += part


@lru_cache
def _bounded(validator: Any) -> Any:
    return jsonschema.validators.extend(
        validator,
        {
            "pattern": _pattern,
            "patternProperties": _pattern_properties,
            "additionalProperties": _additional_properties,
        },
    )


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    if validator.is_type(instance, "string") and not compile_pattern(pattern).search(instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if validator.is_type(instance, "object"):
        for pattern, subschema in patterns.items():
            for key, value in instance.items():
                if compile_pattern(pattern).search(key):
                    yield from validator.descend(value, subschema, path=key, schema_path=pattern)


def _additional_properties(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not validator.is_type(instance, "object"):
        return
    patterns = [compile_pattern(pattern) for pattern in schema.get("patternProperties", {})]
    for key, value in instance.items():
        if key in schema.get("properties", {}) or any(pattern.search(key) for pattern in patterns):
            continue
        if validator.is_type(allowed, "object"):
            yield from validator.descend(value, allowed, path=key)
        elif not allowed:
            yield jsonschema.ValidationError(f"{key!r} is not an allowed property")
